"""How well scores tell members from others: area under the ROC curve, and the true positive rate at a low false one."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from metrics.rates import Floats, Interval, clopper_pearson


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


def auc_excess(scores: Floats, is_member: NDArray[np.bool_], *, level: float = 0.95) -> Interval:
    """AUC - 1/2 with the interval that excludes 0 exactly when Mann and Whitney's test rejects.

    DeLong's interval shrinks to a point where all members come first, which of 2 members and 2 others happens by
    chance once in six; this one has the width that chance has, by the normal approximation
    sqrt((m + n + 1) / (12 m n)).

    Args:
        scores: as for :func:`auc`.
        is_member: likewise.
        level: confidence level.
    """
    inside, outside = _split(scores, is_member)
    m, n = len(inside), len(outside)
    half = float(norm.ppf((1 + level) / 2)) * math.sqrt((m + n + 1) / (12 * m * n))
    value = auc(scores, is_member).value - 0.5
    return Interval(value, value - half, value + half)


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


def _split(scores: Floats, is_member: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    scores = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise ValueError("membership scores must be finite")
    inside, outside = scores[is_member], scores[~is_member]
    if min(len(inside), len(outside)) < 2:
        raise ValueError(f"two members and two others are needed, got {len(inside)} and {len(outside)}")
    return inside, outside
