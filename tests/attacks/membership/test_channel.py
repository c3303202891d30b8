import math

import pytest
import torch
from sklearn.covariance import ledoit_wolf

from leakbench.attacks.membership.channel import Channel, class_means
from leakbench.attacks.membership.whitening import Whitening

RNG = torch.Generator


def normal(rng, *shape):
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def test_class_means_by_hand():
    means = class_means(torch.tensor([[1.0], [3.0], [10.0]]), torch.tensor([0, 0, 2]), 3)
    assert means.tolist() == [[2.0], [0.0], [10.0]]


def test_a_channel_is_measured():
    """Gain 0.5, a shift of 3, and noise of variance 0.01, from 500 groups: spread received is 0.25 / 0.01."""
    rng = RNG().manual_seed(0)
    people, sent = normal(rng, 2000, 20), normal(rng, 500, 20)
    channel = Channel.measured(people, sent, 0.5 * sent + 3 + 0.1 * normal(rng, 500, 20))
    assert channel.gain == pytest.approx(torch.full((20,), 0.5).double(), abs=0.02)
    assert channel.bias == pytest.approx(torch.full((20,), 3.0).double(), abs=0.03)
    assert channel.spread.mean().item() == pytest.approx(25, rel=0.15)
    assert channel.through == 20


def test_correlated_noise_is_whitened():
    """One noise on both features: their difference comes through clean, their sum does not."""
    rng = RNG().manual_seed(0)
    people, sent = normal(rng, 2000, 2), normal(rng, 2000, 2)
    received = sent + normal(rng, 2000, 1) + 0.01 * normal(rng, 2000, 2)
    spread = Channel.measured(people, sent, received).spread
    assert spread[0] > 50
    assert spread[1] < 2


def test_evidence_by_hand():
    """Spread 2, two images behind a group whose mean, less the class's and the bias, is 1, and a candidate at 2.

    With it the mean is N(1, 2/4 + 1), without N(0, 2/2 + 1): log ratio 0 + 1/4 - log(1.5 / 2) / 2.
    """
    one = torch.ones(1, dtype=torch.float64)
    channel = Channel(one, 3 * one, one[:, None], 2 * one)
    found = channel.evidence(8 * one[None], 4 * one, 2 * one[None], 2)
    assert found.item() == pytest.approx(0.25 - math.log(0.75) / 2)


def test_evidence_averages_to_one_under_no_link():
    """A likelihood ratio's mean is 1 where the candidate does not stand behind the group."""
    rng = RNG().manual_seed(1)
    spread = torch.tensor([1.0, 0.5], dtype=torch.float64)
    channel = Channel(torch.ones_like(spread), torch.zeros_like(spread), torch.eye(2, dtype=torch.float64), spread)
    received = normal(rng, 4000, 2) * (spread / 3 + 1).sqrt()
    ratios = channel.evidence(received, torch.zeros_like(spread), normal(rng, 50, 2) * spread.sqrt(), 3).exp()
    assert ratios.mean().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("size", "hits"), [(1, 0.95), (5, 0.9), (20, 0.5)])
def test_sources_are_found_through_a_channel(size, hits):
    """300 features, 400 candidates, and means of groups of them with a little noise: who is in the group?"""
    rng = RNG().manual_seed(2)
    people, others = normal(rng, 400, 300), normal(rng, 50, 300)
    channel = Channel.measured(people, others, others + 0.01 * normal(rng, 50, 300))
    groups = torch.randperm(400, generator=rng)[: 10 * size].view(10, size)
    received = people[groups].mean(1) + 0.01 * normal(rng, 10, 300)
    top = channel.evidence(received, torch.zeros(300), people, size).topk(size, 1).indices
    found = sum(len(set(a.tolist()) & set(b.tolist())) for a, b in zip(top, groups, strict=True)) / groups.numel()
    assert found >= hits


def test_without_shadows_features_are_taken_as_they_are():
    people = normal(RNG().manual_seed(3), 100, 5)
    channel = Channel.measured(people, None, None)
    found = channel.evidence(people[:10], torch.zeros(5), people, 1)
    assert found.argmax(1).tolist() == list(range(10))


def test_exact_copies_are_no_division_by_zero():
    rng = RNG().manual_seed(4)
    people, sent = normal(rng, 100, 5), normal(rng, 20, 5)
    found = Channel.measured(people, sent, sent).evidence(people[:10], torch.zeros(5), people, 1)
    assert torch.isfinite(found).all()
    assert found.argmax(1).tolist() == list(range(10))


def dense(people, gain, bias, noise, residual):
    """What comes of a whole covariance of the noise: the axes, by a Cholesky factor, of what people differ in."""
    scale = noise.sqrt()
    covariance = 0.01 * torch.eye(len(gain)).double() + torch.from_numpy(ledoit_wolf((residual / scale).numpy())[0])
    whiten = torch.linalg.inv(torch.linalg.cholesky(covariance)).T / scale[:, None]
    seen = (gain * people) @ whiten
    spread, axes = torch.linalg.eigh(seen.T @ seen / len(seen))
    return Channel(gain, bias, whiten @ axes, spread.clamp_min(0))


@pytest.mark.parametrize(("people", "features", "groups"), [(80, 20, 30), (20, 80, 30), (20, 80, 90), (60, 60, 5)])
@pytest.mark.parametrize("size", [1, 7])
def test_no_covariance_is_made_and_evidence_is_the_same(people, features, groups, size):
    rng = RNG().manual_seed(3)
    mixed = normal(rng, features, features)
    candidates, residual = normal(rng, people, features) @ mixed, normal(rng, groups, features) @ mixed.T
    residual -= residual.mean(0)
    gain, bias, noise = normal(rng, features), normal(rng, features), residual.square().mean(0) + 0.1
    channel = Channel._of(candidates, gain, bias, noise, residual)
    assert len(channel.spread) <= min(people, features)
    asked = (normal(rng, 5, features), normal(rng, features), candidates, size)
    expected = dense(candidates, gain, bias, noise, residual).evidence(*asked)
    torch.testing.assert_close(channel.evidence(*asked), expected, rtol=1e-6, atol=1e-6)


def test_many_more_statistics_than_people_fit():
    """EfficientNet has 42,000: a covariance of them would take 14 GB, of these 2."""
    rng = RNG().manual_seed(4)
    people, sent = normal(rng, 12, 16_000), normal(rng, 6, 16_000)
    channel = Channel.measured(people, sent, sent + 0.1 * normal(rng, 6, 16_000))
    assert channel.axes.shape == (16_000, 12)
    found = channel.evidence(people[:3], torch.zeros(16_000), people, 1)
    assert found.argmax(1).tolist() == [0, 1, 2]
    assert Whitening.leading(people, 50).axes.shape == (16_000, 11)
