"""What page 1 says: which family of attacks finds members of which release, how sure that is, what each is good for."""

from collections.abc import Iterable
from dataclasses import dataclass

from leakbench.metrics import decision
from leakbench.metrics.decision import CANARIES, LEAKS, NOT_VALIDATED, NOTHING
from leakbench.metrics.measurement import Measurement
from leakbench.metrics.power import Power
from leakbench.reports.verdicts import Results

FAMILIES = {
    "gradient": "Gradient matching",
    "memorization": "Memorization by training code",
    "gan": "GAN-based",
    "membership": "Membership, linkage, copies",
    "canaries": "Canaries",
}
"""Columns of the matrix."""

FAILED, INAPPLICABLE = "failed", "not applicable"
SIGNS = {LEAKS: "■", NOTHING: "□", NOT_VALIDATED: "?", FAILED: "!", INAPPLICABLE: "–"}  # noqa: RUF001
"""What prints gray as well as in color."""
LEGEND = {
    LEAKS: "an attack that passed its controls finds members",
    NOTHING: "attacks that passed their controls find none; the least that the keenest of them would have seen stands "
    "beside it",
    NOT_VALIDATED: "no attack of the family passed its controls, so its silence and its alarms prove nothing",
    FAILED: "an attack did not finish, and no other finds members",
    INAPPLICABLE: "the release has nothing for the family to attack, or the run did not ask",
}
MOST = 2
"""Attacks named in a cell."""


@dataclass(frozen=True)
class Found:
    """A cell of the matrix.

    Args:
        outcome: a key of `SIGNS`.
        detail: by what, from what power, or why not.
    """

    outcome: str
    detail: str

    @property
    def sign(self) -> str:
        """The outcome as one character."""
        return SIGNS[self.outcome]


def column(results: Results, attack: str) -> str:
    """The column of the matrix that an attack belongs to."""
    return "canaries" if results.goal(attack) == "canaries" else results.family(attack)


def families(results: Results) -> dict[str, list[str]]:
    """The columns that a run has, with their attacks."""
    found: dict[str, list[str]] = {}
    for attack in results.attacks:
        found.setdefault(column(results, attack), []).append(attack)
    return {family: found[family] for family in sorted(found, key=_order)}


def _order(family: str) -> int:
    return list(FAMILIES).index(family) if family in FAMILIES else len(FAMILIES)


def matrix(results: Results) -> dict[str, dict[str, Found]]:
    """What each family of attacks found of each release, by defense and family."""
    return {
        defense: {family: found(results, defense, attacks) for family, attacks in families(results).items()}
        for defense in results.defenses
    }


def found(results: Results, defense: str, attacks: list[str]) -> Found:
    """What attacks of one family say together: a leak that one proves counts, a failure is never a silence."""
    said: dict[str, list[str]] = {}
    for attack in attacks:
        said.setdefault(outcome(results, defense, attack), []).append(attack)
    if LEAKS in said:
        named = sorted(said[LEAKS], key=lambda attack: -(share(results, defense, attack) or 0.0))
        return Found(LEAKS, "by " + few([results.label(attack) for attack in named]))
    if FAILED in said:
        return Found(FAILED, few([results.label(attack) for attack in said[FAILED]]))
    if NOTHING in said:
        left = len(said.get(NOT_VALIDATED, ()))
        more = f"; {left} of {len(attacks)} not validated" if left else ""
        return Found(NOTHING, least(results, defense, said[NOTHING]) + more)
    if NOT_VALIDATED in said:
        unproven = said[NOT_VALIDATED]
        why = results.member_verdict(defense, unproven[0]).partition(": ")[2]
        classes = any(results.shows_class(defense, attack) for attack in unproven)
        return Found(NOT_VALIDATED, "shows classes; of members " * classes + why)
    return Found(INAPPLICABLE, "")


