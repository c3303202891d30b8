"""Lower bounds on the epsilon of differential privacy, from how well an attack guesses who is in."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import beta, binom

from leakbench.metrics.rates import Floats, clopper_pearson

COUNTS = 12
"""Thresholds, or numbers of guesses, tried on the half that is not reported."""
LARGEST = 50.0
"""No bound above it is looked for."""


def from_rates(hits: int, inside: int, alarms: int, outside: int, *, delta: float = 0.0, level: float = 0.95) -> float:
    """A lower bound on epsilon from many runs: exp(epsilon) >= (TPR - delta) / FPR, and the same of the negatives.

    Both rates by Clopper and Pearson, one end of each, so that both hold at once (Nasr et al., arXiv 2101.04535,
    section IV); the threshold must have been fixed without these runs.

    Args:
        hits: runs with the canary in that were taken for such.
        inside: runs with the canary in.
        alarms: runs without it that were taken for runs with it.
        outside: runs without it.
        delta: of (epsilon, delta).
        level: confidence that epsilon is no smaller.
    """
    true, false = (clopper_pearson(*counts, level=level) for counts in ((hits, inside), (alarms, outside)))
    assert true.low is not None
    assert false.high is not None
    ratios = [(true.low - delta, false.high), (1 - false.high - delta, 1 - true.low)]
    return max([0.0, *(math.log(above / below) for above, below in ratios if above > 0 and below > 0)])


def from_many_runs(
    inside: Floats,
    outside: Floats,
    *,
    delta: float = 0.0,
    level: float = 0.95,
    seed: int = 0,
) -> float:
    """The same from scores: the threshold is chosen on a random half of the runs, the bound comes from the other.

    Args:
        inside: (R,) scores of runs with the canary in; higher means in. R >= 4.
        outside: (S,) scores of runs without it; S >= 4.
        delta: of (epsilon, delta).
        level: confidence.
        seed: of the halving.

    Raises:
        ValueError: a score that is not finite.
    """
    refuse_unordered(inside, outside)
    rng = np.random.default_rng(seed)
    chosen, kept = zip(*(_halves(scores, rng) for scores in (inside, outside)), strict=True)

    def bound(threshold: float, parts: tuple[Floats, ...]) -> float:
        hits, alarms = (int((part > threshold).sum()) for part in parts)
        return from_rates(hits, len(parts[0]), alarms, len(parts[1]), delta=delta, level=level)

    thresholds = np.quantile(np.concatenate(chosen), np.linspace(0, 1, COUNTS + 2)[1:-1])
    return bound(max(thresholds, key=lambda threshold: bound(threshold, chosen)), kept)


def p_value(correct: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """The chance of as many right guesses in one run of an (epsilon, delta)-private mechanism, at most.

    Steinke, Nasr and Jagielski (arXiv 2305.08846), theorem 5.2: P[B >= v] + 2 m delta max_i P[v > B >= v - i] / i for
    B ~ Binomial(r, 1 / (1 + exp(-epsilon))).

    Args:
        correct: v, right guesses.
        guesses: r, all guesses; fixed beforehand.
        canaries: m, each in with probability 1/2, independently.
        epsilon: assumed.
        delta: assumed.
    """
    right = 1 / (1 + math.exp(-epsilon))
    tail = float(binom.sf(correct - 1, guesses, right))
    if not delta or not correct:
        return min(1.0, tail)
    below = np.cumsum(binom.pmf(np.arange(correct - 1, -1, -1), guesses, right))
    return min(1.0, tail + 2 * canaries * delta * float((below / np.arange(1, correct + 1)).max()))


def from_guesses(correct: int, guesses: int, canaries: int, *, delta: float = 0.0, level: float = 0.95) -> float:
    """A lower bound on epsilon from one run: the largest that these guesses reject.

    Args:
        correct: right guesses.
        guesses: all guesses; fixed beforehand.
        canaries: each in with probability 1/2, independently.
        delta: of (epsilon, delta).
        level: confidence.
    """

    def surplus(epsilon: float) -> float:
        return p_value(correct, guesses, canaries, epsilon, delta) - (1 - level)

    if surplus(0.0) >= 0:
        return 0.0
    return LARGEST if surplus(LARGEST) < 0 else float(brentq(surplus, 0.0, LARGEST))


class Guesses(NamedTuple):
    """What was guessed in one run: how many are right, of how many guesses, of how many canaries."""

    correct: int
    guesses: int
    canaries: int


def guess(inside: Floats, outside: Floats, *, seed: int, promise: Callable[[Guesses], float]) -> Guesses:
    """Guess of each pair of canaries, of which one was in by the toss of a coin, that it was the one scored higher.

    Only where the difference is among the largest. How many are guessed is chosen on a random half of the pairs and
    the guesses are of the other: the best of many counts on the same pairs would claim an epsilon above 0 on noise in
    about half of all runs.

    Args:
        inside: (P,) scores of those that were in; higher means in.
        outside: (P,) scores of their partners. P >= 4.
        seed: of the halving, and of the guesses where scores are equal.
        promise: how good guesses are; of the half that chooses the best one counts.

    Raises:
        ValueError: a score that is not finite.
    """
    refuse_unordered(inside, outside)
    rng = np.random.default_rng(seed)
    differences = np.asarray(inside, dtype=np.float64) - np.asarray(outside, dtype=np.float64)
    coin = rng.choice([-1.0, 1.0], len(differences))
    differences = np.where(differences == 0, coin * np.finfo(np.float64).tiny, differences)
    chosen, kept = _halves(differences, rng)

    def right(part: Floats, share: float) -> Guesses:
        count = max(1, round(share * len(part)))
        surest = part[np.argsort(-np.abs(part), kind="stable")[:count]]
        return Guesses(int((surest > 0).sum()), count, len(part))

    shares = np.geomspace(min(1.0, 8 / len(chosen)), 1, COUNTS)
    return right(kept, max(shares, key=lambda share: promise(right(chosen, share))))


def sure_guesses(inside: Floats, outside: Floats, *, level: float = 0.95, seed: int = 0) -> Guesses:
    """As many guesses as make their rate most surely high, by Clopper and Pearson's lower end.

    What `from_guesses` makes of them bounds the epsilon of replacing one image by another; that of adding or removing
    one is at least half of it.

    Args:
        inside: as for :func:`guess`.
        outside: likewise.
        level: confidence level.
        seed: likewise.
    """

    def rate(found: Guesses) -> float:
        v, r, _ = found
        return float(beta.ppf(1 - level, v, r - v + 1)) if v else 0.0

    return guess(inside, outside, seed=seed, promise=rate)


def adding_or_removing(replacing: Callable[[float], float], delta: float) -> float:
    """A lower bound on the epsilon of adding or removing an image, from one on that of replacing one.

    Replacing is removing and adding: (epsilon, delta) for one image is (2 epsilon, (1 + exp(epsilon)) delta) for
    replacing one. The bound is the largest epsilon that this rejects.

    Args:
        replacing: the bound on the epsilon of replacing an image, from a delta; of guesses that do not depend on it.
        delta: of adding or removing one.
    """

    def surplus(epsilon: float) -> float:
        return replacing(min(1.0, (1 + math.exp(epsilon)) * delta)) / 2 - epsilon

    return float(brentq(surplus, 0.0, LARGEST)) if surplus(0.0) > 0 else 0.0


def refuse_unordered(*scores: Floats) -> None:
    """NaN is neither above nor below a threshold: half a run of them turned a bound of 3.9 into 0."""
    if not all(np.isfinite(part).all() for part in scores):
        raise ValueError("scores of canaries must be finite")


def _halves(values: Floats, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shuffled = rng.permutation(np.asarray(values, dtype=np.float64))
    return shuffled[: len(shuffled) // 2], shuffled[len(shuffled) // 2 :]
