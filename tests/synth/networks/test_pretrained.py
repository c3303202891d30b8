"""Teachers with published weights: torchvision's own outputs, for the classes of a dataset."""

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torchvision.models import ResNet18_Weights

from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.networks.pretrained import pretrained_weights
from leakbench.synth.seeds import seeded

CATEGORIES = ResNet18_Weights.DEFAULT.meta["categories"]
WNIDS = tuple(f"n{i:08d}" for i in range(1000))


@pytest.fixture(scope="module")
def original():
    with seeded(0):
        return torchvision.models.resnet18().eval()


@pytest.fixture
def hub(original, tmp_path, monkeypatch):
    """Weights as torchvision leaves them in its cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save(original.state_dict(), file)
    return file


@pytest.mark.parametrize(
    ("classes", "everything", "outputs"),
    [
        (("n00000003", "n00000700"), WNIDS, (3, 700)),
        (("Great_White-shark", "tench"), ("Great_White-shark", "tench"), (2, 0)),
        (("goldfish", "tench"), tuple(sorted(CATEGORIES)), (1, 0)),
        (("Cardigan", "tench"), ("Cardigan", "tench"), (264, 0)),
        (("n01440764", "n15075141"), ("n01440764", "n15075141"), (0, 999)),
        (("001", "12_house_finch", "hen"), ("001", "12_house_finch", "hen"), (1, 12, 8)),
    ],
)
def test_outputs_are_torchvisions_of_the_classes(classes, everything, outputs, hub, original):
    found = pretrained_weights("resnet18", "torchvision", classes=classes, everything=everything, side=96)
    assert found.outputs == outputs
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    scale = ResNet18_Weights.DEFAULT.transforms()
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in (scale.mean, scale.std))
    with torch.no_grad():
        torch.testing.assert_close(found.load(96)(images), original((images - mean) / std)[:, list(outputs)])


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (("001", "goldfish"), "'001', 'goldfish' stand for the same of the 1000 classes; leave one out"),
        (("0", "1", "2"), "'0', '1', '2' cannot be found"),
        (("001_aunt_mary", "tench"), "'001_aunt_mary' cannot be found"),
        (("1000", "tench"), "'1000' cannot be found"),
    ],
)
def test_folders_that_stand_for_no_class_or_the_same_are_said(classes, said, hub):
    """Folders of digits are no fish."""
    with pytest.raises(DataProblems, match=said):
        pretrained_weights("resnet18", "torchvision", classes=classes, everything=classes, side=96)


def test_a_file_of_ones_own(tmp_path):
    with seeded(1):
        own = torchvision.models.resnet18(num_classes=2)
    save_file(own.state_dict(), tmp_path / "own.safetensors")
    found = pretrained_weights(
        "resnet18", str(tmp_path / "own.safetensors"), classes=("a", "b"), everything=("a", "b"), side=96
    )
    assert found.outputs == (0, 1)
    with pytest.raises(DataProblems, match=r"own\.safetensors: does not hold the weights of resnet50"):
        pretrained_weights(
            "resnet50", str(tmp_path / "own.safetensors"), classes=("a", "b"), everything=("a", "b"), side=96
        )


@pytest.mark.parametrize(
    ("network", "weights", "side", "message"),
    [
        ("resnet18", "torchvision", 32, "for images of more than 64 pixels a side; these have 32"),
        ("resnet18", "gone.safetensors", 96, r"gone\.safetensors: is no \.safetensors file"),
        ("resnet18", "torchvision", 96, "'cats', 'dogs' cannot be found among them; name class folders as torchvision"),
        ("resnet20", "torchvision", 96, "torchvision has none of resnet20; give a file"),
        ("resnet34", "torchvision", 96, "could not be downloaded .*; put them into hub/checkpoints/resnet34"),
    ],
)
def test_what_does_not_fit_is_a_sentence(network, weights, side, message, hub, monkeypatch):
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(DataProblems, match=message):
        pretrained_weights(network, weights, classes=("cats", "dogs"), everything=("cats", "dogs"), side=side)


def test_damaged_weights_are_a_sentence(hub):
    hub.write_bytes(b"half")
    with pytest.raises(DataProblems, match="is damaged"):
        pretrained_weights("resnet18", "torchvision", classes=WNIDS[:2], everything=WNIDS, side=96)
