"""A table as strings, and how figures become strings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from leakbench.metrics.measurement import Measurement


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

    def rank(self, row: int, column: int) -> int:
        """1 for the best of a column, 2 for the second best, 0 for the rest."""
        return self.ranks.get((row, column), 0)


def ranked(
    column: int, merits: Sequence[float | None], competing: Sequence[bool], *, first_row: int = 0
) -> dict[tuple[int, int], int]:
    """The best and the second best figure of a column, among those that compete; equal ones share a rank.

    Args:
        column: its position.
        merits: of each row's figure: the higher, the better.
        competing: whether a row does; controls do not.
        first_row: position of the first of these rows.
    """
    found = {
        row: merit
        for row, (merit, counts) in enumerate(zip(merits, competing, strict=True), first_row)
        if merit is not None and counts
    }
    best = sorted(set(found.values()), reverse=True)[:2]
    if len(best) < 2:
        return {}
    return {(row, column): 1 + best.index(value) for row, value in found.items() if value in best}


def merit(figure: Measurement | None) -> float | None:
    """How good a figure is for the data owner: the higher, the better."""
    if figure is None:
        return None
    return figure.value if figure.better == "higher" else -figure.value


def digits(figure: Measurement) -> int:
    """Decimals that a figure deserves: two significant digits of half its interval, four at most."""
    half = 0.0 if figure.low is None or figure.high is None else (figure.high - figure.low) / 2
    return min(4, max(0, 1 - math.floor(math.log10(half)))) if half > 0 else 3


def show(
    figure: Measurement | None, missing: str = "n/a", *, interval: bool = True, decimals: int | None = None
) -> str:
    """A figure with its interval, with the decimals that the interval's width allows unless they are given."""
    if figure is None:
        return missing
    decimals = digits(figure) if decimals is None else decimals
    if figure.low is None or figure.high is None:
        return f"{figure.value:.{decimals}f}"
    half = (figure.high - figure.low) / 2
    text = f"{figure.value:.{decimals}f}"
    return f"{text} [{figure.low:.{decimals}f}, {figure.high:.{decimals}f}]" if interval and half > 0 else text


def short(missing: str) -> str:
    """The word without the reason, which stands once among the notes."""
    return "n/a" if missing.startswith("n/a") else missing
