"""What a run prints: its plan before, its verdicts after."""

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from leakbench.benchmarks.execution.cell import RunConfig, stored
from leakbench.benchmarks.execution.executors import memory_of_a_process
from leakbench.benchmarks.suite.capacity import capacities
from leakbench.benchmarks.suite.estimate import disk_of, estimate, side_of
from leakbench.benchmarks.suite.graph import Plan, plan
from leakbench.benchmarks.suite.model import Suite
from leakbench.metrics.decision import MUST_BE_SILENT
from leakbench.reports.leakage import blind_words, expected_alarms
from leakbench.reports.table import short
from leakbench.reports.verdicts import Results


def show_plan(console: Console, suite: Suite, grid: Plan, device: str) -> None:
    """What attacks have room for, the grid with an estimate of each cell's cost, and of the whole."""
    side = side_of(suite)
    for line in capacities(suite, (3, side, side), 10):
        console.print(Text(line), soft_wrap=True)
    table = Grid("seed", "defense", "task", "method", "estimate")
    total = 0.0
    for cell, seconds in estimate(suite, grid, device):
        table.add_row(str(cell.seed), Text(cell.defense or "-"), cell.task, Text(cell.method), f"{seconds:,.0f} s")
        total += seconds
    console.print(table)
    images = 3 * side**2
    memory = memory_of_a_process(images * (3 * suite.sizes.members + suite.sizes.auxiliary + suite.sizes.test))
    lines = (
        f"{len(grid.cells)} cells, about {total / 3600:.1f} hours one after another on this machine ({device})",
        f"stage graph: {sum(map(len, grid.needs.values()))} edges, {grid.depth} cells one after another at least",
        f"memory: about {memory / 2**30:.1f} GiB for each process",
        f"disk: about {disk_of(suite) / 2**30:.1f} GiB at most, for the run folder and as much for the cache",
    )
    for line in lines:
        console.print(line, soft_wrap=True)


def show_summary(console: Console, results: Results) -> None:
    """The verdicts, whether controls passed, and what failed."""
    table = Grid("defense", "attack", "worked", "members")
    for defense in results.defenses:
        for attack in results.attacks:
            verdicts = map(short, (results.attack_answer(defense, attack), results.member_answer(defense, attack)))
            table.add_row(*map(Text, (results.label(defense), results.label(attack), *verdicts)))
    console.print(table)
    if results.blind:
        console.print(Text(blind_words(results)), soft_wrap=True)
    console.print(Text(expected_alarms(len(results.verdicts_on_members()))), soft_wrap=True)
    for attack in results.attacks:
        for question in results.questions(attack):
            control = results.control(attack, question)
            asked = "members" if question in MUST_BE_SILENT else "worked"
            console.print(Text(f"control of {results.label(attack)}, {asked}: {control}"))
    for record in results.records:
        if record.status == "failed":
            cell = record.cell
            line = f"FAILED {cell.defense} {cell.task} {cell.method} seed {cell.seed}: {record.reason.splitlines()[0]}"
            console.print(Text(line), soft_wrap=True)


def show_store(console: Console, config: RunConfig) -> None:
    """What of a run the store already has."""
    cells = plan(config.suite).cells
    console.print(f"the cache {config.cache} has {stored(config, cells)} of the {len(cells)} cells", soft_wrap=True)
