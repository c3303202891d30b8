"""The report as PDF, by typst: no TeX, no network."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import typst


def write_pdf(shown: dict[str, Any], folder: Path, figures: dict[str, str]) -> Path:
    """Render report.pdf into the run folder.

    Args:
        shown: see `content.content`.
        folder: the run folder; figures and galleries are read from it.
        figures: those that were drawn, with their titles, see `figures.draw`.

    Returns:
        The file.
    """
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        (work / "content.json").write_text(json.dumps(shown | {"figures": figures}), encoding="utf-8")
        for figure in figures:
            shutil.copy(folder / "figures" / figure, work)
        if (folder / "galleries").is_dir():
            shutil.copytree(folder / "galleries", work / "galleries")
        part = folder / "report.pdf.part"
        part.write_bytes(compiled("report.typ", work))
    file = folder / "report.pdf"
    part.rename(file)
    return file


def compiled(template: str, work: Path) -> bytes:
    """The PDF, accessible by the standard PDF/UA-1 unless a name has characters that no font at hand can show.

    Args:
        template: its file's name.
        work: a folder with what the template reads.
    """
    source = Path(__file__).parent / "templates" / template
    (work / template).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    try:
        return bytes(typst.compile(str(work / template), root=str(work), pdf_standards=["ua-1"]))
    except typst.TypstError:
        return bytes(typst.compile(str(work / template), root=str(work)))
