"""The report as one HTML file that asks nobody for anything."""

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.content import content
from reports.verdicts import Results

TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def write_html(results: Results, run: dict[str, Any], folder: Path, figures: dict[str, str]) -> Path:
    """Render report.html into the run folder: images are in it, and every string is escaped.

    Args:
        results: of the run.
        run: the content of run.json.
        folder: the run folder; figures and galleries are read from it.
        figures: those that were drawn, with their titles, see :func:`reports.figures.draw`.

    Returns:
        The file.
    """
    shown = content(results, run, folder)
    shown["figures"] = [{"data": _inline(folder / "figures" / name), "title": title} for name, title in figures.items()]
    shown["galleries"] = [gallery | {"data": _inline(folder / gallery["file"])} for gallery in shown["galleries"]]
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    template = Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("report.html")
    file = folder / "report.html"
    part = file.with_name("report.html.part")
    part.write_text(template.render(shown), encoding="utf-8")
    part.rename(file)
    return file


def _inline(file: Path) -> str:
    return f"data:{TYPES[file.suffix]};base64,{base64.b64encode(file.read_bytes()).decode()}"
