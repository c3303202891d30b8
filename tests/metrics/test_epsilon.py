import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from leakbench.metrics.epsilon import (
    _halves,
    adding_or_removing,
    from_guesses,
    from_many_runs,
    from_rates,
    guess,
    p_value,
    sure_guesses,
)

DELTA = 1e-5


def from_pairs(inside, outside, *, delta=0.0, level=0.95, seed=0):
    """The bound that the judge takes from pairs of canaries of one run."""
    return from_guesses(*sure_guesses(inside, outside, level=level, seed=seed), delta=delta, level=level)


def test_rates_by_hand():
    """Of 4 runs each all are right: the ends are 0.025^(1/4) = 0.398 and 0.602, and log(0.398 / 0.602) is below 0."""
    assert from_rates(4, 4, 0, 4) == 0
    low = 0.025 ** (1 / 100)
    assert from_rates(100, 100, 0, 100) == pytest.approx(math.log(low / (1 - low)))
    assert from_rates(100, 100, 0, 100, delta=0.1) == pytest.approx(math.log((low - 0.1) / (1 - low)))


def test_rates_of_negatives_count_as_well():
    """An attack that is sure of few non-members and nothing else bounds epsilon by its negatives."""
    assert from_rates(1000, 1000, 500, 1000) > 4
    assert from_rates(1000, 1000, 500, 1000) == pytest.approx(from_rates(500, 1000, 0, 1000))


def test_p_value_by_hand():
    """Two guesses, both right, epsilon log 3: (3/4)^2, and for delta the mass just below, 6/16, and half of 7/16."""
    assert p_value(2, 2, 2, math.log(3), 0.0) == pytest.approx(9 / 16)
    assert p_value(2, 2, 2, math.log(3), 0.01) == pytest.approx(9 / 16 + 2 * 2 * 0.01 * max(6 / 16, (7 / 16) / 2))
    assert p_value(0, 2, 2, 1.0, 0.01) == 1


def test_guesses_invert_the_p_value():
    bound = from_guesses(90, 100, 1000, delta=DELTA)
    assert p_value(90, 100, 1000, bound, DELTA) == pytest.approx(0.05)
    assert from_guesses(50, 100, 1000) == 0


def gaussian_epsilon(mu):
    """Of a Gaussian mechanism (arXiv 1905.02383, corollary 2.13), solved numerically; 4.377 for mu = 1."""

    def surplus(epsilon):
        return norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu) - DELTA

    return brentq(surplus, 0, 50)


def alarms(bound, trials):
    """How many of these audits of pure noise claim an epsilon above 0."""
    rng = np.random.default_rng(0)
    return sum(bound(rng.normal(size=100), rng.normal(size=100), seed) > 0 for seed in range(trials))


@pytest.mark.parametrize(
    "bound",
    [
        lambda a, b, seed: from_pairs(a, b, seed=seed),
        lambda a, b, seed: from_pairs(a, b, delta=DELTA, seed=seed),
        lambda a, b, seed: from_pairs(np.zeros(100), np.zeros(100), seed=seed),
        lambda a, b, seed: from_many_runs(a, b, seed=seed),
        lambda a, b, seed: from_rates(int((a > 1).sum()), 100, int((b > 1).sum()), 100),
    ],
    ids=["pairs", "pairs, delta", "pairs, ties", "many runs", "rates"],
)
def test_noise_raises_no_more_alarms_than_nominal(bound):
    """1,000 audits at 95 %: 50 expected at most, and 3 sigma."""
    assert alarms(bound, 1000) <= 50 + 3 * (1000 * 0.05 * 0.95) ** 0.5


def test_the_best_of_many_counts_would_raise_false_alarms():
    """What the halves are for: the published fault, on the same noise."""
    rng = np.random.default_rng(0)

    def best(differences):
        order = np.argsort(-np.abs(differences))
        return max(from_guesses(int((differences[order[:r]] > 0).sum()), r, 100) for r in (5, 10, 20, 30, 50, 70, 100))

    assert sum(best(rng.normal(size=100)) > 0 for _ in range(300)) > 2 * 0.05 * 300


