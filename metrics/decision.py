"""The decision: what answers a question, at which level, what controls must show, and the words for it.

Nobody else decides: judge, reports, console and audit ask here. Standard library only: reports import it without torch.
A seed's measurements are those that one attack left in one repetition.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from leakbench.metrics.measurement import Measurement

Question = Literal["trained", "class", "private", "members"]
Seeds = Sequence[Sequence[Measurement]]

LEAKS, NOTHING, UNKNOWN, NOT_VALIDATED = "leaks", "no leak found", "cannot tell", "not validated"
"""The words for an outcome; never safe."""
CANARIES = {LEAKS: "canaries found", NOTHING: "no canary found"}
"""The words of attacks that look for canaries: they tell of the defense, not of the members."""
WORKED = {LEAKS: "yes", NOTHING: "no"}
"""The words for whether an attack got what its victim trained on."""

DECIDES: dict[Question, str] = {
    "trained": "trained.ssim.excess",
    "class": "class.oracle.excess",
    "private": "private.ssim.excess",
    "members": "members.auc.excess",
}
"""What answers each question, fixed beforehand; ``members`` is ``private`` asked of scores instead of images."""

ALSO_DECIDES: dict[Question, tuple[str, ...]] = {
    "private": ("source.identification.excess", "linked.statistics.excess"),
    "members": (
        "members.tpr-at-1.excess",
        "members.tpr-at-0.1.excess",
        "members.tp-at-0-fpr.excess",
        "members.epsilon.excess",
        "linkage.top-1.excess",
    ),
}
"""Any of them alone makes members leak too: the first sees resemblance to members at large, or how well members
are told apart on average; these the pairing, what a network sees and no eye does, or the few members that are given
away for sure. Those of a question share their false alarms: see `level`."""

FIRST = "members.tp-at-0-fpr.excess"
"""Members that come before every other: a count among all candidates."""
LINKED = "linkage.top-1.excess"
"""Sources that are ranked first: what says that released images can be linked."""
RATES = ("members.auc.excess", "members.tpr-at-1.excess", "members.tpr-at-0.1.excess")
"""Excesses that a tolerance is of, beside the share of candidates that are members and come first."""

BLIND_CONTROL = "blind.auc.excess"
"""How well members and holdout can be told apart without the release (`metrics.blind`)."""

MUST_BE_SILENT: frozenset[Question] = frozenset({"private", "members"})
"""The questions that must be answered with no on `disjoint`."""

FAMILY: dict[str, tuple[Question, ...]] = {
    "gan": ("class", "private"),
    "membership": ("members",),
}
"""The questions that a family of attacks answers: did it work (where that is another question), and do members leak."""

ALARMS = 0.05
"""Probability that anything at all that decides whether members leak raises a false alarm."""
BLIND = 0.01
"""Probability that the blind control says of exchangeable images that they can be told apart."""


def deciding(question: Question) -> tuple[str, ...]:
    """Names of the measurements of which any may answer a question."""
    return (DECIDES[question], *ALSO_DECIDES.get(question, ()))


def level(question: Question, alarms: float = ALARMS) -> float:
    """Level of each excess that may answer a question alone, so that together they raise so many false alarms."""
    return 1 - alarms / len(deciding(question))


def pooled(measurements: Iterable[Measurement]) -> Measurement | None:
    """One measurement over seeds: the mean, with the interval of a mean of independent estimates.

    With m seeds the half-widths add in squares and are divided by m; an end that any seed's interval lacks the mean's
    lacks as well. Bounds have a lower end only.

    Args:
        measurements: of the same thing, one per seed.
    """
    found = list(measurements)
    if not found:
        return None
    count = len(found)
    value = sum(m.value for m in found) / count
    lows = [m.value - m.low for m in found if m.low is not None]
    highs = [m.high - m.value for m in found if m.high is not None]
    return replace(
        found[0],
        value=value,
        low=value - math.hypot(*lows) / count if len(lows) == count else None,
        high=value + math.hypot(*highs) / count if len(highs) == count else None,
        n=sum(m.n for m in found),
        p=found[0].p if count == 1 else None,
    )


def of_all(seeds: Seeds, name: str) -> list[Measurement]:
    """The measurement of each seed; none at all where one lacks it: no averages over survivors."""
    found = [next((m for m in seed if m.name == name), None) for seed in seeds]
    return [m for m in found if m] if all(found) else []


def above_zero(seeds: Seeds, name: str) -> bool:
    """The pooled interval is above 0, and every seed agrees: pooled quantiles alone raise too many alarms."""
    found = of_all(seeds, name)
    mean = pooled(found)
    return bool(mean and mean.low is not None and mean.low > 0 and all(m.value > 0 for m in found))


def detected(seeds: Seeds, question: Question) -> bool | None:
    """Whether anything that answers the question says yes, controls aside; None where it was not measured."""
    main = pooled(of_all(seeds, DECIDES[question]))
    if main is None or main.low is None:
        return None
    if question == "members" and main.high is not None and main.high < 0:
        return True  # who scores lower than chance is given away as well: turn the score round
    return any(above_zero(seeds, name) for name in deciding(question))


def exceeds(measured: Sequence[Measurement], tolerance: float) -> bool:
    """Whether members are told apart for sure by more than is tolerated.

    Args:
        measured: of one audit.
        tolerance: above 0; of AUC, from either side of chance, of true positive rates, and of the share of candidates
            that are members and come before every other.
    """
    found = {m.name: m for m in measured}
    low = {name: m.low for name, m in found.items() if name in RATES and m.low is not None}
    area, first = found[DECIDES["members"]], found[FIRST]
    return (
        any(end > tolerance for end in low.values())
        or (area.high is not None and area.high < -tolerance)
        or (first.low is not None and first.low / first.n > tolerance)
    )


def alarm_probability(measured: Sequence[Measurement], question: Question) -> float | None:
    """How probable it is that anything that decides says so as loudly of a release that gives nothing away.

    Bonferroni's: as many times the least of the p-values as there are measurements that may decide.

    Args:
        measured: of one seed.
        question: that was asked.

    Returns:
        It, or None where the records, older ones, have no p-values.
    """
    names = deciding(question)
    chances = [m.p for m in measured if m.name in names and m.p is not None]
    return min(1.0, len(names) * min(chances)) if chances else None


def shown(question: Question, excess: float) -> str:
    """An excess of what decides a question, in the words of tables."""
    if question == "members":
        return f"AUC {0.5 + excess:.3f}"
    return f"{'rate' if question == 'class' else 'SSIM'} {excess:+.3f}"


@dataclass(frozen=True)
class Control:
    """Whether an attack's answer to a question may be believed.

    Args:
        power: it succeeded on `identity`; None where that was not measured.
        silence: it found nothing on `disjoint`; None where that was not measured, or does not apply.
        why: what is wrong, in words; empty where nothing is.
        reached: the excess on `identity` in words, by how much it is validated; empty where that was not measured.
    """

    power: bool | None
    silence: bool | None
    why: str
    reached: str = ""

    @property
    def validated(self) -> bool:
        """Both controls passed."""
        return not self.why

    def __str__(self) -> str:
        """In words: validated by how much, or why not."""
        return f"validated: {self.reached} on identity" if self.validated else f"{NOT_VALIDATED}: {self.why}"


def control(question: Question, identity: Seeds, disjoint: Seeds, blind: Seeds | None = ()) -> Control:
    """Did the attack succeed on `identity` and, where members are concerned, find nothing on `disjoint`?

    Args:
        question: that was asked.
        identity: measurements on `identity`, which publishes every member.
        disjoint: on `disjoint`, which knows of none.
        blind: of the blind control, where there is one; None where it failed.
    """
    powered = detected(identity, question)
    problems = []
    if powered is None:
        problems.append("identity not measured")
    elif not powered:
        problems.append("no power shown on identity")
    reached = pooled(of_all(identity, DECIDES[question]))
    words = "" if reached is None else shown(question, reached.value)
    if question not in MUST_BE_SILENT:
        return Control(powered, None, ", ".join(problems), words)
    loud = detected(disjoint, question)
    main = pooled(of_all(disjoint, DECIDES[question]))
    if question == "private" and main and main.high is not None and main.high < 0:
        problems.append("members and holdout are not exchangeable on disjoint")
    if loud is None:
        problems.append("disjoint not measured")
    elif loud:
        problems.append("false alarm on disjoint")
    if blind is None:
        problems.append("the blind control failed")
    elif above_zero(blind, BLIND_CONTROL):
        problems.append("members and holdout can be told apart without the release")
    return Control(powered, None if loud is None else not loud, ", ".join(problems), words)


def outcome(found: bool, believed: Control) -> str:
    """The word for what an attack found, or why that is not believed."""
    if not believed.validated:
        return f"{NOT_VALIDATED}: {believed.why}"
    return LEAKS if found else NOTHING
