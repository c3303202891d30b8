"""An audit as files to hand in: HTML, one file that asks nobody for anything, and PDF, by typst."""

import base64
import json
import tempfile
from pathlib import Path
from typing import Any

from leakbench.reports.html import rendered
from leakbench.reports.pdf import compiled


def as_html(shown: dict[str, Any], pairs: list[bytes]) -> bytes:
    """The audit as a page; pictures are in it, and every string is escaped.

    Args:
        shown: see `benchmarks.audit.report.content`.
        pairs: PNG of a private picture beside the released one, for each row of ``shown["pairs"]``.
    """
    data = [f"data:image/png;base64,{base64.b64encode(pair).decode()}" for pair in pairs]
    return rendered("audit.html", shown | {"data": data}).encode("utf-8", "backslashreplace")


def as_pdf(shown: dict[str, Any], pairs: list[bytes]) -> bytes:
    """The same for paper and for signing."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        # Names of files that are no UTF-8 are not JSON's either.
        (work / "content.json").write_bytes(json.dumps(shown, ensure_ascii=False).encode("utf-8", "replace"))
        for i, pair in enumerate(pairs):
            (work / f"pair-{i}.png").write_bytes(pair)
        return compiled("audit.typ", work)
