import hashlib
from pathlib import Path
from types import SimpleNamespace

import lpips as reference
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from leakbench.metrics import lpips
from tests.benchmarks.conftest import call


@pytest.fixture(autouse=True)
def unnamed(monkeypatch):
    monkeypatch.delenv(lpips.VARIABLE, raising=False)


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
    with pytest.raises(FileNotFoundError, match="leakbench doctor --fetch"):
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


def convolutions(backbone):
    state = torch.load(backbone, weights_only=True)
    return {name: tensor for name, tensor in state.items() if name.startswith("features.")}


def test_a_file_of_convolutions_does_as_well(backbone, tmp_path, monkeypatch):
    """The same distance and the same name of the variant, wherever the convolutions lie."""
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    wanted, variant = lpips.lpips_distance(x, x.flip(3)), lpips.variant()
    save_file(convolutions(backbone), tmp_path / "mine.safetensors")
    backbone.unlink()
    monkeypatch.setenv(lpips.VARIABLE, str(tmp_path / "mine.safetensors"))
    assert lpips.unavailable() is None
    assert torch.equal(lpips.lpips_distance(x, x.flip(3)), wanted)
    assert lpips.variant() == variant


def test_what_is_wrong_with_a_named_file_is_said(backbone, tmp_path, monkeypatch):
    file = tmp_path / "mine.safetensors"
    monkeypatch.setenv(lpips.VARIABLE, str(file))
    assert lpips.unavailable() == f"{lpips.VARIABLE} names {file}, which is no file"
    state = convolutions(backbone)
    del state["features.8.bias"]
    save_file(state, file)
    assert "features.8.bias" in lpips.unavailable()
    other = tmp_path / "other.safetensors"
    save_file(convolutions(backbone) | {"features.0.weight": torch.zeros(64, 3, 3, 3)}, other)
    monkeypatch.setenv(lpips.VARIABLE, str(other))
    assert "features.0.weight is (64, 3, 3, 3), not (64, 3, 11, 11)" in lpips.unavailable()
    for name in ("text.safetensors", "text.pth"):
        (tmp_path / name).write_text("no tensors")
        monkeypatch.setenv(lpips.VARIABLE, str(tmp_path / name))
        assert "does not hold AlexNet's convolutions" in lpips.unavailable()


@pytest.mark.parametrize("held", [[torch.zeros(3)], torch.zeros(3)])
def test_a_file_of_something_else_is_said(held, tmp_path, monkeypatch):
    torch.save(held, tmp_path / "other.pth")
    monkeypatch.setenv(lpips.VARIABLE, str(tmp_path / "other.pth"))
    assert "does not hold AlexNet's convolutions" in lpips.unavailable()


def test_a_damaged_file_is_fetched_again(elsewhere, capsys):
    lpips.torchvision_file().parent.mkdir(parents=True, exist_ok=True)
    lpips.torchvision_file().write_bytes(b"half of it")
    assert not lpips.fetched()
    assert call("doctor", "--fetch") == 0
    assert lpips.fetched()
    assert call("doctor", "--fetch") == 0
    assert "there already" in capsys.readouterr().out


class Trap:
    def __reduce__(self):
        return (Path.touch, (Path("sprung"),))


def test_a_named_file_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"features.0.weight": Trap()}, tmp_path / "trap.pth")
    monkeypatch.setenv(lpips.VARIABLE, str(tmp_path / "trap.pth"))
    assert "does not hold AlexNet's convolutions" in lpips.unavailable()
    assert not Path("sprung").exists()


@pytest.fixture
def elsewhere(backbone, tmp_path, monkeypatch):
    """A place that the weights can be had from, with their hash in the name; they are not here yet."""
    digest = hashlib.sha256(backbone.read_bytes()).hexdigest()[:8]
    there = backbone.rename(tmp_path / f"alexnet-{digest}.pth")
    known = SimpleNamespace(IMAGENET1K_V1=SimpleNamespace(url=there.as_uri()))
    monkeypatch.setattr(lpips, "AlexNet_Weights", known)
    return there


def test_weights_are_fetched_and_checked(elsewhere):
    assert lpips.unavailable()
    file = lpips.fetch()
    assert file == lpips.torchvision_file()
    assert file.read_bytes() == elsewhere.read_bytes()
    assert lpips.unavailable() is None


def test_other_weights_than_asked_for_are_not_kept(elsewhere):
    elsewhere.write_bytes(elsewhere.read_bytes() + b"x")
    lpips.torchvision_file().parent.mkdir(parents=True, exist_ok=True)
    lpips.torchvision_file().write_bytes(b"what was there")
    with pytest.raises(RuntimeError, match="invalid hash value"):
        lpips.fetch()
    assert lpips.unavailable()
    assert lpips.torchvision_file().read_bytes() == b"what was there"


def test_doctor_fetches_and_says_what_it_could_not(elsewhere, capsys):
    assert call("doctor", "--fetch") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"downloaded to {lpips.torchvision_file()}" in said
    assert "LPIPS: ready" in said
    lpips.torchvision_file().unlink()
    elsewhere.unlink()
    assert call("doctor", "--fetch") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "could not be downloaded" in said
    assert lpips.VARIABLE in said
    assert "Traceback" not in said
