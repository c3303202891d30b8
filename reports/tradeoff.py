"""The plot of page 1: what a release gives away against what it is good for."""

import textwrap
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leakbench.reports.glance import strongest, unseen, utility
from leakbench.reports.verdicts import Results

GIVEN_AWAY = "given away: share of what the photographs give away"
WORTH = "worth: share of the accuracy of a student of the photographs"
TITLE = (
    "Privacy against utility. Up: what the strongest validated attack gains, as a share of what it gains of the "
    "photographs themselves; a hollow point is a release that none found to leak, its bar the least that would have "
    "been seen. Right: accuracy of a student, as a share of that of a student of the photographs"
)
LEAST_APART = 0.055
"""Of the axis's height, between labels."""


def tradeoff(results: Results, file: Path) -> bool:
    """Draw every release of which a validated attack says anything, each with its label beside the axes.

    Args:
        results: of a run.
        file: SVG or PNG to write.

    Returns:
        Whether there was anything to draw.
    """
    points = _points(results)
    if not points:
        return False
    figure = Figure(figsize=(7.2, 3.9))
    axes = figure.subplots()
    figure.subplots_adjust(left=0.09, right=0.6, top=0.97, bottom=0.13)
    for point in points:
        _draw(axes, point)
    _label(axes, points)
    axes.set(xlim=(-0.03, max(1.05, *(point["x"] + 0.05 for point in points))), ylim=(-0.04, 1.06))
    axes.set_xlabel(WORTH if any(point["known"] for point in points) else "no student was trained", fontsize=8)
    axes.set_ylabel(GIVEN_AWAY, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=150)
    return True


def _points(results: Results) -> list[dict[str, Any]]:
    points = []
    for defense in results.defenses:
        found, kept = strongest(results, defense), utility(results, defense)[1]
        if found is not None:
            bar = unseen(results, defense) if found[0] == 0 else None
            label = results.label(defense).replace("$", r"\$")  # a dollar sign would start mathematics
            label += " (worth not known)" * (kept is None)
            points.append({"x": kept or 0.0, "known": kept is not None, "y": found[0], "bar": bar, "label": label})
    return points


def _draw(axes: Axes, point: dict[str, Any]) -> None:
    leaks = point["y"] > 0
    color = "#9c1c1c" if leaks else "#1b5e8c"
    if point["bar"] is not None:
        axes.plot([point["x"]] * 2, [0, point["bar"]], color=color, linewidth=1.5)
        axes.plot([point["x"]], [point["bar"]], marker="_", markersize=8, color=color)
    face = color if leaks else "white"
    axes.plot([point["x"]], [point["y"]], marker="s" if leaks else "o", markersize=7, color=color, markerfacecolor=face)


def _label(axes: Axes, points: list[dict[str, Any]]) -> None:
    """Labels in a column beside the axes, in the order of heights and far enough apart, each led to its point."""
    ordered = sorted(points, key=lambda point: (point["y"], point["x"]))
    heights = _apart([(point["y"] + 0.04) / 1.1 for point in ordered], min(LEAST_APART, 1 / len(points)))
    for point, height in zip(ordered, heights, strict=True):
        axes.annotate(
            textwrap.shorten(point["label"], 44, placeholder=" …"),
            (point["x"], point["y"]),
            xytext=(1.04, height),
            textcoords="axes fraction",
            fontsize=8,
            verticalalignment="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "0.7", "linewidth": 0.6, "shrinkA": 2, "shrinkB": 5},
        )


def _apart(heights: list[float], least: float) -> list[float]:
    """Increasing heights from 0 to 1, moved as far as it takes to be so far apart."""
    moved = list(heights)
    for at in range(1, len(moved)):
        moved[at] = max(moved[at], moved[at - 1] + least)
    moved[-1] = min(moved[-1], 1.0)
    for at in range(len(moved) - 2, -1, -1):
        moved[at] = min(moved[at], moved[at + 1] - least)
    return moved
