"""Every measurement of a run in one tidy file."""

from pathlib import Path

from leakbench.reports.verdicts import Results


def write_parquet(results: Results, file: Path) -> Path:
    """One row for each measurement; a cell that has none, because it failed, has one row without a measurement."""
    results.frame().to_parquet(file, index=False)
    return file
