"""Every measurement of a run in one tidy file."""

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from leakbench.reports.verdicts import Results

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("suite", pa.string()),
        ("dataset", pa.string()),
        ("defense", pa.string()),
        ("task", pa.string()),
        ("method", pa.string()),
        ("seed", pa.int64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("measurement", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("level", pa.float64()),
        ("n", pa.int64()),
        ("unit", pa.string()),
        ("better", pa.string()),
        ("variant", pa.string()),
        ("seconds", pa.float64()),
        ("commit", pa.string()),
    ]
)


def write_parquet(results: Results, file: Path) -> Path:
    """One row for each measurement; a cell that has none, because it failed, has one row without a measurement."""
    rows = []
    for record in results.records:
        about = vars(record.cell) | {
            "id": record.cell.id,
            "status": record.status,
            "reason": record.reason,
            "seconds": record.seconds,
            "commit": record.environment.get("commit", ""),
        }
        measurements = [{**vars(m), "measurement": m.name} for m in record.measurements] or [{}]
        rows += [{**about, **measurement} for measurement in measurements]
    columns = {name: [row.get(name) for row in rows] for name in SCHEMA.names}
    parquet.write_table(pa.table(columns, schema=SCHEMA), file)
    return file
