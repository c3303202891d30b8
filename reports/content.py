"""What a report says, as data: every format prints the same."""

import json
import re
from pathlib import Path
from typing import Any

from leakbench.metrics.decision import MUST_BE_SILENT, Question
from leakbench.reports.findings import findings
from leakbench.reports.glance import FAMILIES, LEGEND, SIGNS, Found, matrix, utility
from leakbench.reports.leakage import blind_words, expected_alarms
from leakbench.reports.pictures import gallery, strip, worst
from leakbench.reports.sentences import sentence, three_sentences
from leakbench.reports.table import KEYS, Table, show
from leakbench.reports.tables import tables
from leakbench.reports.verdicts import Results, is_control

REFERENCES = (
    "The audited paper: releases by class-wise batch-norm statistics, arXiv 2210.03205",
    "L. Zhu et al.: DLG, arXiv 1906.08935; B. Zhao et al.: iDLG, arXiv 2001.02610",
    "J. Geiping et al.: Inverting Gradients, arXiv 2003.14053; H. Yin et al.: GradInversion, arXiv 2104.07586",
    "C. Song et al.: memorization by training code, arXiv 1709.07886",
    "B. Hitaj et al.: GANs against federations, arXiv 1702.07464",
    "Y. Zhang et al.: GMI, arXiv 1911.07135; S. Chen et al.: KEDMI, arXiv 2010.04092",
    "D. Chen et al.: GAN-Leaks, arXiv 1909.03935; B. van Breugel et al.: DOMIAS, arXiv 2302.12580",
    "N. Carlini et al.: LiRA, arXiv 2112.03570; S. Zarifzadeh et al.: RMIA, arXiv 2312.03262",
    "T. Steinke et al.: privacy auditing in one run, arXiv 2305.08846",
    "Article 29 Working Party, Opinion 05/2014 (WP216); EDPB, Opinion 28/2024",
)


def _galleries(results: Results, folder: Path, attack: str) -> list[dict[str, str]]:
    """An attack's galleries of the first seed, in the order of defenses."""
    return [
        {
            "file": file,
            "title": f"{results.label(attack)} against {results.label(defense)}",
            "verdict": f"worked: {results.attack_answer(defense, attack)}; "
            f"members: {results.member_answer(defense, attack)}",
        }
        for defense in results.defenses
        if (file := gallery(results, defense, attack, folder))
    ]


def _attacks(results: Results, folder: Path) -> list[dict[str, Any]]:
    """Every attack: who the attacker is, what it is given, whether its controls passed, what it found."""
    found = []
    for attack in results.attacks:
        said = results.attacked(attack)
        found.append(
            {
                "name": results.label(attack),
                "spec": attack,
                "story": said.story,
                "given": "; ".join(said.given),
                "controls": [_control(results, attack, question) for question in results.questions(attack)],
                "verdicts": [
                    (d, results.attack_answer(d, attack), results.member_answer(d, attack)) for d in results.defenses
                ],
                "galleries": _galleries(results, folder, attack),
            }
        )
    return found


def _control(results: Results, attack: str, question: Question) -> str:
    """Whether an attack's answer to a question may be believed, in words."""
    asked = "worked"
    if question in MUST_BE_SILENT:
        asked = "canaries" if results.goal(attack) == "canaries" else "members leak"
    return f"{asked}: {results.control(attack, question)}"


def _controls(results: Results) -> list[str]:
    """How many controls passed, how many false alarms there may be, and the controls that did not pass."""
    asked = [(attack, question) for attack in results.attacks for question in results.questions(attack)]
    wrong = [(attack, question) for attack, question in asked if not results.control(attack, question).validated]
    lines = [f"{results.label(attack)}, {_control(results, attack, question)}" for attack, question in wrong]
    blind = blind_words(results) + " " if results.blind else ""
    passed = f"{len(asked) - len(wrong)} of {len(asked)} controls passed. "
    alarms = expected_alarms(len(results.verdicts_on_members()))
    return [passed + blind + alarms + " These controls did not pass:" * bool(wrong), *lines]


