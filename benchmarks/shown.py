"""What a run prints: its plan before, its verdicts after."""

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from benchmarks.estimate import estimate
from benchmarks.runner import Plan
from benchmarks.suite import Suite
from reports.verdicts import SILENT, Results


def show_plan(console: Console, suite: Suite, grid: Plan, device: str) -> None:
    """The grid with an estimate of each cell's cost."""
    table = Grid("seed", "defense", "task", "method", "estimate")
    total = 0.0
    for cell, seconds in estimate(suite, grid, device):
        table.add_row(str(cell.seed), Text(cell.defense or "-"), cell.task, Text(cell.method), f"{seconds:,.0f} s")
        total += seconds
    console.print(table)
    console.print(
        f"{len(grid.cells)} cells, about {total / 3600:.1f} hours one after another on this machine ({device})"
    )


def show_summary(console: Console, results: Results) -> None:
    """The verdicts, whether controls passed, and what failed."""
    table = Grid("defense", "attack", "worked", "members")
    for defense in results.defenses:
        for attack in results.attacks:
            verdicts = (results.worked(defense, attack), results.leak(defense, attack))
            table.add_row(*map(Text, (defense, results.label(attack), *verdicts)))
    console.print(table)
    for attack in results.attacks:
        for question in results.questions(attack):
            control = results.control(attack, question)
            state = "validated" if control.validated else f"NOT VALIDATED: {control.why}"
            console.print(
                Text(f"control of {results.label(attack)}, {'members' if question in SILENT else 'worked'}: {state}")
            )
    for record in results.records:
        if record.status == "failed":
            cell = record.cell
            line = f"FAILED {cell.defense} {cell.task} {cell.method} seed {cell.seed}: {record.reason.splitlines()[0]}"
            console.print(Text(line), soft_wrap=True)
