"""A table as CSV, Markdown and LaTeX, with every special character escaped."""

import csv
import io

from reports.table import Table


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
    body = [[_markdown_text(cell) for cell in row] for row in table.rows]
    rows = ["| " + " | ".join(row) + " |" for row in [[*map(_markdown_text, lines[0])], list(lines[1]), *body]]
    notes = [f"\n{_markdown_text(note)}" for note in table.notes]
    return f"### {table.name} {_markdown_text(table.title)}\n\n" + "\n".join([*rows, *notes]) + "\n"


LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "#": r"\#",
        "_": r"\_",
        "%": r"\%",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "\n": " ",
        "|": r"\textbar{}",
        '"': "''",
        "[": "{[}",
        "]": "{]}",
    }
)


def to_latex(table: Table) -> str:
    """A booktabs table; every special character is escaped."""
    rows = [" & ".join(cell.translate(LATEX) for cell in row) + r" \\" for row in (table.columns, *table.rows)]
    body = [
        r"\begin{table}",
        rf"\caption{{{table.title.translate(LATEX)}}}",
        rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}",
    ]
    body += [r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule", r"\end{tabular}"]
    body += [rf"\par\footnotesize {note.translate(LATEX)}" for note in table.notes]
    return "\n".join([*body, r"\end{table}"]) + "\n"
