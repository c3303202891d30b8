"""The command `audit`."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from leakbench.benchmarks.audit.files import within_sources, write
from leakbench.benchmarks.audit.folders import open_folders
from leakbench.benchmarks.audit.kept import FOLDER, unfit
from leakbench.benchmarks.audit.result import Audit
from leakbench.benchmarks.audit.verdict import Limits
from leakbench.benchmarks.audit.verdict import audit as judge
from leakbench.benchmarks.cli.bars import bars
from leakbench.benchmarks.cli.durations import seconds
from leakbench.benchmarks.cli.options import MaxPixels, allow_pixels, error_console
from leakbench.metrics.decision import LEAKS, UNKNOWN
from leakbench.metrics.described import LARGEST_VIEW
from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.data.sources import KINDS

STATUS = {LEAKS: 3, UNKNOWN: 4}
"""What an audit leaves with: a gate must not open because nobody could tell."""


def audit(
    private: Annotated[Path, typer.Option(help=f"The private pictures, of any size: {KINDS}.", metavar="SOURCE")],
    released: Annotated[Path, typer.Option(help="Those that are to be published.", metavar="SOURCE")],
    holdout: Annotated[
        Path | None, typer.Option(help="Pictures of the same kind that were not used.", metavar="SOURCE")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the report, audit.json and riskiest.csv go.")] = Path("runs/audit"),
    image_size: Annotated[
        int | None,
        typer.Option(min=1, help=f"Side at which pictures are compared as a whole; {LARGEST_VIEW} or less unasked."),
    ] = None,
    max_pixels: MaxPixels = None,
    max_copies: Annotated[int, typer.Option(min=0, help="Private images that may have a copy.")] = 0,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="By which AUC and true positive rates may exceed chance.")
    ] = 0.0,
    index: Annotated[
        Path | None,
        typer.Option(
            help="Where what private and holdout pictures are recognised by is kept for the next audit of them; "
            "it shows private pictures."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option(help="Look at whole pictures alone, not at their parts: leaks, or cannot tell.")
    ] = False,
    budget: Annotated[str, typer.Option(help="Time for training students: 90s, 10m, 1h; 0 for none.")] = "5m",
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Judge released pictures against the private ones.

    Status 3 when they leak, 4 when it cannot tell.

    Not found: small parts of private pictures (less than a third of each side; of 32-pixel pictures, less than half),
    ones pasted small into other pictures, blends of which half is another picture, and negatives of parts.
    """
    allow_pixels(max_pixels)
    limits = Limits(copies=max_copies, tolerance=tolerance, budget=seconds("--budget", budget, none=True))
    sources = (private, released, holdout)
    problems = [f"--out {problem}" for problem in within_sources(out, sources)]
    if index is not None:
        problems += [f"--index {problem}" for problem in within_sources(index, sources) + unfit(index, out)]
    if problems:
        raise DataProblems(problems)
    out.mkdir(parents=True, exist_ok=True, mode=0o700)  # it shows private images
    keep = out / FOLDER
    try:
        with bars() as track:
            folders = open_folders(*sources, image_size, details=not quick, keep=keep, index=index, track=track)
            found = judge(folders, limits, track=track)
    except KeyboardInterrupt:
        kept = keep if index is None else f"{keep} and {index}"
        error_console.print(Text(f"stopped; the same command goes on with what it has seen, kept in {kept}"))
        raise
    write(found, out)
    _print(found, out, as_json=as_json)
    if found.verdict in STATUS:
        raise typer.Exit(STATUS[found.verdict])


def _print(found: Audit, out: Path, *, as_json: bool) -> None:
    """Print the verdict; whoever reads may have read enough, which is no other verdict."""
    answers = "; ".join(f"{part.question}: {part.verdict}" for part in found.parts)
    named = f"{len(found.risky)} private images in {out}; audit.pdf and audit.html there are the report"
    lines = [f"verdict: {found.verdict}", answers, *found.reasons, named]
    try:
        for line in [json.dumps(found.as_json(), indent=1)] if as_json else lines:
            typer.echo(line.encode("utf-8", "backslashreplace"))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
