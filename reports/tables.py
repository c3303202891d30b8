"""Comparison tables T1 to T5 and T7, as data, and as CSV, Markdown and LaTeX."""

import csv
import io
import math
from dataclasses import dataclass

from metrics.measurement import Measurement
from reports.verdicts import Results


@dataclass(frozen=True)
class Table:
    """A table of strings.

    Args:
        name: ``T1`` …, the file's name.
        title: one line.
        columns: heads.
        rows: cells.
        notes: what a reader must know: intervals, variants, controls.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def digits(figure: Measurement) -> int:
    """Decimals that a figure deserves: two significant digits of half its interval, four at most."""
    half = 0.0 if figure.low is None or figure.high is None else (figure.high - figure.low) / 2
    return min(4, max(0, 1 - math.floor(math.log10(half)))) if half > 0 else 3


def show(
    figure: Measurement | None, missing: str = "n/a", *, interval: bool = True, decimals: int | None = None
) -> str:
    """A figure with its interval, with the decimals that the interval's width allows unless they are given."""
    if figure is None:
        return missing
    decimals = digits(figure) if decimals is None else decimals
    if figure.low is None or figure.high is None:
        return f"{figure.value:.{decimals}f}"
    half = (figure.high - figure.low) / 2
    text = f"{figure.value:.{decimals}f}"
    return f"{text} [{figure.low:.{decimals}f}, {figure.high:.{decimals}f}]" if interval and half > 0 else text


def _utility(results: Results) -> Table:
    identity = results.named("identity")
    rows = []
    for defense in results.defenses:
        row = [defense]
        for student in results.students:
            figure = results.figure(defense, "utility", student, "student.accuracy")
            hard = student.split(":")[0] + ":hard"
            base = results.figure(identity, "utility", hard, "student.accuracy") if identity else None
            ratio = f" ({figure.value / base.value:.2f})" if figure and base and base.value else ""
            row.append(show(figure, results.missing(defense, "utility", student)) + ratio)
        rows.append(tuple(row))
    heads = [student.replace(":", ", ") + " labels" for student in results.students]
    seeds = len({r.cell.seed for r in results.records})
    oracle = [r.get("oracle.accuracy") for r in results.records if r.cell.task == "oracle"]
    notes = [f"Test accuracy in % on real images, 95 % interval; in brackets the ratio to identity. Seeds: {seeds}."]
    if oracle and oracle[0]:
        notes.append(f"The oracle that grades GAN attacks has a test accuracy of {show(oracle[0])} %.")
    return Table(
        "T1", "Utility: students trained from scratch on the release", ("Defense", *heads), tuple(rows), tuple(notes)
    )


VISUAL = (
    ("paired.ssim", "SSIM to source"),
    ("paired.psnr", "PSNR to source (dB)"),
    ("paired.lpips", "LPIPS to source"),
    ("paired.ms-ssim", "MS-SSIM to source"),
    ("nearest.ssim", "SSIM to nearest private"),
    ("nearest.psnr", "PSNR to nearest private (dB)"),
    ("stranger.ssim", "control: SSIM to nearest stranger"),
    ("stranger.psnr", "control: PSNR to nearest stranger (dB)"),
)


def _visual(results: Results) -> Table:
    absent = {name: why for r in results.records if r.cell.task == "visual" for name, why in r.absent.items()}
    notes = [
        "Source: the private image it was made from where there is exactly one, else the nearest of the class. "
        "Control: the same against holdout images. 95 % bootstrap intervals over images."
    ]
    notes += [f"{head}: not applicable: {absent[name]}." for name, head in VISUAL if name in absent]
    rows = []
    for defense in results.defenses:
        cells = [results.figure(defense, "visual", "", name) for name, _ in VISUAL]
        missing = [results.missing(defense, "visual", "", name) for name, _ in VISUAL]
        rows.append(
            (
                defense,
                *(show(cell, why.split(":")[0], interval=False) for cell, why in zip(cells, missing, strict=True)),
            )
        )
    heads = ("Defense", *(head for _, head in VISUAL))
    return Table("T2", "Visual: how alike released and private images look", heads, tuple(rows), tuple(notes))


