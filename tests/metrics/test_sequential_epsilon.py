"""Bounds by betting, at mechanisms of known epsilon, looked at whenever it suits the auditor."""

import math

import numpy as np
import pytest

from leakbench.metrics.epsilon import from_many_runs
from leakbench.metrics.gaussian_privacy import epsilon
from leakbench.metrics.sequential_epsilon import QUANTILES, STAKES, STEP, from_sequence, p_value

DELTA = 1e-5


def test_by_hand():
    """Run 1 has no threshold to bet on (all are above none): of run 2 the canary's score is above all, the other not.

    In one direction a bet on one of five thresholds wins its stake; in the other, all win theirs: P[not above] is 1
    against 0. Epsilon 0, delta 0: wealth is the mean of 1 + stake over all.
    """
    inside, outside = np.array([1.0, 5.0]), np.array([0.0, -5.0])
    assert p_value(inside, outside) == pytest.approx(1 / (1 + STAKES.mean()))
    assert p_value(outside, inside) == 1, "wealth starts with 1 and may only be lost there"
    assert len(QUANTILES) == 5
    assert from_sequence(inside, outside) == 0


def test_a_bound_is_where_wealth_was_once_large_enough():
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(size=200) + 2, rng.normal(size=200)
    bound = from_sequence(inside, outside, delta=DELTA)
    assert bound > 1
    assert p_value(inside, outside, delta=DELTA) < 0.05
    assert from_sequence(inside, outside, delta=DELTA, level=0.999) < bound
    assert from_sequence(inside, outside, delta=0.3) < bound
    assert from_sequence(np.concatenate([inside, outside]), np.concatenate([outside, inside])) >= from_sequence(
        inside, outside
    ), "what was once rejected stays so, whatever comes"
    assert round(bound / STEP) == pytest.approx(bound / STEP)
    with pytest.raises(ValueError, match="finite"):
        from_sequence(np.array([np.nan, 1.0]), outside[:2])


def test_wealth_without_bounds():
    """3,000 runs that are all right: more than a number can be."""
    assert 5 < from_sequence(np.ones(3000), np.zeros(3000), delta=DELTA) < 8
    assert p_value(np.ones(3000), np.zeros(3000)) == 0


def gaussian(rng, mu, runs):
    return rng.normal(size=runs) + mu, rng.normal(size=runs)


def response(rng, true, runs):
    right = 1 / (1 + math.exp(-true))
    return (rng.random(runs) < right).astype(float), (rng.random(runs) > right).astype(float)


@pytest.mark.parametrize(
    ("mechanism", "parameter", "true"),
    [(gaussian, 0.0, 0.0), (gaussian, 0.3, epsilon(0.3, DELTA)), (response, 0.5, 0.5), (response, 2.0, 2.0)],
)
def test_bounds_hold_whenever_somebody_looks(mechanism, parameter, true):
    """200 audits of 100 runs at 95 %, stopped when it was best: 5 % are above the true epsilon, and 3 sigma."""
    rng = np.random.default_rng(1)
    above = sum(from_sequence(*mechanism(rng, parameter, 100), delta=DELTA) > true for _ in range(200))
    assert above <= 10 + 3 * (200 * 0.05 * 0.95) ** 0.5


def test_more_is_found_than_from_halves():
    rng = np.random.default_rng(2)
    audits = [gaussian(rng, 1.0, 100) for _ in range(40)]
    betting = np.mean([from_sequence(*audit, delta=DELTA) for audit in audits])
    halves = np.mean([from_many_runs(*audit, delta=DELTA, seed=seed) for seed, audit in enumerate(audits)])
    assert betting > 1.5 * halves
