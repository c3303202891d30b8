"""Figures of the appendix: each attack against utility, ROC curves, and what a swept parameter changes."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leakbench.metrics.decision import DECIDES
from leakbench.metrics.measurement import Measurement
from leakbench.reports.spec import parse_spec
from leakbench.reports.tradeoff import TITLE, tradeoff
from leakbench.reports.verdicts import Results

TRADEOFF = "tradeoff.svg"
"""The plot of page 1."""
MARKERS = "os^DvP*X<>hp"
EXCESS = {"private": "members leak: SSIM excess over strangers", "members": "members leak: AUC over chance"}


def draw(results: Results, folder: Path) -> dict[str, str]:
    """Draw what there is to draw.

    Args:
        results: of a run.
        folder: where the SVG files go.

    Returns:
        The files' names, with their titles.
    """
    drawn = {}
    if tradeoff(results, folder / TRADEOFF):
        drawn[TRADEOFF] = TITLE
    privacy_utility(results, folder / "privacy-utility.svg")
    drawn["privacy-utility.svg"] = "Each attack against utility: one panel per attack, one marker per defense"
    if roc(results, folder / "roc.svg"):
        drawn["roc.svg"] = "ROC curves of the first seed: true against false positive rate; gray: chance"
    if sweep(results, folder / "sweep.svg"):
        drawn["sweep.svg"] = "Utility and leakage over a parameter"
    return drawn


def _subplots(rows: int, columns: int, *, figsize: tuple[float, float], sharex: bool = False) -> tuple[Figure, Any]:
    """A figure of its own and its axes: pyplot has one backend, which is a notebook's."""
    figure = Figure(figsize=figsize)
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=sharex)


def _bars(figure: Measurement) -> list[list[float]]:
    low, high = _ends(figure)
    return [[figure.value - low], [high - figure.value]]


