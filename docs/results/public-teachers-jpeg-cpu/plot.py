"""Accuracy against epsilon on CIFAR-10: what was measured here, and what others published."""

from pathlib import Path

from matplotlib.figure import Figure

OURS = {
    "dp-linear-probe, 16,000 members": ((1, 3, 8), (64.8, 67.8, 68.3)),
    "dp-labelled-public-images, hard labels": ((1, 8), (60.8, 62.3)),
    "dp-labelled-public-images, soft labels": ((1, 8), (62.6, 65.5)),
    "dp-sgd, 100 steps": ((8,), (33.7,)),
    "dp-merf": ((8,), (19.7,)),
}
"""README.md and ../defenses-jpeg-cpu: 10,000 members where nothing is said, CIFAR-10 saved as JPEG."""
PUBLISHED = {
    "SPS (openreview VgVeQpagf7), 50,000 members": ((1, 2, 4, 8), (93.2, 94.6, 95.0, 95.9)),
    "PrivImage (DPImageBench)": ((1, 10), (74.5, 78.4)),
    "PE (DPImageBench)": ((1, 10), (64.6, 75.3)),
    "DP-FETA, no public data (DPImageBench)": ((1, 10), (35.1, 43.3)),
    "DP-MERF (DPImageBench)": ((1, 10), (27.2, 29.0)),
    "DP-SGD, WRN-40 (arXiv 2204.13650)": ((8,), (81.4,)),
}
"""As published, with 50,000 members, other networks and more computing; not run here."""
FLAT = {"the photographs themselves, ResNet-20 of 500 steps": 64.9, "1,000 of the photographs": 56.1}

figure = Figure(figsize=(8, 4.6))
axes = figure.subplots()
for index, (name, (epsilons, accuracies)) in enumerate(OURS.items()):
    axes.plot(epsilons, accuracies, color=f"C{index}", marker="os^Dv"[index], label=name)
for index, (name, (epsilons, accuracies)) in enumerate(PUBLISHED.items()):
    style = {"marker": "osD^vP"[index], "markerfacecolor": "white", "linestyle": ":"}
    axes.plot(epsilons, accuracies, color="0.45", label=f"published: {name}", **style)
for (name, accuracy), line in zip(FLAT.items(), ("--", "-."), strict=True):
    axes.axhline(accuracy, color="0.2", linestyle=line, linewidth=0.8, label=name)
axes.set(xscale="log", xlim=(0.9, 11), ylim=(0, 100), xlabel="epsilon (delta 1e-5)", ylabel="test accuracy, %")
axes.set_xticks([1, 2, 3, 4, 8, 10], ["1", "2", "3", "4", "8", "10"])
axes.minorticks_off()
axes.spines[["top", "right"]].set_visible(False)
figure.legend(loc="outside right upper", fontsize=7, frameon=False)
figure.set_layout_engine("constrained")
figure.savefig(Path(__file__).with_name("epsilon.png"), dpi=130)
