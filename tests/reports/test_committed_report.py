"""The tables of a committed run, each word for word what its records give."""

from pathlib import Path

import pytest

from leakbench.reports.formats import to_markdown
from leakbench.reports.tables import tables
from leakbench.reports.write import load_run

RUN = Path(__file__).parents[2] / "docs" / "results" / "cifar10-jpeg-cpu"


@pytest.mark.parametrize("name", [f"T{number}" for number in range(1, 10)])
def test_golden_text_of_every_table(name):
    (table,) = [table for table in tables(load_run(RUN)[0]) if table.name == name]
    assert to_markdown(table) == (RUN / "tables" / f"{name}.md").read_text()