def _kind(outcome: str) -> str:
    """An outcome as templates name its colors."""
    return outcome.replace(" ", "-")


def _cell(found: Found, family: str) -> dict[str, str]:
    said = {"sign": found.sign, "outcome": found.outcome, "detail": found.detail}
    return said | {"kind": _kind(found.outcome), "link": f"found-{family}"}


def glance(results: Results, strips: dict[str, str | None]) -> dict[str, Any]:
    """Page 1: the matrix of defenses and families of attacks, its legend, and three sentences."""
    cells = matrix(results)
    rows = []
    for defense in results.defenses:
        accuracy, kept = utility(results, defense)
        rows.append(
            {
                "label": results.label(defense),
                "control": is_control(defense),
                "strip": strips[defense] or "",
                "accuracy": f"{show(accuracy, interval=False)} %" if accuracy else "no student",
                "share": None if kept is None else min(1.0, kept),
                "cells": [_cell(found, family) for family, found in cells[defense].items()],
            }
        )
    asked = next(iter(cells.values()), {})
    legend = [
        {"sign": SIGNS[word], "outcome": word, "kind": _kind(word), "text": text} for word, text in LEGEND.items()
    ]
    heads = [FAMILIES.get(family, family) for family in asked]
    alarms = expected_alarms(len(results.verdicts_on_members()))
    return {"families": heads, "rows": rows, "legend": legend, "sentences": three_sentences(results), "alarms": alarms}


MINOR = re.compile(r"(\[[^\]]*\]|\([^)]*\)| / [^;]*)")
"""What of a cell is read second: intervals, powers, and what stands beside the attack's own figure."""


def _pieces(text: str, head: str) -> list[tuple[str, bool]]:
    """A cell's text in pieces, each with whether it is read second; whose row it is, is read as a whole."""
    if head in KEYS:
        return [(text, False)]
    return [(piece, position % 2 == 1) for position, piece in enumerate(MINOR.split(text)) if piece]


def _table(table: Table) -> dict[str, Any]:
    rows = [
        [
            {"pieces": _pieces(text, head), "rank": table.rank(row, column)}
            for column, (head, text) in enumerate(zip(table.columns, cells, strict=True))
        ]
        for row, cells in enumerate(table.rows)
    ]
    said = {"name": table.name, "title": table.title, "columns": table.columns, "notes": table.notes}
    return said | {"rows": rows, "parts": table.parts()}


def content(results: Results, run: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Everything the template prints, as data: nothing of it is ever evaluated as markup.

    Strips of released images are drawn beside the galleries on the way.
    """
    failed = [
        f"{r.cell.defense} {r.cell.task} {r.cell.method} seed {r.cell.seed}: {''.join(r.reason.splitlines()[:1])}"
        for r in results.records
        if r.status == "failed"
    ]
    strips = {defense: strip(results, defense, folder) for defense in results.defenses}
    return {
        "date": run.get("date", ""),
        "title": f"leakbench: {run['suite']['name']} on {run['suite']['dataset']}",
        "glance": glance(results, strips),
        "pictures": [
            {"label": results.label(d), "strip": strips[d] or "", "worst": worst(results, d, folder)}
            for d in results.defenses
        ],
        "findings": [_table(table) for table in findings(results).values()],
        "sentences": [sentence(results, defense) for defense in results.defenses],
        "controls": _controls(results),
        "failed": failed,
        "tables": [_table(table) for table in tables(results)],
        "attacks": _attacks(results, folder),
        "references": REFERENCES,
        "methods": [{"label": results.label(spec), "spec": spec} for spec in (*results.defenses, *results.attacks)],
        "configuration": json.dumps(run, indent=1, ensure_ascii=False),
    }
