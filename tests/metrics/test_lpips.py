import lpips as reference
import pytest
import torch
import torchvision

from leakbench.metrics import lpips


@pytest.fixture
def backbone(tmp_path, monkeypatch):
    """A randomly initialised AlexNet where torchvision would keep the trained one."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = lpips.backbone_file()
    assert file.is_relative_to(tmp_path)
    file.parent.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(torchvision.models.alexnet(weights=None).state_dict(), file)
    return file


def test_without_weights_it_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert "alexnet" in lpips.unavailable()
    with pytest.raises(FileNotFoundError, match="get them with"):
        lpips.lpips_distance(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32))


def test_it_is_the_authors_distance(backbone):
    rng = torch.Generator().manual_seed(0)
    x, y = torch.rand(3, 3, 64, 64, generator=rng), torch.rand(3, 3, 64, 64, generator=rng)
    with torch.random.fork_rng(devices=[]):
        network = reference.LPIPS(net="alex", verbose=False).eval()
    golden = network(x, y, normalize=True).flatten().detach()
    torch.testing.assert_close(lpips.lpips_distance(x, y, chunk=2), golden, atol=1e-5, rtol=1e-4)
    assert lpips.lpips_distance(x, x).abs().max() < 1e-6
    assert len(lpips.variant().split()[-1]) == 12


def test_32_pixels_are_enough(backbone):
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.isfinite(lpips.lpips_distance(x, x.flip(3))).all()