def privacy_utility(results: Results, file: Path) -> None:
    """One panel per attack: test accuracy of the first student against the what members leak.

    Every defense has a marker of its own, so that the plot reads without colours. A panel whose attack is not
    validated says so in its title.

    Args:
        results: of a run.
        file: SVG or PNG to write.
    """
    columns = min(4, max(1, len(results.attacks)))
    lines = -(-len(results.attacks) // columns) or 1
    figure, axes = _subplots(lines, columns, figsize=(3.6 * columns, 3.6 * lines), sharex=True)
    for axis in axes.flat[len(results.attacks) :]:
        axis.set_visible(False)
    for axis, attack in zip(axes.flat, results.attacks, strict=False):
        question = results.questions(attack)[-1]
        _draw_defenses(axis, results, attack)
        control = results.control(attack, question)
        axis.axhline(0, color="0.6", linewidth=0.8)
        note = "" if control.validated else str(control)
        axis.set_title("\n".join(filter(None, map(_wrapped, (results.label(attack), note)))), fontsize=8)
        axis.set_ylabel(EXCESS[question], fontsize=8)
        axis.set_xlabel("test accuracy of a student (%)" if results.students else "release", fontsize=8)
        axis.tick_params(labelsize=7)
    _save(figure, lines, file)


def _draw_defenses(axis: Axes, results: Results, attack: str) -> None:
    """A marker for each defense, and all bars in one go, which takes a quarter of the time."""
    across, up = [], []
    name = DECIDES[results.questions(attack)[-1]]
    for index, defense in enumerate(results.defenses):
        x = results.measurement(defense, "utility", results.hard_student(defense), "student.accuracy")
        y = results.measurement(defense, "attack", attack, name)
        if y is None or (x is None and results.students):
            continue
        color, at = f"C{index % 10}", x.value if x else index
        marker = MARKERS[index % len(MARKERS)]
        axis.plot(
            at,
            y.value,
            marker=marker,
            markersize=7,
            linestyle="none",
            color=color,
            label=_plain(results.label(defense)),
        )
        up.append((at, *_ends(y), color))
        across += [(y.value, *_ends(x), color)] if x else []
    for draw_bars, bars in ((axis.vlines, up), (axis.hlines, across)):
        if bars:
            places, lows, highs, colors = zip(*bars, strict=True)
            draw_bars(places, lows, highs, colors=colors, linewidth=1.2)


def _ends(figure: Measurement) -> tuple[float, float]:
    low = figure.value if figure.low is None else figure.low
    return low, figure.value if figure.high is None else figure.high


def roc(results: Results, file: Path) -> bool:
    """One panel per release, on logarithmic axes: true against false positive rate of every attack that gave scores.

    Of the first seed that has any, from the smallest false positive rate that the candidates resolve.

    Args:
        results: of a run.
        file: SVG or PNG to write.

    Returns:
        Whether there was anything to draw.
    """
    found = {r.cell.defense: None for r in results.records if r.roc}
    if not found:
        return False
    columns = min(4, len(found))
    lines = -(-len(found) // columns)
    figure, axes = _subplots(lines, columns, figsize=(3.6 * columns, 3.6 * lines))
    for axis in axes.flat[len(found) :]:
        axis.set_visible(False)
    for axis, defense in zip(axes.flat, found, strict=False):
        for index, attack in enumerate(_with_scores(results)):
            curve = next((r.roc for r in results.rows(defense, "attack", attack) if r.roc), ())
            # A rate of 0 has no place on a logarithmic axis: the line begins where the first member is found.
            shown = [(x, y) for x, y in curve if y > 0]
            points = zip(*shown, strict=True) if shown else ([], [])
            axis.plot(*points, markevery=12, label=_labelled(results, attack), **_style(index))
        least = min(x for r in results.records if r.cell.defense == defense for x, _ in r.roc[:1])
        axis.plot([least, 1], [least, 1], color="0.7", linewidth=0.8)
        axis.set(xscale="log", yscale="log", ylim=(least, 1.1))
        axis.minorticks_off()  # measured: with them, most of the time that a report takes
        axis.set_title(_wrapped(results.label(defense)), fontsize=8)
        axis.set_xlabel("false positive rate", fontsize=8)
        axis.set_ylabel("true positive rate", fontsize=8)
        axis.tick_params(labelsize=7)
    _save(figure, lines, file)
    return True


SWEPT = {
    "student.accuracy": "test accuracy of a student (%)",
    "linkage.top-1.excess": "source ranked first, over chance",
    "members.tpr-at-1.excess": "TPR at 1 % FPR, over what is sure",
    "members.tp-at-0-fpr.excess": "members before every other, over chance",
}
"""What is drawn over a parameter."""


def sweep(results: Results, file: Path) -> bool:
    """One row per defense that was run with three or more values of one parameter: utility and leakage over it.

    Args:
        results: of a run.
        file: SVG or PNG to write.

    Returns:
        Whether there was anything to draw.
    """
    found = list(_sweeps(results.defenses))
    if not found:
        return False
    figure, axes = _subplots(len(found), len(SWEPT), figsize=(3.6 * len(SWEPT), 3.6 * len(found)))
    for row, (key, specs) in zip(axes, found, strict=True):
        name = parse_spec(next(iter(specs.values()))).name
        for axis, (figure_name, title) in zip(row, SWEPT.items(), strict=True):
            _draw_sweep(axis, results, specs, figure_name)
            axis.set_xlabel(_plain(f"{name}: {key}"), fontsize=8)
            axis.set_title(title, fontsize=8)
            axis.tick_params(labelsize=7)
    _save(figure, len(found), file)
    return True


def _draw_sweep(axis: Axes, results: Results, specs: dict[str, str], name: str) -> None:
    utility = name.startswith("student.")
    methods = results.hard_students if utility else _with_scores(results)
    for index, method in enumerate(methods):
        measured = {
            value: results.measurement(spec, "utility" if utility else "attack", method, name)
            for value, spec in specs.items()
        }
        shown = {value: figure for value, figure in measured.items() if figure}
        if shown:
            bars = [[_bars(figure)[end][0] for figure in shown.values()] for end in (0, 1)]
            at = [list(specs).index(value) for value in shown]
            heights = [figure.value for figure in shown.values()]
            label = _plain(method) if utility else _labelled(results, method)
            axis.errorbar(at, heights, yerr=bars, markersize=4, capsize=2, label=label, **_style(index))
    axis.set_xticks(range(len(specs)), [_plain(value) for value in specs])


def _sweeps(defenses: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The parameters of which three or more values were run with everything else alike: value to spec."""
    parsed = {spec: parse_spec(spec) for spec in defenses}
    for key in dict.fromkeys(key for spec in parsed.values() for key, _ in spec.parameters):
        groups: dict[str, dict[str, str]] = {}
        for text, spec in parsed.items():
            value = spec.value(key)
            if value is not None:
                rest = sorted((k, v) for k, v in spec.parameters if k != key)
                groups.setdefault(f"{spec.name} {rest}", {})[value] = text
        yield from ((key, specs) for specs in groups.values() if len(specs) >= 3)


def _style(index: int) -> dict[str, Any]:
    """A line of its own for every attack, the same in all panels, that reads without colors."""
    return {
        "color": f"C{index % 10}",
        "linestyle": ("-", "--", ":", "-.")[index % 4],
        "marker": MARKERS[index % len(MARKERS)],
    }


def _labelled(results: Results, attack: str) -> str:
    control = results.control(attack, results.questions(attack)[-1])
    return _plain(results.label(attack) + ("" if control.validated else " (not validated)"))


def _with_scores(results: Results) -> list[str]:
    return [attack for attack in results.attacks if results.family(attack) == "membership"]


def _save(figure: Figure, lines: int, file: Path) -> None:
    named: dict[str, Artist] = {}
    for axis in figure.axes:
        named |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(list(named.values()), list(named), loc="lower center", ncol=2, fontsize=7, frameon=False)
    rows = (len(named) + 1) // 2
    figure.tight_layout(rect=(0, 0.055 * rows / lines, 1, 1))
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=150)


def _wrapped(text: str, width: int = 46) -> str:
    return _plain("\n".join(textwrap.wrap(text, width)))


def _plain(text: str) -> str:
    """Text as matplotlib prints it: a dollar sign would start mathematics."""
    return text.replace("$", r"\$")
