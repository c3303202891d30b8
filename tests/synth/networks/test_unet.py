import pytest
import torch

from leakbench.synth.networks.unet import UNet, waves
from leakbench.synth.seeds import seeded, seeded_rng


def made(side, channels=3):
    with seeded(0):
        return UNet(classes=4, channels=channels, side=side, width=8).eval()


@pytest.mark.parametrize(("side", "patch"), [(8, 1), (16, 1), (17, 1), (31, 1), (32, 2), (50, 3), (64, 4)])
def test_an_image_of_any_size_comes_back_in_its_size(side, patch):
    network = made(side)
    assert network.patch == patch
    images = torch.randn(2, 3, side, side, generator=seeded_rng("unet"))
    assert network(images, torch.tensor([0.1, 0.9]), torch.tensor([0, 3])).shape == images.shape


def test_time_and_class_are_told():
    network = made(16)
    for weight in network.parameters():  # those of a new network begin at 0
        torch.nn.init.normal_(weight, std=0.1, generator=seeded_rng("weights"))
    image = torch.randn(1, 3, 16, 16, generator=seeded_rng("unet"))
    said = [network(image, torch.tensor([t]), torch.tensor([k])) for t, k in ((0.1, 0), (0.9, 0), (0.1, 1))]
    assert not torch.allclose(said[0], said[1])
    assert not torch.allclose(said[0], said[2])


def test_waves_by_hand():
    """Frequencies 1 and 1,000 at 0 and 1."""
    found = waves(torch.tensor([0.0, 1.0]), 4)
    assert found[0].tolist() == [0, 0, 1, 1]
    assert found[1, 0].item() == pytest.approx(0.84147, abs=1e-4)
    assert found[1, 2].item() == pytest.approx(0.54030, abs=1e-4)
