"""Records as a pandas frame."""

from collections.abc import Iterable

import pandas as pd

from leakbench.reports.records import Record

TIDY = {
    **dict.fromkeys(("id", "suite", "dataset", "defense", "task", "method"), "string"),
    "seed": "Int64",
    **dict.fromkeys(("status", "reason", "measurement"), "string"),
    **dict.fromkeys(("value", "low", "high", "level"), "Float64"),
    "n": "Int64",
    **dict.fromkeys(("unit", "better", "variant"), "string"),
    "seconds": "Float64",
    "commit": "string",
}
"""Columns of the tidy frame, with their types; what is not there is missing, not zero."""


def tidy(records: Iterable[Record]) -> pd.DataFrame:
    """Every measurement in a row of its own; a record that has none, because its cell failed, has a row without one."""
    rows = []
    for record in records:
        about = vars(record.cell) | {
            "id": record.cell.id,
            "status": record.status,
            "reason": record.reason,
            "seconds": record.seconds,
            "commit": record.environment.get("commit", ""),
        }
        measured = [{**vars(m), "measurement": m.name} for m in record.measurements] or [{}]
        rows += [{**about, **one} for one in measured]
    return pd.DataFrame(rows, columns=list(TIDY)).astype(TIDY)
