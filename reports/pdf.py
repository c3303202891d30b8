"""The report as PDF, by typst: no TeX, no network."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import typst

from reports.figures import privacy_utility, roc, sweep
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


def write_pdf(results: Results, run: dict[str, Any], folder: Path) -> Path:
    """Render report.pdf into the run folder.

    Args:
        results: of the run.
        run: the content of run.json.
        folder: the run folder; galleries are read from it.

    Returns:
        The file.
    """
    figures = folder / "figures"
    privacy_utility(results, figures / "privacy-utility.svg")
    drawn = {name: draw(results, figures / f"{name}.svg") for name, draw in (("roc", roc), ("sweep", sweep))}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        template = Path(__file__).parent / "templates" / "report.typ"
        (work / "report.typ").write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
        (work / "content.json").write_text(json.dumps(content(results, run, folder) | drawn), encoding="utf-8")
        for figure in ("privacy-utility", *(name for name, there in drawn.items() if there)):
            shutil.copy(figures / f"{figure}.svg", work)
        if (folder / "galleries").is_dir():
            shutil.copytree(folder / "galleries", work / "galleries")
        part = folder / "report.pdf.part"
        part.write_bytes(typst.compile(str(work / "report.typ"), root=str(work)))
    file = folder / "report.pdf"
    part.rename(file)
    return file
