"""Bounds for Gaussian mechanisms, against published figures and mechanisms of known mu."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from leakbench.metrics.epsilon import Guesses, from_guesses
from leakbench.metrics.gaussian_privacy import allowed, epsilon, mu_from_guesses, mu_from_pairs
from tests.metrics.test_epsilon import from_pairs

DELTA = 1e-5


@pytest.mark.parametrize(
    ("found", "replacing", "adding"),
    [(Guesses(10_000, 10_000, 10_000), 16.1, 6.83), (Guesses(990, 1_000, 10_000), 5.92, 2.66)],
)
def test_figures_of_an_independent_implementation(found, replacing, adding):
    """Those of shared/RECIPES.md, 4.3."""
    mu = mu_from_guesses(found)
    assert epsilon(mu, DELTA) == pytest.approx(replacing, abs=0.05)
    assert epsilon(mu / 2, DELTA) == pytest.approx(adding, abs=0.005)
    assert epsilon(mu, DELTA) > from_guesses(*found, delta=DELTA)


def test_by_hand():
    """One guess of one canary is right: r = alarms, h = f(r) with mu 0 is r, and r + h = 0.1 is no contradiction."""
    assert allowed(Guesses(1, 1, 1), 0.0, 0.05)
    assert allowed(Guesses(0, 1, 1), 0.0, 0.05)
    # Alarms of 0.6 are below what chance has, 1/2: r + h = 1.2 > 1 contradicts.
    assert not allowed(Guesses(1, 1, 1), 0.0, 0.6)
    assert allowed(Guesses(1, 1, 1), norm.ppf(0.6) - norm.ppf(0.4) + 1e-6, 0.6), "f(0.6) is then 0.4"
    assert not allowed(Guesses(1, 1, 1), norm.ppf(0.6) - norm.ppf(0.4) - 1e-6, 0.6)


def test_a_bound_is_where_guesses_stop_to_be_allowed():
    found = Guesses(190, 200, 1000)
    mu = mu_from_guesses(found)
    assert mu > 0
    assert not allowed(found, mu - 1e-6, 0.05)
    assert allowed(found, mu + 1e-6, 0.05)
    assert mu_from_guesses(found, level=0.999) < mu
    assert mu_from_guesses(Guesses(100, 200, 1000)) == 0


def test_epsilon_is_that_of_the_curve():
    """4.377 for mu = 1 and delta 1e-5 (arXiv 1905.02383, corollary 2.13)."""
    found = epsilon(1.0, DELTA)
    assert found == pytest.approx(4.377, abs=1e-3)
    curve = norm.cdf(0.5 - found) - math.exp(found) * norm.cdf(-0.5 - found)
    assert curve == pytest.approx(DELTA, rel=1e-6)
    assert epsilon(0.0, DELTA) == epsilon(1e-6, DELTA) == 0


def bounds(mu, pairs, audits, kind):
    """(audits, 2): the Gaussian bound and Steinke's over the true epsilon of replacing one."""
    rng = np.random.default_rng(round(10 * mu))
    true, found = epsilon(mu, DELTA), []
    for seed in range(audits):
        scores = rng.normal(size=pairs) + mu / 2
        if kind == "shared":  # who knows |score| has a privacy loss of mu |score|: here that of all pairs is one
            size = np.abs(rng.normal() + mu / 2)
            scores = size * np.where(rng.random(pairs) < 1 / (1 + np.exp(-mu * size)), 1.0, -1.0)
        ours = epsilon(mu_from_pairs(scores, -scores, seed=seed), DELTA)
        found.append((ours / true, from_pairs(scores, -scores, delta=DELTA, seed=seed) / true))
    return np.array(found)


@pytest.mark.parametrize("kind", ["independent", "shared"])
@pytest.mark.parametrize("mu", [0.5, 1.0, 2.0])
def test_gaussian_mechanisms_are_bounded_from_below(mu, kind):
    """With noise of each pair's own, and where all pairs are given away together, the worst that a curve allows."""
    found = bounds(mu, 400, 100, kind)[:, 0]
    assert (found > 1).mean() <= 0.05 + 3 * (0.05 * 0.95 / len(found)) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("mu", [0.5, 1.0, 2.0])
def test_more_of_epsilon_is_found_than_without_the_assumption(mu):
    """With 10,000 pairs: more than half, and a third more than Steinke's."""
    ours, steinke = bounds(mu, 10_000, 5, "independent").mean(0)
    assert ours > 0.5
    assert ours > 1.25 * steinke