LEAKAGE = {
    "gradient": (
        "T3",
        "Gradient matching",
        (
            ("trained.ssim", "SSIM to the victim's image"),
            ("trained.ssim.best", "best image's SSIM"),
            ("trained.psnr", "PSNR (dB)"),
            ("trained.identification", "identified"),
            ("labels.accuracy", "labels found"),
            ("private.ssim", "SSIM to private"),
            ("source.identification", "source identified"),
        ),
    ),
    "memorization": (
        "T4",
        "Model memorization",
        (
            ("trained.ssim", "SSIM to the training image"),
            ("trained.mae", "pixel error (of 255)"),
            ("trained.bit-errors", "bits wrong"),
            ("trained.identification", "identified"),
            ("model.accuracy", "accuracy, %"),
            ("model.cost", "accuracy cost, points"),
            ("private.ssim", "SSIM to private"),
            ("source.identification", "source identified"),
        ),
    ),
    "gan": (
        "T5",
        "GAN-based",
        (
            ("class.oracle", "oracle accuracy"),
            ("trained.class", "nearest released of the class"),
            ("private.ssim", "SSIM to private"),
        ),
    ),
}
LEAKAGE_NOTES = (
    "Each figure with three parts reads: attack / control / baseline, then the excess of attack over control with its "
    "95 % interval. Control: another released image of the class (trained), as many holdout images (private), a "
    "federation whose other clients never train (class). Baseline: the class's mean auxiliary image, or one over the "
    "number of classes. Members leak where either private figure's excess is above 0.",
    "'Worked' asks whether the attack got what its victim trained on; 'members leak' whether that gives away the "
    "private images. 'Not validated': the attack did not succeed on identity, or raised an alarm on disjoint, so its "
    "figure proves nothing.",
)


def _three_parts(results: Results, defense: str, attack: str, name: str) -> str:
    if name.endswith(".best"):
        pair = [results.figure(defense, "attack", attack, part) for part in (name, f"{name}-control")]
        return " / ".join(show(part, results.missing(defense, "attack", attack, name)) for part in pair)
    parts = [results.figure(defense, "attack", attack, f"{name}.{part}") for part in ("attack", "control", "baseline")]
    if parts[0] is None:
        single = results.figure(defense, "attack", attack, name)
        return show(single, results.missing(defense, "attack", attack, name))
    excess = results.figure(defense, "attack", attack, f"{name}.excess")
    decimals = digits(excess) if excess else None
    return " / ".join(show(part, interval=False, decimals=decimals) for part in parts) + f"; {show(excess)}"


def _victim(results: Results, defense: str, attack: str) -> str:
    """What was attacked, on the row: nothing else changes the figures of gradient matching as much."""
    rows = results.of(defense, "attack", attack)
    return next((r.conditions["victim"] for r in rows if "victim" in r.conditions), "n/a")


def _leakage(results: Results, kind: str) -> Table:
    name, title, figures = LEAKAGE[kind]
    rows, notes = [], list(LEAKAGE_NOTES)
    for attack in (a for a in results.attacks if results.family(a) == kind):
        for defense in results.defenses:
            cells = [_three_parts(results, defense, attack, figure) for figure, _ in figures]
            verdicts = (results.worked(defense, attack), results.verdict(defense, attack, "private"))
            rows.append((defense, results.label(attack), _victim(results, defense, attack), *cells, *verdicts))
        records = [r for r in results.records if r.cell.method == attack and r.conditions]
        if records:
            shown = {k: v for k, v in records[0].conditions.items() if k != "victim"}
            notes.append(f"{attack}: " + "; ".join(f"{k}: {v}" for k, v in shown.items()) + ".")
            notes += [f"{figure}: not applicable: {why}." for figure, why in records[0].absent.items()]
    heads = ("Defense", "Attack", "Victim", *(head for _, head in figures), "worked", "members leak")
    return Table(name, title, heads, tuple(rows), tuple(notes))


def _cost(results: Results) -> Table:
    rows = []
    for defense in results.defenses:
        made = results.of(defense, "release")
        images = results.figure(defense, "release", "", "release.images")
        seconds = sum(r.seconds for r in made) / len(made) if made else 0.0
        attacks = sum(r.seconds for r in results.records if r.cell.defense == defense and r.cell.task == "attack")
        students = sum(r.seconds for r in results.records if r.cell.defense == defense and r.cell.task == "utility")
        count = f"{images.value:.0f}" if images else results.missing(defense, "release", "")
        rate = f"{images.value / seconds:.1f}" if images and seconds else "n/a"
        peak = max((r.peak_memory for r in results.records if r.cell.defense == defense), default=0) / 2**30
        rows.append((defense, count, f"{seconds:.1f}", rate, f"{students:.1f}", f"{attacks:.1f}", f"{peak:.2f}"))
    heads = (
        "Defense",
        "images",
        "seconds to make",
        "images/s",
        "seconds of students",
        "seconds of attacks",
        "peak GiB",
    )
    notes = (
        "The first release that reads the teacher also pays for its training. Peak memory is the process's so far.",
    )
    return Table("T7", "Cost", heads, tuple(rows), notes)


def tables(results: Results) -> list[Table]:
    """T1 to T5 and T7 of a run."""
    return [_utility(results), _visual(results), *(_leakage(results, kind) for kind in LEAKAGE), _cost(results)]


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
