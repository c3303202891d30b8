"""What an audit leaves: audit.json, riskiest.csv, riskiest.png, and a report to hand in, audit.html and audit.pdf."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from leakbench.benchmarks.audit.kept import FOLDER, forget
from leakbench.benchmarks.audit.report import SHOWN, content
from leakbench.benchmarks.audit.risky import COLUMNS, PARTS, Row
from leakbench.benchmarks.storage.store import write_whole
from leakbench.reports.audit import as_html, as_pdf
from leakbench.synth.data.pictures import Pictures

if TYPE_CHECKING:  # whose `save` this is
    from leakbench.benchmarks.audit.result import Audit

SIDE = 256
"""Pixels that a picture has on its longer side, at most, where it is shown."""
GAP = 4


def write(found: "Audit", out: Path) -> None:
    """Write the verdict, the riskiest pictures beside the released ones that show them, and the report.

    What was kept for an audit that is stopped (`kept`) is not needed any more, and removed.

    Args:
        found: by the audit.
        out: a folder that is nobody else's to read: it shows private pictures.
    """
    write_whole(out / "audit.json", json.dumps(found.as_json(), indent=1).encode())
    table = io.StringIO()
    writer = csv.DictWriter(table, list(COLUMNS), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(found.risky)
    write_whole(out / "riskiest.csv", table.getvalue().encode("utf-8", "backslashreplace"))
    shown = [beside(found, row) for row in found.risky[:SHOWN]]
    picture = out / "riskiest.png"
    if shown:
        write_whole(picture, _png(_tiled([list(row) for row in zip(*shown, strict=True)])))
    else:
        picture.unlink(missing_ok=True)
    for name in ("audit.html", "audit.pdf"):
        save(found, out / name, shown)
    forget(out / FOLDER)


def save(found: "Audit", file: Path, shown: list[tuple[Image.Image, Image.Image]] | None = None) -> None:
    """Write the report, as PDF or HTML by the file's ending.

    Args:
        found: by the audit.
        file: to write; nobody else may read it.
        shown: the riskiest pictures, where they were drawn before.

    Raises:
        ValueError: it ends in neither, is a folder, or lies in none or in one that is audited.
    """
    folders = found.folders
    given = (folders.private, folders.released, *filter(None, [folders.holdout]))
    if problems := within_sources(file, [folder.pictures.where for folder in given]):
        raise ValueError("; ".join(problems))
    if file.is_dir():
        raise ValueError(f"{file}: is a folder; name a file in it")
    if not file.parent.is_dir():
        raise ValueError(f"{file}: {file.parent} is no folder; make it first")
    drawn = {".pdf": as_pdf, ".html": as_html}.get(file.suffix.lower())
    if drawn is None:
        raise ValueError(f"{file}: a report is a .pdf or an .html")
    shown = [beside(found, row) for row in found.risky[:SHOWN]] if shown is None else shown
    write_whole(file, drawn(content(found), [_png(_tiled([list(pair)])) for pair in shown]))


def within_sources(file: Path, sources: Iterable[Any]) -> list[str]:
    """Why nothing that shows private pictures may be written to a place: it may be published with what lies there.

    Args:
        file: or folder, to be written.
        sources: that are audited; those that are no paths have no place.
    """
    paths = [Path(source) for source in sources if isinstance(source, str | Path)]
    inside = [path for path in paths if path.exists() and file.resolve().is_relative_to(path.resolve())]
    return [f"{file}: lies in {path}; it shows private images, so give another folder" for path in inside]


def beside(found: "Audit", row: Row) -> tuple[Image.Image, Image.Image]:
    """A private picture and the released one, with a frame around the parts that are the same."""
    folders = found.folders
    private = _shown(folders.private.pictures, row["private"], row[PARTS[0]])
    return private, _shown(folders.released.pictures, row["released"], row[PARTS[1]])


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def _tiled(rows: list[list[Image.Image]]) -> Image.Image:
    """Pictures in rows and columns."""
    widths = [max(image.width for image in column) for column in zip(*rows, strict=True)]
    heights = [max(image.height for image in row) for row in rows]
    size = sum(widths) + GAP * (len(widths) + 1), sum(heights) + GAP * (len(heights) + 1)
    page = Image.new("RGB", size, "white")
    for k, row in enumerate(rows):
        for i, image in enumerate(row):
            page.paste(image, (sum(widths[:i]) + GAP * (i + 1), sum(heights[:k]) + GAP * (k + 1)))
    return page


def _shown(pictures: Pictures, name: str, box: str) -> Image.Image:
    array = pictures.decode(pictures.names.index(name))
    if isinstance(array, str):  # somebody has changed it since
        return Image.new("RGB", (SIDE, SIDE), "lightgray")
    image = Image.fromarray(array)
    image.thumbnail((SIDE, SIDE))
    if box:
        left, top, right, bottom = (int(edge) / 100 for edge in box.split())
        width, height = image.width - 1, image.height - 1
        frame = (left * width, top * height, max(left, right) * width, max(top, bottom) * height)
        ImageDraw.Draw(image).rectangle(frame, outline="red", width=max(1, image.width // 64))
    return image
