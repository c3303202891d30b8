import io

import pytest
from rich.console import Console

from leakbench.benchmarks.cli.progress import Live
from leakbench.benchmarks.suite.graph import Plan
from leakbench.reports.records import Cell, Record


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_cells_and_what_was_done_before(terminal):
    cells = tuple(Cell(suite="s", dataset="d", defense=f"blur:[{i}]", task="release") for i in range(3))
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, markup=False, highlight=False)
    with Live(console) as live:
        live.began(Plan(cells, {}), list(cells[1:]), 1)
        live.started(cells[1])
        live.advanced(1, 2)
        live.finished(Record(cell=cells[1], status="ok", seconds=1.0))
        live.finished(Record(cell=cells[2], status="failed", reason="x"))
    printed = console.file.getvalue()
    assert "resuming: 1 of 3 cells are done" in printed
    assert "[2/3]" in printed
    assert "[3/3]" in printed
    assert "blur:[2] release: failed" in printed.replace("\x1b[1m", "")
