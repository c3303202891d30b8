"""The report as one HTML file that asks nobody for anything."""

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def write_html(shown: dict[str, Any], folder: Path, figures: dict[str, str]) -> Path:
    """Render report.html into the run folder: images are in it, and every string is escaped.

    Args:
        shown: see `content.content`.
        folder: the run folder; figures and galleries are read from it.
        figures: those that were drawn, with their titles, see `figures.draw`.

    Returns:
        The file.
    """
    drawn = [{"data": _inline(folder / "figures" / name), "title": title} for name, title in figures.items()]
    attacks = [
        attack
        | {"galleries": [gallery | {"data": _inline(folder / gallery["file"])} for gallery in attack["galleries"]]}
        for attack in shown["attacks"]
    ]
    file = folder / "report.html"
    part = file.with_name("report.html.part")
    part.write_text(rendered("report.html", shown | {"figures": drawn, "attacks": attacks}), encoding="utf-8")
    part.rename(file)
    return file


def rendered(template: str, shown: dict[str, Any]) -> str:
    """A template's page; every string is escaped, and one that it lacks is an error."""
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(template).render(shown)


def _inline(file: Path) -> str:
    return f"data:{TYPES[file.suffix]};base64,{base64.b64encode(file.read_bytes()).decode()}"
