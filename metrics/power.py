"""Power: the smallest leak that would have been seen, beside every silence."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from scipy.stats import beta, binom

from leakbench.metrics.decision import DECIDES, LINKED, Question, Seeds, of_all, pooled, shown

SEEN = 0.8
"""Probability with which the smallest leak would have been seen."""
WEAK = 0.05
"""An excess on `identity`, which publishes every member, below which an attack's silence proves little."""

EXPLAINED = "members.tp-at-0-fpr.control"
"""Members before every other that chance explains."""


@dataclass(frozen=True)
class Power:
    """What a silence is worth.

    Args:
        question: that was answered with no.
        smallest: the smallest excess of the measurement that decides that would have been seen.
        first: members that would have had to come before every other; None where nobody counted.
        identity: the same excess on `identity`, where every member is published; None where that was not measured.
    """

    question: Question
    smallest: float
    first: int | None
    identity: float | None

    @property
    def weak(self) -> bool:
        """Whether a leak of half of what `identity` shows would have been missed, or that shows next to nothing."""
        return self.identity is not None and self.identity < max(WEAK, 2 * self.smallest)

    @property
    def least(self) -> str:
        """The smallest leak in words."""
        first = "" if self.first is None else f" or {self.first} before every other"
        return f"from {shown(self.question, self.smallest)}{first}"

    def __str__(self) -> str:
        """The same beside what the attack can do at all."""
        if self.identity is None:
            return self.least
        return f"{self.least}; identity: {shown(self.question, self.identity)}{', weak' * self.weak}"


def smallest(seeds: Seeds, name: str) -> float | None:
    """The smallest excess of this name that would have been seen, from the width of its own interval.

    It is seen where it exceeds its distance to the lower end; a leak of exactly that is seen half of the time, so as
    much is added as it takes for `SEEN` (of a normal estimate).

    Args:
        seeds: measurements of an attack on what is audited.
        name: of an excess that may decide.

    Returns:
        It, or None where it was not measured, or all values are equal, which says nothing of its width.
    """
    found = pooled(of_all(seeds, name))
    if found is None or found.low is None or found.low == found.value:
        return None
    normal = NormalDist()
    return (found.value - found.low) * (1 + normal.inv_cdf(SEEN) / normal.inv_cdf((1 + found.level) / 2))


def smallest_link(seeds: Seeds) -> tuple[float, int] | None:
    """The smallest share of sources ranked first that would have been seen, and of how many, by a binomial test.

    The interval of none of 500 is of no use here: its lower end is the value itself.

    Args:
        seeds: measurements of an attack on what is audited.

    Returns:
        It, or None where no links were asked for.
    """
    excess, chance = pooled(of_all(seeds, LINKED)), pooled(of_all(seeds, f"{LINKED.removesuffix('excess')}control"))
    if excess is None or chance is None:
        return None
    fewest = int(binom.isf((1 - excess.level) / 2, excess.n, chance.value)) + 1
    return (float(beta.ppf(SEEN, fewest, excess.n - fewest + 1)) if fewest <= excess.n else 1.0), excess.n


def power(seeds: Seeds, question: Question, identity: Seeds = ()) -> Power | None:
    """The smallest leak that an attack would have shown at this size.

    Args:
        seeds: measurements of the attack on what is audited.
        question: that was asked.
        identity: the same on `identity`, where there is one.

    Returns:
        It, or None where the attack was not measured.
    """
    least, explained = smallest(seeds, DECIDES[question]), pooled(of_all(seeds, EXPLAINED))
    if least is None:
        return None
    first = None if explained is None else math.floor(explained.value) + 1
    reached = pooled(of_all(identity, DECIDES[question]))
    return Power(question, least, first, None if reached is None else reached.value)
