import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leakbench.attacks.membership.shrinkage import shrunk, usual
from leakbench.synth.seeds import seeded_rng


def sampled(freedom, prior, scale, count=20_000):
    """Sample variances whose true ones are of the prior."""
    rng = seeded_rng("variances", freedom, prior)

    def chi_squared(degrees):
        return torch.randn(count, degrees, generator=rng, dtype=torch.float64).square().sum(1)

    true = prior * scale / chi_squared(prior) if prior else torch.full((count,), scale, dtype=torch.float64)
    return true * chi_squared(freedom) / freedom, true


@pytest.mark.parametrize(("freedom", "prior", "scale"), [(3, 4, 2.0), (7, 10, 0.5), (1, 6, 1.0)])
def test_the_prior_is_found(freedom, prior, scale):
    found, level = usual(sampled(freedom, prior, scale)[0], freedom)
    assert found == pytest.approx(prior, rel=0.2)
    assert level == pytest.approx(scale, rel=0.1)


def test_variances_that_are_all_alike_are_taken_for_one():
    """Where the true ones are equal, what is found is equal or nearly so, and far nearer than the sample's."""
    variances, _ = sampled(3, 0, 1.5)
    held, freedom = shrunk(variances, 3)
    assert freedom > 50
    assert held.std() < 0.1 * variances.std()
    assert held.mean().item() == pytest.approx(1.5, rel=0.05)


def test_shrunken_variances_are_nearer_to_the_truth():
    variances, true = sampled(3, 5, 1.0)
    held, freedom = shrunk(variances, 3)
    assert (held.log() - true.log()).square().mean() < 0.5 * (variances.log() - true.log()).square().mean()
    assert freedom == pytest.approx(8, rel=0.2)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_whatever_is_measured_is_held_between_itself_and_the_usual(values, freedom):
    variances = torch.tensor(values, dtype=torch.float64)
    _, scale = usual(variances, freedom)
    held, told = shrunk(variances, freedom)
    assert told >= freedom
    assert torch.isfinite(held).all()
    low, high = variances.clamp_max(scale), variances.clamp_min(scale)
    assert ((held >= low * (1 - 1e-9)) & (held <= high * (1 + 1e-9) + 1e-12)).all()
    assert not math.isnan(told)