def outcome(results: Results, defense: str, attack: str) -> str:
    """The key of `SIGNS` that a verdict on members, or on canaries, belongs to."""
    verdict = results.member_verdict(defense, attack)
    for known in (LEAKS, NOTHING):
        if verdict in (known, CANARIES[known]):
            return known
    if verdict.startswith(NOT_VALIDATED):
        return NOT_VALIDATED
    return INAPPLICABLE if verdict.startswith("n/a") else FAILED  # so is what is incomplete


def keenest(results: Results, defense: str, attacks: Iterable[str]) -> Power | None:
    """The power of the keenest of silent attacks, measured by what it sees on `identity`; None where none is known."""
    worths = (results.power(defense, attack, results.questions(attack)[-1]) for attack in attacks)
    known = [worth for worth in worths if worth and worth.identity and worth.identity > 0]
    return min(known, key=_relative) if known else None


def _relative(worth: Power) -> float:
    assert worth.identity is not None
    return worth.smallest / worth.identity


def least(results: Results, defense: str, attacks: Iterable[str]) -> str:
    """What the keenest of silent attacks would have seen, in words."""
    worth = keenest(results, defense, attacks)
    return "power not known" if worth is None else worth.least + ", weak" * worth.weak


def silent(results: Results, defense: str) -> list[str]:
    """The attacks on members that are validated and found nothing."""
    return [a for a in results.attacks if column(results, a) != "canaries" and outcome(results, defense, a) == NOTHING]


def shares(results: Results, defense: str, attack: str) -> dict[str, float]:
    """Of the measurements that may decide and are above 0 for sure, how much of the same on `identity` each is.

    At most 1 each, which is also what one counts that has nothing to be set against.
    """
    asked, identity = results.questions(attack)[-1], results.spec_named("identity")
    against = results.without_sanitizing(attack)
    names = [name for name in decision.deciding(asked) if results.above_zero(defense, attack, name)]
    found = {}
    for name in names or [decision.DECIDES[asked]]:  # an area below chance is above zero nowhere
        here = results.measurement(defense, "attack", attack, name)
        there = results.measurement(identity, "attack", against, name) if identity else None
        if here and there and there.value > 0:
            found[name] = min(1.0, abs(here.value) / there.value)
    return found or dict.fromkeys(names, 1.0)


def share(results: Results, defense: str, attack: str) -> float | None:
    """How much of what an attack gains where every member is published it gains here: 1 is all of it, 0 a silence.

    Returns:
        The largest of `shares`, or None where the attack is not validated, or was not measured.
    """
    said = outcome(results, defense, attack)
    if said == LEAKS:
        return max(shares(results, defense, attack).values(), default=1.0)
    return 0.0 if said == NOTHING else None


def strongest(results: Results, defense: str) -> tuple[float, str] | None:
    """The largest share of any validated attack on members, and which attack; None where none is validated."""
    known = [
        (value, attack)
        for attack in results.attacks
        if column(results, attack) != "canaries" and (value := share(results, defense, attack)) is not None
    ]
    return max(known, key=lambda pair: pair[0]) if known else None


def unseen(results: Results, defense: str) -> float | None:
    """The least share that the keenest silent attack would have seen; None where that is not known."""
    worth = keenest(results, defense, silent(results, defense))
    return None if worth is None else min(1.0, _relative(worth))


def utility(results: Results, defense: str) -> tuple[Measurement | None, float | None]:
    """Test accuracy of the first student of hard labels, and its share of that of `identity`'s of the same kind."""
    student = results.hard_student(defense)
    identity = results.spec_named("identity")
    mine = results.measurement(defense, "utility", student, "student.accuracy")
    base = results.measurement(identity, "utility", student, "student.accuracy") if identity else None
    return mine, mine.value / base.value if mine and base and base.value else None


def few(names: list[str], most: int = MOST) -> str:
    """The first names, and how many more there are."""
    shown, left = names[:most], len(names) - most
    return ", ".join(shown) + (f" and {left} more" if left > 0 else "")
