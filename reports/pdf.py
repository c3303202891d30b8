"""The report as PDF, by typst: no TeX, no network."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import typst

from reports.content import content
from reports.verdicts import Results


def write_pdf(results: Results, run: dict[str, Any], folder: Path, figures: dict[str, str]) -> Path:
    """Render report.pdf into the run folder.

    Args:
        results: of the run.
        run: the content of run.json.
        folder: the run folder; figures and galleries are read from it.
        figures: those that were drawn, with their titles, see :func:`reports.figures.draw`.

    Returns:
        The file.
    """
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        template = Path(__file__).parent / "templates" / "report.typ"
        (work / "report.typ").write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
        shown = content(results, run, folder) | {"figures": figures}
        (work / "content.json").write_text(json.dumps(shown), encoding="utf-8")
        for figure in figures:
            shutil.copy(folder / "figures" / figure, work)
        if (folder / "galleries").is_dir():
            shutil.copytree(folder / "galleries", work / "galleries")
        part = folder / "report.pdf.part"
        part.write_bytes(typst.compile(str(work / "report.typ"), root=str(work)))
    file = folder / "report.pdf"
    part.rename(file)
    return file
