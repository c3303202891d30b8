import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leakbench.attacks.membership.whitening import Whitening
from leakbench.synth.seeds import seeded_rng


def people(seed, count=200, size=6):
    rng = seeded_rng("whitening", seed)
    mixed = torch.randn(size, size, generator=rng, dtype=torch.float64)
    return torch.randn(count, size, generator=rng, dtype=torch.float64) @ mixed + 5


@given(st.integers(0, 10**6), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_other_people_are_uncorrelated_and_of_variance_one(seed, components):
    vectors = people(seed)
    seen = Whitening.leading(vectors, components)(vectors)
    assert seen.shape == (200, components)
    assert torch.allclose(seen.mean(0), torch.zeros(components, dtype=torch.float64), atol=1e-8)
    assert torch.allclose(torch.cov(seen.T).view(components, components), torch.eye(components).double(), atol=1e-4)


def test_the_leading_components_are_kept():
    """Along the first axis people differ a hundred times as much as along the second."""
    vectors = torch.tensor([[100.0, 0], [-100, 0], [0, 1], [0, -1]])
    axes = Whitening.leading(vectors, 1).axes
    assert axes[1].abs() < 1e-9
    assert axes[0].abs().item() == pytest.approx(1 / torch.tensor([100.0, -100, 0, 0]).std().item())


def test_all_directions_are_kept_behind_a_small_ridge():
    vectors = people(3)
    seen = Whitening.of(vectors, ridge=1e-9)(vectors)
    assert torch.allclose(torch.cov(seen.T), torch.eye(6).double(), atol=1e-4)


def test_a_ridge_keeps_what_nobody_differs_in_small():
    """Nobody differs along the second axis: with a ridge of 1, as much as the mean of both is added, 10 / 19."""
    vectors, odd = torch.tensor([[1.0, 0], [-1, 0]]).repeat(10, 1), torch.tensor([[0.0, 1.0]])
    assert Whitening.of(vectors, ridge=1.0)(odd).norm().item() == pytest.approx((19 / 10) ** 0.5)
    assert Whitening.of(vectors, ridge=0.01)(odd).norm().item() == pytest.approx((1900 / 10) ** 0.5)
