"""The blind control finds what is different and keeps its rate where nothing is."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binom
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from leakbench.metrics import blind
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


def test_statistics_by_hand():
    """A gray picture of 16 by 16, its left half black and its right half white."""
    image = torch.zeros(1, 3, 16, 16)
    image[:, :, :, 8:] = 1
    statistics, small = blind._described(image)
    assert small.shape == (1, 3 * blind.SIDE**2)
    half = 0.5 * (256 / 255) ** 0.5
    found = dict(zip(("mean", "deviation"), (statistics[0, :3], statistics[0, 3:6]), strict=True))
    assert found["mean"] == pytest.approx(0.5)
    assert found["deviation"] == pytest.approx(half, abs=1e-5)
    quantiles, color, across, down = statistics[0, 6:11], *statistics[0, 11:14]
    assert quantiles.tolist() == [0, 0, pytest.approx(0.5), 1, 1]
    assert (color, across, down) == (0, pytest.approx(1 / 15), 0)
    fine, blocks_across, blocks_down = statistics[0, 14:17]
    assert fine == pytest.approx(2 / 3 / 2 / 16 * 2 / 2 * 2, abs=0.02)
    assert blocks_across == pytest.approx(1 - 1 / 15), "the one edge lies between two blocks"
    assert blocks_down == 0
    border_mean, border_deviation, dark, light = statistics[0, 17:]
    assert border_mean == pytest.approx(0.5)
    assert border_deviation == pytest.approx(0.5, abs=0.01)
    assert (dark, light) == (0.5, 0.5)


def test_the_border_is_all_four_sides():
    for side in (slice(0, 1), slice(15, 16)):
        for image in (torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16).transpose(2, 3)):
            image[:, :, side] = 1
            assert blind._described(image)[0][0, 17] == pytest.approx((16 + 2) / 64)
    upright = torch.zeros(1, 3, 16, 16)
    upright[:, :, :, -1] = 1
    assert blind._described(upright)[0][0, 17] == pytest.approx((16 + 2) / 64)


def test_pixels_are_looked_at_in_shares_of_255():
    seen = []
    real = blind._described
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blind, "_described", lambda part: seen.append(part) or real(part))
        blind_control(pictures(20, 0), pictures(20, 1))
    assert 0 <= min(part.min() for part in seen) < max(part.max() for part in seen) <= 1


def test_the_interval_is_of_the_exchanges(monkeypatch):
    """Of exchanges whose areas are known: 1 to 999 thousandths."""
    areas = iter([np.array([0.9]), *np.arange(1, 1000).reshape(-1, blind.COLUMNS) / 1000])
    monkeypatch.setattr(blind, "_areas", lambda *given: next(areas))
    found = blind_control(pictures(20, 0), pictures(20, 1))
    assert found.value == pytest.approx(0.4)
    assert found.low == pytest.approx(0.4 - (0.990 - 0.5))
    assert found.high == pytest.approx(0.4 - (0.010 - 0.5))
    assert found.level == pytest.approx(1 - 2 * BLIND)


def test_areas_by_hand():
    """One feature that tells members, cross-fitted over two halves: an area of 1; the wrong way round, of 0."""
    seen = np.array([[1.0], [0.9], [-1.0], [-0.9], [0.8], [0.7], [-0.8], [-0.7]], np.float32)
    members = np.array([True, True, False, False, True, True, False, False])
    folds = [np.arange(4), np.arange(4, 8)]
    mixed = np.array([True, False, True, False] * 2)
    found = blind._areas(seen, np.stack([members, ~members, mixed], 1), folds)
    assert found[:2].tolist() == [1, 1]
    assert found[2] < 1


def test_an_unequal_share_of_members_in_a_fold_says_nothing():
    """Features are noise; were the fit's share of members left in, it would be lower where the rest's is higher."""
    rng = np.random.default_rng(0)
    seen, folds = np.ones((40, 1), np.float32), np.array_split(np.arange(40), 4)
    called = np.stack([rng.permutation(np.arange(40) < 20) for _ in range(200)], 1)
    assert blind._areas(seen, called, folds).mean() == pytest.approx(0.5, abs=0.02)


def test_nobody_is_scored_by_what_was_fitted_to_them():
    """Thirty features of forty that are noise: whoever is in the fit would be told from the others."""
    rng = np.random.default_rng(1)
    seen, folds = rng.normal(size=(40, 30)).astype(np.float32), np.array_split(np.arange(40), 5)
    called = np.stack([rng.permutation(np.arange(40) < 20) for _ in range(200)], 1)
    assert blind._areas(seen, called, folds).mean() == pytest.approx(0.5, abs=0.03)
