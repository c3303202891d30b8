"""What an audit leaves: audit.json, riskiest.csv, riskiest.png."""

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path

from PIL import Image, ImageDraw

from leakbench.benchmarks.audit.folders import Folders
from leakbench.benchmarks.audit.verdict import PARTS, Audit
from leakbench.benchmarks.storage.store import write_whole
from leakbench.synth.data.pictures import Pictures

SHOWN = 20
SIDE = 256
"""Pixels that a picture has on its longer side, at most, where it is shown."""
GAP = 4


def write(found: Audit, folders: Folders, out: Path) -> None:
    """Write the verdict, the riskiest pictures, and what they look like above the released ones that show them.

    Args:
        found: by the audit.
        folders: what was audited.
        out: a folder that is nobody else's to read: it shows private pictures.
    """
    write_whole(out / "audit.json", json.dumps(asdict(found), indent=1).encode())
    table = io.StringIO()
    writer = csv.DictWriter(table, ["private", "released", "why", *PARTS], quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(found.risky)
    write_whole(out / "riskiest.csv", table.getvalue().encode("utf-8", "backslashreplace"))
    picture = out / "riskiest.png"
    picture.unlink(missing_ok=True)
    if found.risky:
        shown = _side_by_side(found.risky[:SHOWN], folders)
        content = io.BytesIO()
        shown.save(content, "PNG")
        picture.touch(mode=0o600)  # it shows private images
        picture.write_bytes(content.getvalue())


def _side_by_side(rows: list[dict[str, str]], folders: Folders) -> Image.Image:
    """Private pictures in the upper row, released ones below, with a frame around the parts that are the same."""
    pairs = [
        [_shown(part.pictures, row[key], row[box]) for row in rows]
        for part, key, box in zip((folders.private, folders.released), ("private", "released"), PARTS, strict=True)
    ]
    widths = [max(one.width, other.width) for one, other in zip(*pairs, strict=True)]
    heights = [max(image.height for image in row) for row in pairs]
    page = Image.new("RGB", (sum(widths) + GAP * (len(widths) + 1), sum(heights) + 3 * GAP), "white")
    for k, row in enumerate(pairs):
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
