"""How well scores tell members from others: area under the ROC curve, and the true positive rate at a low false one."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

from leakbench.metrics.rates import Floats, Interval, clopper_pearson


class Excess(NamedTuple):
    """How much more than chance, its interval, and p: at confidence levels up to 1 - p the interval is above 0."""

    value: float
    low: float
    high: float
    p: float


def auc(scores: Floats, is_member: NDArray[np.bool_], *, level: float = 0.95) -> Interval:
    """Area under the ROC curve: how often a member scores higher than a non-member, ties counting half.

    The interval is DeLong's (doi 10.2307/2531595), from the ranks.

    Args:
        scores: (N,) finite; higher means member.
        is_member: (N,) at least two of each kind.
        level: confidence level.

    Raises:
        ValueError: a score that is not finite, or fewer than two of a kind.
    """
    inside, outside = _split(scores, is_member)
    ranks = rankdata(np.concatenate([inside, outside]))
    above = (ranks[: len(inside)] - rankdata(inside)) / len(outside)
    below = 1 - (ranks[len(inside) :] - rankdata(outside)) / len(inside)
    half = float(norm.ppf((1 + level) / 2)) * math.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below))
    value = float(above.mean())
    return Interval(value, max(0.0, value - half), min(1.0, value + half))


def auc_excess(scores: Floats, is_member: NDArray[np.bool_], *, level: float = 0.95) -> Excess:
    """AUC - 1/2 with the interval that excludes 0 exactly when Mann and Whitney's test rejects.

    DeLong's interval shrinks to a point where all members come first, which of 2 members and 2 others happens by
    chance once in six; this one has the width that chance has, by the normal approximation
    sqrt((m + n + 1) / (12 m n)).

    Args:
        scores: as for :func:`auc`.
        is_member: likewise.
        level: confidence level.

    Returns:
        It; its p is of both sides, since an AUC below chance tells members from others as well.
    """
    inside, outside = _split(scores, is_member)
    m, n = len(inside), len(outside)
    spread = math.sqrt((m + n + 1) / (12 * m * n))
    half = float(norm.ppf((1 + level) / 2)) * spread
    value = auc(scores, is_member).value - 0.5
    return Excess(value, value - half, value + half, float(2 * norm.sf(abs(value) / spread)))


class RateAtThreshold(NamedTuple):
    """True and false positive rate at one threshold, each with the exact interval of Clopper and Pearson."""

    true: Interval
    false: Interval


def tpr_at_fpr(
    scores: Floats, is_member: NDArray[np.bool_], fpr: float, *, level: float = 0.95
) -> RateAtThreshold | None:
    """True positive rate at the lowest threshold whose false positive rate on these non-members is at most `fpr`.

    The threshold is the (k + 1)-th highest score of a non-member, k = floor(fpr * n). Its true false positive rate is
    then distributed as the upper end of Clopper and Pearson's interval for k of n assumes, so that a true rate whose
    lower end exceeds that upper end is not chance.

    Args:
        scores: as for :func:`auc`.
        is_member: likewise.
        fpr: between 0 and 1.
        level: confidence level.

    Returns:
        The rates, or None where fewer than 1 / fpr non-members cannot resolve it.
    """
    inside, outside = _split(scores, is_member)
    allowed = math.floor(fpr * len(outside) + 1e-9)
    if not allowed:
        return None
    threshold = np.sort(outside)[::-1][allowed]
    hits, alarms = int((inside > threshold).sum()), int((outside > threshold).sum())
    return RateAtThreshold(
        clopper_pearson(hits, len(inside), level=level), clopper_pearson(alarms, len(outside), level=level)
    )


def rate_excess(scores: Floats, is_member: NDArray[np.bool_], fpr: float, *, level: float = 0.95) -> Excess | None:
    """The true positive rate less the false one: at least what lies between the intervals of :func:`tpr_at_fpr`.

    Args:
        scores: as for :func:`auc`.
        is_member: likewise.
        fpr: likewise.
        level: confidence level.
    """

    def at(level: float) -> tuple[float, float, float] | None:
        rates = tpr_at_fpr(scores, is_member, fpr, level=level)
        if rates is None:
            return None
        (hit, low, high), (alarm, least, most) = rates
        assert low is not None
        assert high is not None
        assert least is not None
        assert most is not None
        return hit - alarm, low - most, high - least

    found = at(level)
    if found is None:
        return None

    def below(log_p: float) -> float:
        apart = at(1 - math.exp(log_p))
        assert apart is not None
        return apart[1]

    ends = math.log(1e-12), math.log(1 - 1e-9)
    if below(ends[1]) <= 0:
        return Excess(*found, 1.0)
    return Excess(*found, math.exp(brentq(below, *ends)) if below(ends[0]) < 0 else 1e-12)


def roc(scores: Floats, is_member: NDArray[np.bool_], *, points: int = 60) -> list[tuple[float, float]]:
    """The ROC curve for logarithmic axes: false and true positive rates, no lower than one non-member resolves.

    Args:
        scores: as for :func:`auc`.
        is_member: likewise.
        points: at most; evenly spaced in the logarithm of the false positive rate, from 1 / n to 1.
    """
    inside, outside = _split(scores, is_member)
    n = len(outside)
    allowed = np.unique(np.geomspace(1, n, points).round().astype(int))
    thresholds = np.append(np.sort(outside)[::-1], -np.inf)[allowed]
    return [(float(k / n), float((inside > t).mean())) for k, t in zip(allowed, thresholds, strict=True)]


def true_positives_at_no_false_one(scores: Floats, is_member: NDArray[np.bool_], *, level: float = 0.95) -> Excess:
    """How many members score higher than every non-member, less what chance explains.

    A release that copies one member in a hundred moves neither the area under the curve nor the true positive rate at
    1 %, but puts its copies before everybody. Of exchangeable scores, j members or more come first with probability
    prod_{i < j} (m - i) / (m + n - i); the interval excludes 0 exactly when that is at most (1 - level) / 2.

    Args:
        scores: as for :func:`auc`.
        is_member: likewise.
        level: confidence level.

    Returns:
        The number, with the number less what chance explains as lower end.
    """
    inside, outside = _split(scores, is_member)
    first = int((inside > outside.max()).sum())
    ahead = np.arange(len(inside))
    chances = np.cumprod((len(inside) - ahead) / (len(scores) - ahead))  # of one member or more, of two, ...
    explained = int((chances > (1 - level) / 2).sum())
    p = min(1.0, 2 * float(chances[first - 1])) if first else 1.0
    return Excess(float(first), float(first - explained), float(first), p)


class SensitivitySpecificity(NamedTuple):
    """Sensitivity and specificity, each with the exact interval of Clopper and Pearson."""

    true: Interval
    negative: Interval


def at_chosen_threshold(
    scores: Floats, is_member: NDArray[np.bool_], *, seed: int, level: float = 0.95
) -> SensitivitySpecificity:
    """True positive and true negative rate on one half, at the threshold of best balanced accuracy on the other.

    Args:
        scores: as for :func:`auc`; at least four of each kind.
        is_member: likewise.
        seed: of the halving.
        level: confidence level.
    """
    rng = np.random.default_rng(seed)
    inside, outside = (rng.permutation(part) for part in _split(scores, is_member))
    m, n = len(inside) // 2, len(outside) // 2
    thresholds = np.sort(np.concatenate([inside[:m], outside[:n]]))
    hits = m - np.searchsorted(np.sort(inside[:m]), thresholds, side="right")
    passed = np.searchsorted(np.sort(outside[:n]), thresholds, side="right")
    threshold = thresholds[np.argmax(hits / m + passed / n)]
    true, negative = int((inside[m:] > threshold).sum()), int((outside[n:] <= threshold).sum())
    return SensitivitySpecificity(
        clopper_pearson(true, len(inside) - m, level=level), clopper_pearson(negative, len(outside) - n, level=level)
    )


def _split(scores: Floats, is_member: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    scores = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise ValueError("membership scores must be finite")
    inside, outside = scores[is_member], scores[~is_member]
    if min(len(inside), len(outside)) < 2:
        raise ValueError(f"two members and two others are needed, got {len(inside)} and {len(outside)}")
    return inside, outside
