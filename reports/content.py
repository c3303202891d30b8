"""What a report says, as data: every format prints the same."""

import json
from pathlib import Path
from typing import Any

from reports.sentences import sentence
from reports.tables import tables
from reports.verdicts import SILENT, Question, Results


def _galleries(results: Results, folder: Path) -> list[dict[str, str]]:
    """The galleries of the first seed, in the order of attacks and defenses."""
    found = []
    for attack in results.attacks:
        for defense in results.defenses:
            record = next(iter(results.of(defense, "attack", attack)), None)
            if record and (folder / "galleries" / f"{record.cell.id}.png").is_file():
                verdict = results.leak(defense, attack)
                found.append(
                    {
                        "file": f"galleries/{record.cell.id}.png",
                        "title": f"{results.label(attack)} against {defense}",
                        "verdict": f"worked: {results.worked(defense, attack)}; members: {verdict}",
                    }
                )
    return found


def _question(results: Results, attack: str, question: Question) -> str:
    if question not in SILENT:
        return "worked"
    return "canaries" if results.goal(attack) == "canaries" else "members leak"


def content(results: Results, run: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Everything the template prints, as data: nothing of it is ever evaluated as markup."""
    controls = []
    for attack in results.attacks:
        for question in results.questions(attack):
            control = results.control(attack, question)
            state = "validated" if control.validated else f"not validated: {control.why}"
            controls.append(f"{results.label(attack)}, {_question(results, attack, question)}: {state}")
    failed = [
        f"{r.cell.defense} {r.cell.task} {r.cell.method} seed {r.cell.seed}: {r.reason.splitlines()[0]}"
        for r in results.records
        if r.status == "failed"
    ]
    return {
        "title": f"leakbench: {run['suite']['name']} on {run['suite']['dataset']}",
        "panels": len(results.attacks),
        "sentences": [sentence(results, defense) for defense in results.defenses],
        "controls": controls,
        "failed": failed,
        "tables": [
            {"name": t.name, "title": t.title, "columns": t.columns, "rows": t.rows, "notes": t.notes}
            for t in tables(results)
        ],
        "galleries": _galleries(results, folder),
        "configuration": json.dumps(run, indent=1, ensure_ascii=False),
    }
