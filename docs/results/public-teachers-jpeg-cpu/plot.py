"""Accuracy against epsilon on CIFAR-10: what was measured here, and what others published."""

import json
import re
from pathlib import Path

from matplotlib.figure import Figure

HERE = Path(__file__).parent
OURS = {
    "dp-linear-probe, 16,000 members": ("records-probe.jsonl", "dp-linear-probe", "linear-probe:hard"),
    "dp-labelled-public-images, hard labels": ("records.jsonl", "dp-labelled-public-images", "resnet20:hard"),
    "dp-labelled-public-images, soft labels": ("records.jsonl", "dp-labelled-public-images", "resnet20:soft"),
    "dp-sgd, 100 steps": ("../defenses-jpeg-cpu/records.jsonl", "dp-sgd", "resnet20:hard"),
    "dp-merf": ("../defenses-jpeg-cpu/records.jsonl", "dp-merf", "resnet20:hard"),
}
"""Records, defense and student: 10,000 members where nothing is said, CIFAR-10 saved as JPEG."""
FLAT = {"the photographs themselves, ResNet-20 of 500 steps": "identity", "1,000 of the photographs": "subset"}
PUBLISHED = {
    "SPS (openreview VgVeQpagf7), 50,000 members": ((1, 2, 4, 8), (93.2, 94.6, 95.0, 95.9)),
    "PrivImage (DPImageBench)": ((1, 10), (74.5, 78.4)),
    "PE (DPImageBench)": ((1, 10), (64.6, 75.3)),
    "DP-FETA, no public data (DPImageBench)": ((1, 10), (35.1, 43.3)),
    "DP-MERF (DPImageBench)": ((1, 10), (27.2, 29.0)),
    "DP-SGD, WRN-40 (arXiv 2204.13650)": ((8,), (81.4,)),
}
"""As published, with 50,000 members, other networks and more computing; not run here."""


def measured(file: str, defense: str, student: str) -> list[tuple[float, float]]:
    """Epsilon, if the defense's spec has one, and test accuracy of each cell."""
    found = []
    for line in (HERE / file).read_text().splitlines():
        record = json.loads(line)
        cell = record["cell"]
        if (cell["defense"].partition(":")[0], cell["method"]) == (defense, student) and record["status"] == "ok":
            epsilon = re.search(r"epsilon=([\d.]+)", cell["defense"])
            found.append((float(epsilon[1]) if epsilon else 0.0, record["measurements"][0]["value"]))
    return sorted(found)


figure = Figure(figsize=(8, 4.6))
axes = figure.subplots()
for index, (name, cells) in enumerate(OURS.items()):
    axes.plot(*zip(*measured(*cells), strict=True), color=f"C{index}", marker="os^Dv"[index], label=name)
for index, (name, (epsilons, accuracies)) in enumerate(PUBLISHED.items()):
    style = {"marker": "osD^vP"[index], "markerfacecolor": "white", "linestyle": ":"}
    axes.plot(epsilons, accuracies, color="0.45", label=f"published: {name}", **style)
for (name, defense), line in zip(FLAT.items(), ("--", "-."), strict=True):
    ((_, accuracy),) = measured("../defenses-jpeg-cpu/records.jsonl", defense, "resnet20:hard")
    axes.axhline(accuracy, color="0.2", linestyle=line, linewidth=0.8, label=name)
axes.set(xscale="log", xlim=(0.9, 11), ylim=(0, 100), xlabel="epsilon (delta 1e-5)", ylabel="test accuracy, %")
axes.set_xticks([1, 2, 3, 4, 8, 10], ["1", "2", "3", "4", "8", "10"])
axes.minorticks_off()
axes.spines[["top", "right"]].set_visible(False)
figure.legend(loc="outside right upper", fontsize=7, frameon=False)
figure.set_layout_engine("constrained")
figure.savefig(HERE / "epsilon.png", dpi=130)
