"""A lower bound on epsilon from runs one after another, that may be looked at after every one: testing by betting."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from leakbench.metrics.epsilon import refuse_unordered
from leakbench.metrics.rates import Floats

STEP, LARGEST = 0.02, 50.0
"""Epsilons that are tried, one after another, until one is not rejected."""
STAKES = np.linspace(0.05, 0.95, 10)
"""Shares of the largest bet that cannot be lost altogether."""
QUANTILES = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
"""Of the scores seen so far: thresholds to bet on."""


def from_sequence(inside: Floats, outside: Floats, *, delta: float = 0.0, level: float = 0.95) -> float:
    """A lower bound on the epsilon of adding or removing an image, valid whenever somebody stops to look.

    Of an (epsilon, delta)-private mechanism P[above] <= exp(epsilon) P[above without the canary] + delta, whatever the
    threshold, and the same of not being above with the two exchanged. So nobody gains by betting, run after run, on the
    difference: the wealth of whoever does, starting with 1, reaches 1 / (1 - level) with a probability of at most
    1 - level (Ville). Wealth is spread evenly over both directions, thresholds at quantiles of the scores seen before,
    and stakes; the bound is the first epsilon at which it has never been so large.

    Differs from the paper (arXiv 2509.07055): indicators of scores instead of a kernel's witness function, and a
    mixture of stakes instead of one that is learned.

    Args:
        inside: (R,) scores of runs with the canary in, in the order of runs; higher means in.
        outside: (S,) of runs without it, likewise; runs without a partner are left out.
        delta: of (epsilon, delta).
        level: confidence.

    Raises:
        ValueError: a score that is not finite.
    """
    won, lost = _bets(inside, outside)
    epsilon = 0.0
    while epsilon < LARGEST and _log_wealth(won, lost, epsilon, delta) >= -math.log(1 - level):
        epsilon += STEP
    return max(0.0, epsilon - STEP)


def p_value(inside: Floats, outside: Floats, *, delta: float = 0.0) -> float:
    """The chance of as much wealth at any time where the canary changes nothing but with probability delta, at most.

    Args:
        inside: as for :func:`from_sequence`.
        outside: likewise.
        delta: likewise.
    """
    return min(1.0, math.exp(-_log_wealth(*_bets(inside, outside), 0.0, delta)))


def _bets(inside: Floats, outside: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(R, 2Q) what each run pays, and what it costs exp(epsilon) of, for each threshold and direction."""
    refuse_unordered(inside, outside)
    runs = min(len(inside), len(outside))
    thresholds = _thresholds(inside, outside, runs)
    hit, alarm = (
        (np.asarray(scores[:runs], dtype=np.float64)[:, None] > thresholds).astype(np.float64)
        for scores in (inside, outside)
    )
    return np.concatenate([hit, 1 - alarm], 1), np.concatenate([alarm, 1 - hit], 1)


def _thresholds(inside: Floats, outside: Floats, runs: int) -> NDArray[np.float64]:
    """(R, Q) for each run: quantiles of all scores before it; of the first none, so that it is above none."""
    seen = [np.quantile(np.concatenate([inside[:run], outside[:run]]), QUANTILES) for run in range(1, runs)]
    return np.array([np.full(len(QUANTILES), np.inf), *seen])


def _log_wealth(won: NDArray[np.float64], lost: NDArray[np.float64], epsilon: float, delta: float) -> float:
    """Of the largest wealth at any time: the mean over thresholds, directions and stakes of products over runs."""
    payoff = won - math.exp(epsilon) * lost - delta
    stakes = STAKES / (math.exp(epsilon) + delta)
    grown = np.log1p(stakes * payoff[:, :, None]).cumsum(0)
    return float(logsumexp(grown, axis=(1, 2)).max()) - math.log(grown[0].size)
