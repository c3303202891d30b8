"""A table as strings, and how measurements become strings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from leakbench.metrics.measurement import Measurement

KEYS = ("Defense", "Attack")
"""Heads of the columns that say whose row it is."""


@dataclass(frozen=True)
class Table:
    """A table of strings.

    Args:
        name: ``T1`` …, the file's name.
        title: one line.
        columns: heads.
        rows: cells.
        notes: what a reader must know: intervals, variants, controls.
        ranks: 1 for the best, 2 for the second best cell of a column, by row and column.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    ranks: Mapping[tuple[int, int], int] = field(default_factory=dict)

    def frame(self) -> pd.DataFrame:
        """The same as a frame of strings."""
        return pd.DataFrame(self.rows, columns=list(self.columns))

    def parts(self, most: int = 8) -> list[list[int]]:
        """Positions of the columns that fit on a page together; whose row it is stands on each.

        Args:
            most: columns on a page.
        """
        keys = [position for position, head in enumerate(self.columns) if head in KEYS]
        rest = [position for position in range(len(self.columns)) if position not in keys]
        if len(self.columns) <= most:
            return [[*keys, *rest]]
        step = most - len(keys)
        return [[*keys, *rest[first : first + step]] for first in range(0, len(rest), step)]

    def rank(self, row: int, column: int) -> int:
        """1 for the best of a column, 2 for the second best, 0 for the rest."""
        return self.ranks.get((row, column), 0)


def ranked(
    column: int, merits: Sequence[float | None], controls: Sequence[bool], *, first_row: int = 0
) -> dict[tuple[int, int], int]:
    """The best and the second best measurement of a column, among those that compete.

    Equal ones share a rank, and nobody comes second to two.

    Args:
        column: its position.
        merits: of each row's measurement: the higher, the better.
        controls: whether a row is a control, which does not compete.
        first_row: position of the first of these rows.
    """
    found = {
        row: merit
        for row, (merit, control) in enumerate(zip(merits, controls, strict=True), first_row)
        if merit is not None and not control
    }
    ranks = {row: 1 + sum(other > value for other in found.values()) for row, value in found.items()}
    if len(set(found.values())) < 2:
        return {}
    return {(row, column): rank for row, rank in ranks.items() if rank <= 2}


def merit(measurement: Measurement | None) -> float | None:
    """How good a measurement is for the data owner: the higher, the better."""
    if measurement is None:
        return None
    return measurement.value if measurement.better == "higher" else -measurement.value


def digits(measurement: Measurement) -> int:
    """Decimals that a measurement deserves: two significant digits of half its interval, four at most."""
    half = 0.0 if measurement.low is None or measurement.high is None else (measurement.high - measurement.low) / 2
    return min(4, max(0, 1 - math.floor(math.log10(half)))) if half > 0 else 3


def show(
    measurement: Measurement | None, missing: str = "n/a", *, interval: bool = True, decimals: int | None = None
) -> str:
    """A measurement with its interval, with the decimals that the interval's width allows unless they are given."""
    if measurement is None:
        return missing
    decimals = digits(measurement) if decimals is None else decimals
    if measurement.low is None or measurement.high is None:
        return f"{measurement.value:.{decimals}f}"
    half = (measurement.high - measurement.low) / 2
    text = f"{measurement.value:.{decimals}f}"
    return (
        f"{text} [{measurement.low:.{decimals}f}, {measurement.high:.{decimals}f}]" if interval and half > 0 else text
    )


def short(missing: str) -> str:
    """The word without the reason, which stands once among the notes."""
    return "n/a" if missing.startswith("n/a") else missing
