"""A table as CSV, Markdown and LaTeX, with every special character escaped."""

import csv
import io

from pylatexenc.latexencode import UnicodeToLatexEncoder

from leakbench.reports.table import Table


def to_csv(table: Table) -> str:
    """Comma-separated values with a head; every cell is text, quoted where needed."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([table.columns, *table.rows])
    return out.getvalue()


def _markdown_text(text: str) -> str:
    text = text.replace("&", "&amp;")
    for special in "\\|`*_[]<>#~$":
        text = text.replace(special, "\\" + special)
    return " ".join(text.split())


def to_markdown(table: Table) -> str:
    """A GitHub table with its title and notes."""
    lines = [table.columns, ("---",) * len(table.columns)]
    body = _ranked(table, [[_markdown_text(cell) for cell in row] for row in table.rows], ("{}", "**{}**", "*{}*"))
    rows = ["| " + " | ".join(row) + " |" for row in [[*map(_markdown_text, lines[0])], list(lines[1]), *body]]
    notes = [f"\n{_markdown_text(note)}" for note in table.notes]
    return f"### {table.name} {_markdown_text(table.title)}\n\n" + "\n".join([*rows, *notes]) + "\n"


LATEX = UnicodeToLatexEncoder(unknown_char_policy="unihex", unknown_char_warning=False)
GREEK, LATIN, SIGNS = range(0x391, 0x3CA), range(0x17F), "\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u2264\u2265"
"""What pdflatex has letters for in every document; anything else is named by its number."""


def _latex_text(text: str) -> str:
    """Literal text; a bracket that begins a row would be taken for that of the line break before it."""
    return "".join(map(_latex_letter, " ".join(text.split())))


def _latex_letter(letter: str) -> str:
    if letter in "[]":
        return f"{{{letter}}}"
    if letter.isprintable() and (ord(letter) in LATIN or ord(letter) in GREEK or letter in SIGNS):
        return str(LATEX.unicode_to_latex(letter))
    return rf"\texttt{{U+{ord(letter):04X}}}"


def _ranked(table: Table, rows: list[list[str]], forms: tuple[str, str, str]) -> list[list[str]]:
    """Cells that are written already, the best and the second best of a column in forms of their own."""
    return [
        [forms[table.rank(row, column)].format(cell) for column, cell in enumerate(cells)]
        for row, cells in enumerate(rows)
    ]


def to_latex(table: Table) -> str:
    """A table for documents with the packages booktabs and fontenc (T1); every special character is escaped."""
    cells = [[_latex_text(cell) for cell in row] for row in table.rows]
    body = _ranked(table, cells, ("{}", r"\textbf{{{}}}", r"\underline{{{}}}"))
    rows = [" & ".join(row) + r" \\" for row in ([_latex_text(head) for head in table.columns], *body)]
    lines = [
        r"\begin{table}",
        rf"\caption{{{_latex_text(table.title)}}}",
        rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}",
    ]
    lines += [r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {_latex_text(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"