def mechanisms(name, trials=200):
    """Bounds over true epsilon of 200 audits of a mechanism with 1,000 canaries."""
    rng = np.random.default_rng(1)
    bounds = []
    for seed in range(trials):
        if name == "randomised response":
            epsilon, delta = 2.0, 0.0
            right = rng.random(1000) < 1 / (1 + math.exp(-epsilon))
            bound = from_pairs(right.astype(float), 1.0 - right, seed=seed)
        else:
            epsilon, delta = gaussian_epsilon(1.0), DELTA
            inside, outside = rng.normal(size=500) + 1, rng.normal(size=500)
            if name == "Gaussian, one run":
                bound = from_pairs(rng.normal(size=1000) + 1, np.zeros(1000) + 0.5, delta=delta, seed=seed)
            else:
                bound = from_many_runs(inside, outside, delta=delta, seed=seed)
        bounds.append(bound / epsilon)
    return np.array(bounds)


@pytest.mark.parametrize(
    ("name", "reached"),
    [("randomised response", 0.8), ("Gaussian, many runs", 0.15), ("Gaussian, one run", 0.2)],
)
def test_known_mechanisms_are_bounded_from_below_and_not_far(name, reached):
    """Above the true epsilon in 5 % of audits at most, give or take 3 sigma; on average at least that share of it."""
    found = mechanisms(name)
    assert (found > 1).mean() <= 0.05 + 3 * (0.05 * 0.95 / len(found)) ** 0.5
    assert found.mean() >= reached


def test_adding_or_removing_is_half_of_replacing():
    assert adding_or_removing(lambda delta: 3.0, 0.0) == pytest.approx(1.5)
    assert adding_or_removing(lambda delta: 0.0, DELTA) == 0
    found = adding_or_removing(lambda delta: from_guesses(500, 500, 1000, delta=delta), 1e-4)
    assert 0 < found < from_guesses(500, 500, 1000, delta=1e-4) / 2
    assert from_guesses(500, 500, 1000, delta=(1 + math.exp(found)) * 1e-4) == pytest.approx(2 * found, abs=1e-6)


def test_one_half_chooses_and_the_other_is_guessed():
    """Of 11 pairs 5 choose and 6 are kept; no pair does both."""
    asked = []

    def promise(found):
        asked.append(found)
        return -found.guesses

    kept = guess(np.arange(11.0), np.full(11, 100.0), seed=0, promise=promise)
    assert {found.canaries for found in asked} == {5}
    assert kept == (0, 6, 6), "eight fifths of them are one at least, all at most"
    found = guess(np.arange(400.0) + 1, np.zeros(400), seed=0, promise=lambda found: -found.guesses)
    assert found == (8, 8, 200), "the fewest of 200 are 8"


def test_halves_have_nothing_in_common():
    first, second = _halves(np.arange(21.0), np.random.default_rng(0))
    assert (len(first), len(second)) == (10, 11)
    assert sorted([*first, *second]) == list(range(21))
    assert list(first) != sorted(first)


def test_guesses_on_ties_are_coins():
    found = guess(np.zeros(2000), np.zeros(2000), seed=3, promise=lambda found: found.guesses)
    assert found.guesses == 1000
    assert abs(found.correct - 500) < 3 * 250**0.5


def test_as_many_are_guessed_as_are_surely_right():
    """Of 200 pairs the 60 that differ most are right, and of the others none: no more are guessed than are right."""
    size = np.concatenate([np.full(60, 9.0), np.full(140, -1.0)])
    found = sure_guesses(size, np.zeros(200), seed=0)
    assert found.correct == found.guesses
    assert 15 <= found.guesses <= 30, "as many as are right in the half that chooses, and not just a few"


def test_a_small_bound_is_halved_as_well():
    assert adding_or_removing(lambda delta: 0.5, 0.0) == pytest.approx(0.25)
