"""The blind control finds what is different and keeps its rate where nothing is."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binom
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from leakbench.metrics.blind import blind_control
from leakbench.metrics.decision import BLIND


def pictures(count, seed, side=16):
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    fine = torch.nn.functional.interpolate(coarse, size=side, mode="bicubic").clamp(0, 1)
    return (fine * 255).round().to(torch.uint8)


def jpeg(image):
    buffer = io.BytesIO()
    to_pil_image(image).save(buffer, "JPEG", quality=40)
    return pil_to_tensor(Image.open(buffer))


CHANGES = {
    "darker": lambda x: (x.float() * 0.85).byte(),
    "re-encoded": lambda x: torch.stack([jpeg(image) for image in x]),
    "gray": lambda x: x.float().mean(1, keepdim=True).expand_as(x).byte(),
    "framed": lambda x: torch.nn.functional.pad(x[:, :, 1:-1, 1:-1], (1, 1, 1, 1), value=0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_different_is_found(change):
    found = blind_control(CHANGES[change](pictures(300, 0)), pictures(300, 1))
    assert found.low > 0
    assert found.value > 0.1


def test_a_mixture_of_other_things_is_found():
    """Members are mostly bright things, the others mostly dark ones."""
    bright, dark = pictures(400, 0) // 2 + 127, pictures(400, 1) // 2
    found = blind_control(torch.cat([bright[:240], dark[:60]]), torch.cat([bright[300:360], dark[160:400]]))
    assert found.low > 0


def test_others_in_the_middle_of_members_are_found():
    """Members are darker or brighter by a fifth: on average as bright as the others."""
    others = pictures(300, 1).float()
    members = pictures(300, 0).float() * torch.where(torch.arange(300) % 2 == 0, 0.8, 1.2).view(-1, 1, 1, 1)
    assert blind_control(members.clamp(0, 255).byte(), others.clamp(0, 255).byte()).low > 0


def alarms(audits):
    pool = pictures(3000, 2)
    count = 0
    for seed in range(audits):
        order = np.random.default_rng(seed).permutation(len(pool))
        count += blind_control(pool[order[:60]], pool[order[60:110]], seed=seed).low > 0
    return count


@pytest.mark.parametrize("audits", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_alike_images_raise_no_more_alarms_than_promised(audits):
    assert alarms(audits) <= binom.isf(0.00135, audits, BLIND), "as rare as 3 sigma"


def test_it_has_no_say_on_a_handful():
    with pytest.raises(ValueError, match="needs 10 images of each kind, got 9 and 30"):
        blind_control(pictures(9, 0), pictures(30, 1))


def test_gray_images_of_few_pixels_and_equal_ones():
    digits = torch.randint(0, 16, (60, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert blind_control(digits[:30], digits[30:]).low <= 0
    flat = torch.full((40, 3, 16, 16), 7, dtype=torch.uint8)
    assert blind_control(flat[:20], flat[20:]).value == 0, "ties tell nobody apart"


def test_the_seed_decides_all():
    a, b = pictures(40, 0), pictures(40, 1)
    assert blind_control(a, b, seed=3) == blind_control(a, b, seed=3)
