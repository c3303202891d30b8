"""Pictures that stand out by how near they are to one private picture."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch.nn.functional import avg_pool2d, interpolate

from leakbench.metrics import outstanding as module
from leakbench.metrics.copies import find_copies
from leakbench.metrics.described import described
from leakbench.metrics.outstanding import FEWEST, outstanding
from leakbench.synth.seeds import seeded_rng


def pictures(name, count=30, side=32):
    rng = seeded_rng(name)
    smooth = interpolate(torch.rand(count, 3, 7, 7, generator=rng), size=side, mode="bicubic")
    return (smooth + 0.1 * torch.rand(count, 3, side, side, generator=rng)).mul(180).clamp(0, 255).to(torch.uint8)


def blurred(images):
    """By the mean of three by three."""
    padded = torch.nn.functional.pad(images.float(), (1, 1, 1, 1), mode="replicate")
    return avg_pool2d(padded, 3, stride=1).round().to(torch.uint8)


def test_a_case_by_hand():
    """Private pictures of one bright pixel each, and one of them with another one that is dimmer."""
    private = torch.zeros(FEWEST, 1, 8, 8, dtype=torch.uint8)
    for i in range(FEWEST):
        private[i, 0, i // 8, i % 8] = 64
    released = private[3:4].clone()
    released[0, 0, 7, 7] = 20
    found = outstanding(private, released)
    a, b = (x.float().flatten() - x.float().mean() for x in (private[3], released[0]))
    correlation = (a @ b / a.norm() / b.norm()).item()
    c = private[4].float().flatten() - private[4].float().mean()
    other = (c @ b / c.norm() / b.norm()).item()
    assert found.private.tolist() == [3]
    assert found.released.tolist() == [0]
    assert found.correlation.item() == pytest.approx(correlation, abs=1e-5)
    assert found.ratio.item() == pytest.approx(((1 - correlation) / (1 - other)) ** 0.5, abs=1e-4)


def test_blurred_pictures_are_found_and_others_are_not():
    private = pictures("private")
    found = find_copies(described(private), described(blurred(private.flip(0))))
    assert {(copy.private, copy.released) for copy in found} == {(i, 29 - i) for i in range(30)}
    assert not any(copy.exact for copy in found)
    assert find_copies(described(private), described(blurred(pictures("others")))) == []


def test_mirrored_blurs_are_found():
    private = pictures("private")
    found = find_copies(described(private), described(blurred(private.flip(3))[:5]))
    assert {(copy.private, copy.released) for copy in found} == {(i, i) for i in range(5)}
    assert all("mirrored" in copy.why for copy in found)


def test_of_two_private_pictures_that_are_alike_neither_stands_out():
    private = pictures("private")
    private[1] = private[0]
    assert 0 not in outstanding(private, blurred(private)).private.tolist()
    assert 1 not in outstanding(private, blurred(private)).private.tolist()


def test_of_few_private_pictures_none_stands_out():
    private = pictures("private", FEWEST - 1)
    assert len(outstanding(private, private).private) == 0
    assert len(outstanding(pictures("private", FEWEST), private).private) > 0
    assert len(outstanding(private[:0], private).private) == len(outstanding(private, private[:0]).private) == 0


@settings(max_examples=20, deadline=None)
@given(contrast=st.floats(0.4, 1.0), brightness=st.integers(0, 60), size=st.sampled_from([1, 7, 2048]))
def test_neither_brightness_nor_contrast_nor_chunks_matter(contrast, brightness, size):
    private = pictures("private", 24)
    changed = (blurred(private).float() * contrast + brightness).clamp(0, 255).round().to(torch.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE", size)
        found = outstanding(private, changed)
    assert found.private.tolist() == found.released.tolist() == list(range(24))


def test_blank_pictures_stand_out_from_nothing():
    private = torch.cat([pictures("private"), torch.zeros(1, 3, 32, 32, dtype=torch.uint8)])
    blank = torch.full((3, 3, 32, 32), 90, dtype=torch.uint8)
    assert len(outstanding(private, blank).private) == 0


def on_a_sphere(count, dimensions, name):
    points = torch.randn(count, dimensions + 1, generator=seeded_rng(name))
    return points / points.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("dimensions", [2, 4, 8])
def test_the_threshold_calls_as_many_unrelated_ones_as_it_says(dimensions, monkeypatch):
    """Points on a sphere: of 20,000 searches of one picture each 200 are expected, where 1 % are asked for."""
    ours, others = on_a_sphere(2000, dimensions, "ours"), on_a_sphere(20_000, dimensions, "others")
    monkeypatch.setattr(module, "RATIO", 1.0)
    most = module.threshold(ours, 1)
    alarms = (module._ratio((others @ ours.T).topk(2, dim=1).values) <= most).sum().item()
    assert 120 <= alarms <= 300
    assert module.threshold(ours, 1000) < most


def test_where_all_pictures_are_there_twice_none_stands_out():
    private = pictures("private").repeat(2, 1, 1, 1)
    assert module.threshold(module._standardised(private), 1) == 0
    assert len(outstanding(private, pictures("private")).private) == 0


def test_handwritten_digits_of_others_are_no_copies(digits):
    """Eight by eight pixels, of which many are alike: at a fixed ratio of 0.5, seven of 800 were called copies."""
    for blur in module.BLURS:
        assert len(outstanding(digits.members.pixels, digits.holdout.pixels, blur).private) == 0
