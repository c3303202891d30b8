"""What decides a question, and at which level. Standard library only: reports import it without torch."""

from typing import Literal

Question = Literal["trained", "class", "private", "members"]

DECIDES: dict[Question, str] = {
    "trained": "trained.ssim.excess",
    "class": "class.oracle.excess",
    "private": "private.ssim.excess",
    "members": "members.auc.excess",
}
"""What answers each question, fixed beforehand; ``members`` is ``private`` asked of scores instead of images."""

ALSO_DECIDES: dict[Question, tuple[str, ...]] = {
    "private": ("source.identification.excess",),
    "members": (
        "members.tpr-at-1.excess",
        "members.tpr-at-0.1.excess",
        "members.tp-at-0-fpr.excess",
        "members.epsilon.excess",
        "linkage.top-1.excess",
    ),
}
"""Any of them alone makes members leak too: the first sees resemblance to members at large, or how well members
are told apart on average; these the pairing, or the few members that are given away for sure. The six on members
share their false alarms: see `level`."""

MUST_BE_SILENT: frozenset[Question] = frozenset({"private", "members"})
"""The questions that must be answered with no on `disjoint`."""

FAMILY: dict[str, tuple[Question, ...]] = {
    "gan": ("class", "private"),
    "membership": ("members",),
}
"""The questions that a family of attacks answers: did it work (where that is another question), and do members leak."""

ALARMS = 0.05
"""Probability that anything at all that decides whether members leak raises a false alarm."""


def level(question: Question, alarms: float = ALARMS) -> float:
    """Level of each excess that may answer a question alone, so that together they raise so many false alarms."""
    return 1 - alarms / (1 + len(ALSO_DECIDES.get(question, ())))
