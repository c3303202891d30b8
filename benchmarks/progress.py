"""How a run is shown: bars with time left on a terminal, plain lines elsewhere."""

import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from benchmarks.runner import Plan
from reports.records import Cell, Record, read_records


class Live:
    """A listener that draws; use it as a context manager.

    Args:
        console: where to.
        grid: the plan.
        folder: the run folder: cells that an earlier call finished count as done.
    """

    def __init__(self, console: Console, grid: Plan, folder: Path) -> None:
        self.console = console
        self.total = len(grid.cells)
        self.done = self.total - len(grid.left(read_records(folder / "records.jsonl")))
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self.overall = self.bars.add_task("cells", total=self.total, completed=self.done)
        self.current = self.bars.add_task("", total=None)
        self.since = time.monotonic()

    def __enter__(self) -> "Live":
        if self.done:
            self.console.print(f"resuming: {self.done} of {self.total} cells are done")
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def announced(self, line: str) -> None:
        """Something worth knowing before the first cell."""
        self.console.print(Text(line), soft_wrap=True)

    def started(self, cell: Cell) -> None:
        """A cell begins."""
        self.bars.reset(self.current, total=None, description=f"{cell.task} {cell.method} {cell.defense}"[:60])

    def advanced(self, done: int, total: int) -> None:
        """Progress within what is under way."""
        self.bars.update(self.current, completed=done, total=total)

    def finished(self, record: Record) -> None:
        """A cell has left its record."""
        self.done += 1
        self.bars.advance(self.overall)
        cell = record.cell
        what = " ".join(filter(None, (cell.defense, cell.task, cell.method)))
        minutes, seconds = divmod(int(time.monotonic() - self.since), 60)
        line = f"{minutes:3d}:{seconds:02d} [{self.done}/{self.total}] seed {cell.seed} {what}: {record.status}"
        self.console.print(Text(f"{line}, {record.seconds:.1f} s"), soft_wrap=True)
