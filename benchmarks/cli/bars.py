"""A bar for each stage of a command, with the time that is left of it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from leakbench.benchmarks.audit.track import T, Track
from leakbench.benchmarks.cli.options import error_console


@contextmanager
def bars(console: Console = error_console) -> Iterator[Track]:
    """What draws the stages on a terminal, and nothing elsewhere.

    Args:
        console: where to.
    """
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:

        def track(what: str, things: Iterable[T], total: int) -> Iterable[T]:
            return progress.track(things, total=total, description=what)

        yield track
