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

    def inlined(entry: dict[str, Any], file: str) -> dict[str, Any]:
        return entry | {"data": _inline(folder / file) if file else ""}

    drawn = [{"data": _inline(folder / "figures" / name), "title": title} for name, title in figures.items()]
    attacks = [
        attack | {"galleries": [inlined(gallery, gallery["file"]) for gallery in attack["galleries"]]}
        for attack in shown["attacks"]
    ]
    pictures = [
        inlined(entry, entry["strip"]) | {"worst": [inlined(gallery, gallery["file"]) for gallery in entry["worst"]]}
        for entry in shown["pictures"]
    ]
    glance = shown["glance"] | {"rows": [inlined(row, row["strip"]) for row in shown["glance"]["rows"]]}
    more = {"figures": drawn, "attacks": attacks, "pictures": pictures, "glance": glance}
    file = folder / "report.html"
    part = file.with_name("report.html.part")
    part.write_text(rendered("report.html", shown | more), encoding="utf-8")
    part.rename(file)
    return file


def rendered(template: str, shown: dict[str, Any]) -> str:
    """A template's page; every string is escaped, and one that it lacks is an error."""
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(template).render(shown)


def _inline(file: Path) -> str:
    return f"data:{TYPES[file.suffix]};base64,{base64.b64encode(file.read_bytes()).decode()}"
