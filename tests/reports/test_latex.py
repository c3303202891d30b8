"""Every table compiles with pdflatex, where there is one."""

import shutil
import subprocess

import pytest

from leakbench.reports.formats import to_latex
from leakbench.reports.tables import tables
from leakbench.reports.verdicts import Results
from tests.reports.test_html import EVIL
from tests.reports.test_tables import accuracy, attack, good_run, members

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("pdflatex"), reason="there is no pdflatex")]
DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\usepackage[T1]{fontenc}
\begin{document}
%s
\end{document}
"""


def test_every_table_compiles_whatever_names_hold(tmp_path):
    records = [*good_run(), members("identity", 0.4, 0.2), members("disjoint", 0.0, 0.0)]
    for name in (
        *EVIL,
        r"\input{x}",
        "#import",
        "é ß ð ≥ ε 日",
        "\u0416\u044f \u0259 \u03d2 \u211d \x7f \u221b",
        "[x] & y \\\\",
        "$a_b^c$",
        "x" * 300,
    ):
        records += [accuracy(name, 40), attack(name, 0.5, 0.1), members(name, 0.1, 0.0)]
    found = tables(Results(records))
    assert len(found) >= 5
    (tmp_path / "tables.tex").write_text(DOCUMENT % "\n\n".join(map(to_latex, found)), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "tables.pdf").is_file()
