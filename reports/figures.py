"""Figures: privacy against utility, all defenses in one plot."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from metrics.measurement import Measurement
from reports.verdicts import FIGURE, Results

MARKERS = "os^DvP*X<>hp"
EXCESS = {"private": "members leak: SSIM excess over strangers", "members": "members leak: AUC over chance"}


def _bars(figure: Measurement) -> list[list[float]]:
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    return [[figure.value - low], [high - figure.value]]


def privacy_utility(results: Results, file: Path) -> None:
    """One panel per attack: test accuracy of the first student against the excess similarity to members.

    Every defense has a marker of its own, so that the plot reads without colours. A panel whose attack is not
    validated says so in its title.

    Args:
        results: of a run.
        file: SVG or PNG to write.
    """
    student = next((s for s in results.students if s.endswith(":hard")), "")
    columns = min(4, max(1, len(results.attacks)))
    lines = -(-len(results.attacks) // columns) or 1
    figure, axes = plt.subplots(lines, columns, figsize=(3.6 * columns, 3.6 * lines), squeeze=False, sharex=True)
    for axis in axes.flat[len(results.attacks) :]:
        axis.set_visible(False)
    for axis, attack in zip(axes.flat, results.attacks, strict=False):
        question = results.questions(attack)[-1]
        for index, defense in enumerate(results.defenses):
            x = results.figure(defense, "utility", student, "student.accuracy")
            y = results.figure(defense, "attack", attack, FIGURE[question])
            if y is None or (x is None and results.students):
                continue
            axis.errorbar(
                x.value if x else index,
                y.value,
                xerr=_bars(x) if x else None,
                yerr=_bars(y),
                marker=MARKERS[index % len(MARKERS)],
                markersize=7,
                capsize=2,
                linestyle="none",
                label=_plain(defense),
            )
        control = results.control(attack, question)
        axis.axhline(0, color="0.6", linewidth=0.8)
        note = "" if control.validated else f"\nnot validated: {control.why}"
        axis.set_title(_plain(results.label(attack) + note), fontsize=9)
        axis.set_ylabel(EXCESS[question], fontsize=8)
        axis.set_xlabel("test accuracy of a student (%)" if results.students else "release", fontsize=8)
        axis.tick_params(labelsize=7)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=2, fontsize=7, frameon=False)
    rows = (len(labels) + 1) // 2
    figure.tight_layout(rect=(0, 0.055 * rows / lines, 1, 1))
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=150)
    plt.close(figure)


def _plain(text: str) -> str:
    """Text as matplotlib prints it: a dollar sign would start mathematics."""
    return text.replace("$", r"\$")
