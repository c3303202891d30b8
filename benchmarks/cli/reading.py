"""Commands that read what there is: `report`, `compare`, `list`, `check`, `doctor`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table as Grid
from rich.text import Text

from leakbench.benchmarks.cli import doctor as health
from leakbench.benchmarks.cli.exits import refuse
from leakbench.benchmarks.cli.options import (
    Plugins,
    load_plugins,
    out_console,
)
from leakbench.benchmarks.execution import contract, plugins
from leakbench.benchmarks.suite.model import available
from leakbench.reports.compare import compare as compare_runs
from leakbench.reports.write import EVERYTHING, write_reports
from leakbench.synth.data.datasets import DATASETS


def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    format: Annotated[str, typer.Option(help="Formats to write, separated by commas.")] = ",".join(EVERYTHING),
) -> None:
    """Write the tables and the report of a run again."""
    for file in write_reports(run, tuple(format.split(","))):
        out_console.print(str(file), soft_wrap=True)


def compare(runs: Annotated[list[Path], typer.Argument(help="Run folders, two or more.")]) -> None:
    """Put runs side by side: what changed, and by how much.

    It says of each change whether it is outside the intervals.
    """
    for table in compare_runs(runs):
        grid = Grid(*map(escape, table.columns), title=Text(table.title))
        for row in table.rows:
            grid.add_row(*map(Text, row))
        out_console.print(grid)
        for note in table.notes:
            out_console.print(Text(note), soft_wrap=True)


def list_(
    what: Annotated[
        str,
        typer.Argument(help="datasets, defenses, attacks, metrics, networks or suites; all by default."),
    ] = "",
    plugin: Plugins = None,
) -> None:
    """List what there is."""
    load_plugins(plugin)
    found = health.catalogue({name: known.description for name, known in DATASETS.items()}, available())
    if what and what not in found:
        raise refuse([f"there is no list of {what!r}; there are: {', '.join(found)}"])
    for kind, entries in found.items():
        if what in ("", kind):
            out_console.print(kind, style="bold")
            for name, description in entries.items():
                out_console.print(Text(f"  {name}: {description}"), soft_wrap=True)


def check(
    plugin: Annotated[str, typer.Argument(help="A file or module that registers defenses.")],
) -> None:
    """Try defenses on small data: pass, or the one thing to change."""
    found = plugins.load([plugin])[plugin].defenses
    if not found:
        raise refuse([f"{plugin}: registers no defense; attacks are tried by `leakbench run`"])
    problems = {name: contract.check_apart(plugin, name) for name in found}
    for name, problem in problems.items():
        out_console.print(Text(f"{name}: {problem or 'pass'}"), soft_wrap=True)
    if any(problems.values()):
        raise typer.Exit(1)


def doctor(
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Download AlexNet's weights, which LPIPS needs, and check their hash.")
    ] = False,
) -> None:
    """Say what this machine has and what it lacks.

    With --fetch, get what LPIPS lacks.
    """
    if fetch:
        out_console.print(Text(health.fetched()), soft_wrap=True)
    for line in health.examine():
        out_console.print(Text(line), soft_wrap=True)
