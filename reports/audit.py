"""An audit as files to hand in: audit.html, one file that asks nobody for anything, and audit.pdf, by typst."""

import base64
import json
import tempfile
from pathlib import Path
from typing import Any

from leakbench.reports.html import rendered
from leakbench.reports.pdf import compiled


def write_html(shown: dict[str, Any], pairs: list[bytes], file: Path) -> None:
    """Render the audit; pictures are in the file, and every string is escaped.

    Args:
        shown: see `benchmarks.audit.report.content`.
        pairs: PNG of a private picture beside the released one, for each row of ``shown["pairs"]``.
        file: to write; nobody else may read it, since it shows private pictures.
    """
    data = [f"data:image/png;base64,{base64.b64encode(pair).decode()}" for pair in pairs]
    _private(file, rendered("audit.html", shown | {"data": data}).encode("utf-8", "backslashreplace"))


def write_pdf(shown: dict[str, Any], pairs: list[bytes], file: Path) -> None:
    """The same as PDF, for paper and for signing."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        # Names of files that are no UTF-8 are not JSON's either.
        text = json.dumps(shown, ensure_ascii=False).encode("utf-8", "replace")
        (work / "content.json").write_bytes(text)
        for i, pair in enumerate(pairs):
            (work / f"pair-{i}.png").write_bytes(pair)
        _private(file, compiled("audit.typ", work))


def _private(file: Path, content: bytes) -> None:
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_bytes(content)
    part.rename(file)
