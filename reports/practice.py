"""The findings set against the three questions of European practice on anonymisation."""

from typing import NamedTuple

from reports.table import Table
from reports.verdicts import Results


class Asked(NamedTuple):
    """One question of Opinion 05/2014 (WP216), the families of attacks that answer it, and what stays open."""

    name: str
    question: str
    families: tuple[str, ...]
    stays_open: str


QUESTIONS = (
    Asked(
        "Singling out",
        "Can one person's records be isolated: was this person's image among the private ones?",
        ("membership",),
        "People of whom nobody has a candidate image; attackers with more shadow models than were trained here.",
    ),
    Asked(
        "Linkability",
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
        found = [f"{d}: {_finding(results, d, attacks, asked)}" for d in results.defenses if attacks]
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
    links = any(r.get("linkage.top-1.excess") for r in results.records if r.cell.method == attack)
    if asked.name == "Linkability" and links:
        return True
    return results.family(attack) in asked.families


def _finding(results: Results, defense: str, attacks: list[str], asked: Asked) -> str:
    """The worst that any validated attack found."""
    answers = []
    for attack in attacks:
        verdict = results.worked(defense, attack) if asked.name == "Inference" else results.leak(defense, attack)
        answers.append({"yes": "leaks", "no": "no leak found"}.get(verdict, verdict).partition(":")[0])
    for word in ("leaks", "canaries found", "no leak found", "no canary found"):
        if word in answers:
            return {"leaks": "yes", "canaries found": "canaries only"}.get(word, word)
    return f"open ({answers[0]})"
