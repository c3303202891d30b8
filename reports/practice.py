"""The findings set against the three questions of European practice on anonymisation."""

from typing import NamedTuple

from leakbench.metrics.decision import LEAKS, LINKED, NOTHING
from leakbench.reports.table import Table
from leakbench.reports.verdicts import Results


class Asked(NamedTuple):
    """One question of Opinion 05/2014 (WP216), the families of attacks that answer it, and what stays open."""

    name: str
    question: str
    families: tuple[str, ...]
    stays_open: str


LINKS = "Linkability"
"""The question that attacks on membership answer by `decision.LINKED`."""

QUESTIONS = (
    Asked(
        "Singling out",
        "Can one person's records be isolated: was this person's image among the private ones?",
        ("membership",),
        "People of whom nobody has a candidate image; attackers with more shadow models than were trained here.",
    ),
    Asked(
        LINKS,
        "Can a released record, or what a model gives away, be linked to one person's private image?",
        ("gradient", "memorization"),
        "Links to other datasets of the same person, and between releases of the same members.",
    ),
    Asked(
        "Inference",
        "Can what a person looks like, or what is true of a class, be inferred with significant probability?",
        ("gan",),
        "Attributes that the labels do not name: nobody looked for those.",
    ),
)
NOTES = (
    "Article 29 Working Party, Opinion 05/2014 on anonymisation techniques (WP216), asks these three questions of a "
    "release; EDPB Opinion 28/2024 asks of a model trained on personal data whether direct extraction and what queries "
    "give away are insignificant for all means reasonably likely to be used. The attacks on students, gradients and "
    "training code speak to the second, those on the images to the first.",
    "No attack's silence answers a question with no: it says what these attackers found with these means. This page "
    "is a reading aid and no legal advice.",
)


def practice(results: Results) -> Table:
    """Which attack answers which question, what it found, and what stays open."""
    rows = []
    for asked in QUESTIONS:
        attacks = [a for a in results.attacks if _answers(results, a, asked)]
        found = [f"{results.label(d)}: {_finding(results, d, attacks, asked)}" for d in results.defenses if attacks]
        rows.append(
            (
                asked.name,
                asked.question,
                ", ".join(map(results.label, attacks)) or "not asked in this run",
                "; ".join(found) or "open",
                asked.stays_open,
            )
        )
    heads = ("Question", "What it asks", "Asked by", "Finding", "What stays open")
    return Table("T8", "Three questions of European practice", heads, tuple(rows), NOTES)


def _answers(results: Results, attack: str, asked: Asked) -> bool:
    if results.goal(attack) == "canaries":
        return False  # they tell of the defense, not of these people
    if asked.name == LINKS and any(r.get(LINKED) for r in results.records if r.cell.method == attack):
        return True
    return results.family(attack) in asked.families


def _finding(results: Results, defense: str, attacks: list[str], asked: Asked) -> str:
    """Yes where any attack that is validated says so; no leak found only as far as attacks are."""
    answers = {attack: _answer(results, defense, attack, asked) for attack in attacks}
    if LEAKS in answers.values():
        return "yes"
    silent = _silent(results, defense, [a for a in attacks if answers[a] == NOTHING], asked)
    left = [f"{results.label(a)} ({answers[a].partition(':')[0]})" for a in attacks if answers[a] != NOTHING]
    found = [f"{NOTHING} by {silent}"] if silent else []
    return ", ".join([*found, *([f"open: {', '.join(left)}"] if left else [])])


def _silent(results: Results, defense: str, attacks: list[str], asked: Asked) -> str:
    """The attacks that found nothing, with the smallest leak that they would have seen."""
    links = {a: link for a in attacks if asked.name == LINKS and (link := results.smallest_link(defense, a))}
    linked = [
        f"{results.label(attack)} (from {100 * rate:.2g} % of {count} sources ranked first)"
        for attack, (rate, count) in links.items()
    ]
    return ", ".join([*linked, *filter(None, [results.silent(defense, [a for a in attacks if a not in links])])])


def _answer(results: Results, defense: str, attack: str, asked: Asked) -> str:
    verdict = results.member_verdict(defense, attack)
    if asked.name == LINKS and results.family(attack) == "membership" and verdict in (LEAKS, NOTHING):
        if results.measurement(defense, "attack", attack, LINKED) is None:
            return results.missing(defense, "attack", attack, LINKED)
        return LEAKS if results.above_zero(defense, attack, LINKED) else NOTHING
    if asked.name != "Inference" or verdict == LEAKS:
        return verdict
    shown = results.attack_verdict(defense, attack)
    return {"yes": LEAKS, "no": verdict}.get(shown, shown)
