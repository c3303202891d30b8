"""All documents of a run folder."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from leakbench.reports.content import content
from leakbench.reports.figures import draw
from leakbench.reports.formats import to_csv, to_latex, to_markdown
from leakbench.reports.html import write_html
from leakbench.reports.parquet import write_parquet
from leakbench.reports.pdf import write_pdf
from leakbench.reports.records import read_records
from leakbench.reports.tables import tables
from leakbench.reports.verdicts import Results


class ReportProblem(ValueError):
    """A report was asked for that cannot be written: one sentence."""


FORMATS = {"csv": (".csv", to_csv), "md": (".md", to_markdown), "latex": (".tex", to_latex)}


class _Suite(BaseModel):
    """What reports read of the suite in run.json."""

    name: str
    dataset: str
    seeds: int


class _Run(BaseModel):
    """What reports read of run.json."""

    suite: _Suite
    date: str = ""
    cells: list[str] | None = None
    identity: dict[str, Any] = {}
    environment: dict[str, str] = {}


def load_run(folder: Path) -> tuple[Results, dict[str, Any]]:
    """The results of a run folder, and the content of its run.json.

    Raises:
        ReportProblem: the folder is no run, is damaged, or has no records yet.
    """
    if not (folder / "run.json").is_file():
        raise ReportProblem(f"{folder} is not a run folder: it has no run.json")
    records = list(read_records(folder / "records.jsonl").values())
    if not records:
        raise ReportProblem(f"{folder} has no finished cells yet")
    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        read = _Run.model_validate(run)
    except ValueError as error:
        raise ReportProblem(f"{folder / 'run.json'} is damaged; run the suite again to write it anew") from error
    order = {name: index for index, name in enumerate(read.cells or ())}
    records.sort(key=lambda record: order.get(record.cell.id, len(order)))  # whoever finished first
    return Results(records, seeds=read.suite.seeds, planned=read.cells), run


PARQUET = "parquet"
DOCUMENTS = {"pdf": write_pdf, "html": write_html}
EVERYTHING = (*DOCUMENTS, *FORMATS, PARQUET)


def write_reports(folder: Path, formats: tuple[str, ...] = EVERYTHING) -> list[Path]:
    """Write the tables and the report of a run into its folder.

    Args:
        folder: a run folder.
        formats: of ``pdf``, ``html``, ``csv``, ``md``, ``latex`` and ``parquet``.

    Returns:
        The files written.

    Raises:
        ReportProblem: the folder is no run, or has no records yet, or a format is unknown.
    """
    unknown = sorted(set(formats) - set(EVERYTHING))
    if unknown:
        raise ReportProblem(f"--format {','.join(unknown)}: the formats are {', '.join(EVERYTHING)}")
    results, run = load_run(folder)
    (folder / "tables").mkdir(exist_ok=True)
    written = []
    for table in tables(results):
        for name in formats:
            if name in FORMATS:
                suffix, render = FORMATS[name]
                written.append(folder / "tables" / f"{table.name}{suffix}")
                written[-1].write_text(render(table), encoding="utf-8")
    if PARQUET in formats:
        written.append(write_parquet(results, folder / "measurements.parquet"))
    documents = [DOCUMENTS[name] for name in formats if name in DOCUMENTS]
    if documents:
        figures, shown = draw(results, folder / "figures"), content(results, run, folder)
        written += [write(shown, folder, figures) for write in documents]
    return written
