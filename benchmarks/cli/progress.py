"""How a run is shown: bars with the time left on a terminal, plain lines elsewhere, or JSON."""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from leakbench.benchmarks.suite.graph import Plan
from leakbench.reports.records import Cell, Record


class Costs:
    """What cells have cost so far, and what the rest will cost if cells alike cost alike."""

    def __init__(self) -> None:
        self.seconds: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)

    def add(self, record: Record) -> None:
        """Learn from a cell."""
        for kind in self._kinds(record.cell):
            self.seconds[kind].append(record.seconds)

    def expected(self, cell: Cell) -> float:
        """Seconds: the mean of the same method on other defenses, else of the task, else of all."""
        known = next((self.seconds[kind] for kind in self._kinds(cell) if kind in self.seconds), [])
        return sum(known) / len(known) if known else 0.0

    def _kinds(self, cell: Cell) -> list[tuple[str, ...]]:
        return [(cell.task, cell.method), (cell.task,), ()]


class Live:
    """A listener that draws; use it as a context manager.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.costs = Costs()
        self.left: dict[str, Cell] = {}
        self.running: dict[str, Cell] = {}
        self.total, self.failed, self.slots = 0, 0, 1
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self.overall = self.bars.add_task("cells", total=None)
        self.current = self.bars.add_task("", total=None)
        self.since = time.monotonic()

    def __enter__(self) -> "Live":
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def announced(self, line: str) -> None:
        """Something worth knowing."""
        self.console.print(Text(line), soft_wrap=True)

    def began(self, grid: Plan, left: list[Cell], slots: int) -> None:
        """The run begins with what is left of it."""
        self.total, self.slots = len(grid.cells), slots
        self.left = {cell.id: cell for cell in left}
        done = self.total - len(left)
        if done:
            self.console.print(f"resuming: {done} of {self.total} cells are done")
        self.bars.update(self.overall, total=self.total, completed=done)

    def started(self, cell: Cell) -> None:
        """A cell begins."""
        self.running[cell.id] = cell
        self._describe()
        self.bars.reset(self.current, total=None)

    def advanced(self, done: int, total: int) -> None:
        """Progress within what is under way."""
        self.bars.update(self.current, completed=done, total=total)

    def finished(self, record: Record) -> None:
        """A cell has left its record."""
        self.left.pop(record.cell.id, None)
        self.running.pop(record.cell.id, None)
        self.failed += record.status == "failed"
        self.costs.add(record)
        self.bars.advance(self.overall)
        self._describe()
        done = f"[{self.total - len(self.left)}/{self.total}] seed {record.cell.seed}"
        line = f"{_clock(time.monotonic() - self.since)} {done} {named(record.cell)}: {record.status}"
        self.console.print(Text(f"{line}, {record.seconds:.1f} s"), soft_wrap=True)

    def _describe(self) -> None:
        rest = sum(self.costs.expected(cell) for cell in self.left.values()) / min(self.slots, max(1, len(self.left)))
        figures = f"{self.failed} failed, {len(self.left)} left"
        about = f", about {_clock(rest)}" if self.costs.seconds else ""
        self.bars.update(self.overall, description=f"cells ({figures}{about})")
        self.bars.update(self.current, description=" | ".join(map(named, self.running.values()))[:80])


class JsonLog:
    """A listener that writes a line of JSON for everything that happens.

    Args:
        write: takes a line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write

    def _say(self, event: str, **what: object) -> None:
        self.write(json.dumps({"time": round(time.time(), 3), "event": event} | what))

    def announced(self, line: str) -> None:
        """Something worth knowing."""
        self._say("announced", line=line)

    def began(self, grid: Plan, left: list[Cell], slots: int) -> None:
        """The run begins with what is left of it."""
        self._say("began", cells=len(grid.cells), left=len(left), slots=slots)

    def started(self, cell: Cell) -> None:
        """A cell begins."""
        self._say("started", cell=vars(cell) | {"id": cell.id})

    def advanced(self, done: int, total: int) -> None:
        """Progress within a cell is not worth a line."""

    def finished(self, record: Record) -> None:
        """A cell has left its record."""
        cell, reason = vars(record.cell) | {"id": record.cell.id}, record.reason.partition("\n")[0]
        self._say("finished", cell=cell, status=record.status, reason=reason, seconds=record.seconds)


@contextmanager
def json_lines() -> Iterator[JsonLog]:
    """A listener that has the standard output to itself: what libraries print meanwhile goes where errors go."""
    log = JsonLog(partial(print, file=sys.stdout, flush=True))
    with redirect_stdout(sys.stderr):
        yield log


def named(cell: Cell) -> str:
    """A cell in words."""
    return " ".join(filter(None, (cell.defense, cell.task, cell.method)))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:3d}:{rest:02d}"
