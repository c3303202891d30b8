"""The rule of arXiv 2301.13188: nearer than half of the mean distance to the nearest fifty."""

import numpy as np
import pytest
import torch

from leakbench.metrics.extraction import NEIGHBOURS, extracted
from leakbench.synth.seeds import seeded_rng


def random(count, purpose, side=8):
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=seeded_rng(purpose))


def shades(*values):
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()


@pytest.mark.parametrize("side", [8, 96])
def test_copies_are_extracted_and_relatives_are_not(side):
    private, others = random(80, "private", side), random(80, "others", side)
    noisy = (private[:10].float() + 10 * torch.randn(private[:10].shape, generator=seeded_rng("n"))).clamp(0, 255)
    assert extracted(noisy.to(torch.uint8), private).nonzero()[0].tolist() == list(range(10))
    assert not extracted(others, private).any()
    assert not extracted(noisy.to(torch.uint8), others).any()


def test_the_rule_by_hand():
    """From 100: 10 away, and 10, 20 and 60 are 30 in the mean: nearer than 15. But 10, 16 and 30: not than 9.3."""
    assert extracted(shades(100), shades(110, 80, 160, 255)).tolist() == [True, False, False, False]
    assert not extracted(shades(100), shades(110, 84, 130, 255)).any()


def test_where_everything_is_alike_nobody_is_shown():
    """A plain image is near to all plain ones: that says nothing of any."""
    plain = shades(*range(100, 100 + 2 * NEIGHBOURS, 2))
    assert extracted(shades(133), plain).sum() <= 1
    assert not extracted(shades(20), plain).any()


def test_fewer_than_two_private_images_have_no_neighbours():
    assert extracted(random(3, "r"), random(1, "p")).tolist() == [False]
    assert extracted(random(0, "r"), random(5, "p")).tolist() == [False] * 5
    assert isinstance(extracted(random(3, "r"), random(1, "p")), np.ndarray)
