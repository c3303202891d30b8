"""How like a class the images are that claim to show it, in the features of an oracle that no attack has seen."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.judging.candidates import Floats
from leakbench.attacks.judging.likeness import DISTANCE, RATE, means
from leakbench.attacks.judging.truth import Truth
from leakbench.metrics.features import Features, frechet_distance, kernel_distance, precision_recall
from leakbench.metrics.measurement import Measurement
from leakbench.synth.images import to_bytes
from leakbench.synth.networks.training import penultimate

DISTANCES = {"frechet": frechet_distance, "kernel": kernel_distance}
NEIGHBOURS = 3
"""Neighbours that precision and recall look at."""


def class_likeness(
    guess: Reconstructions, control: Reconstructions, truth: Truth
) -> tuple[list[Measurement], dict[str, str]]:
    """Distances between sets of images, and whether a generator has converged and not collapsed.

    Args:
        guess: of the attack.
        control: of the same attack where there was nothing to learn.
        truth: what only the judge knows.

    Returns:
        ``class.frechet.*`` and ``class.kernel.*``: distance in the oracle's features of the generated images of a class
        to its members; the control is the distance to as many holdout images of the class, the baseline to as many
        members of another class. The excess, control - attack, is above 0 where the generated images are nearer to
        members than to strangers; that they are nearer than the baseline says only that the class leaks.
        ``class.precision.*`` and ``class.recall.*``: of the generated images against the holdout images of the class;
        the control is the same of the control's images, the baseline of another class's. All are means over classes.
        Absent, with the reason, where there are too few images of a class.
    """
    labels = sorted(set(guess.labels.tolist()))
    fewest = int(torch.bincount(guess.labels)[labels].min())
    if fewest <= NEIGHBOURS:
        reason = f"{fewest} generated images of a class are too few; it takes {NEIGHBOURS + 1}"
        return [], {f"class.{name}": reason for name in (*DISTANCES, "precision", "recall")}
    made, empty = (_features(truth, to_bytes(g.pixels), g.labels) for g in (guess, control))
    members, strangers = (_features(truth, i.pixels, i.labels) for i in (truth.split.members, truth.split.holdout))
    others = {label: members[_other(label, members)] for label in labels}
    measurements: list[Measurement] = []
    for name, distance in DISTANCES.items():
        rows = [_distances(made[c], (members[c], strangers[c], others[c]), distance) for c in labels]
        note = "in the oracle's features; control: holdout images of the class; baseline: members of another class"
        measurements += means(f"class.{name}", *_columns(rows), truth.seed, DISTANCE, note)
    rates = [[precision_recall(x, strangers[c], NEIGHBOURS) for x in (made[c], empty[c], others[c])] for c in labels]
    for index, name in enumerate(("precision", "recall")):
        note = "in the oracle's features, against the class's holdout images; control: nothing to learn from"
        columns = _columns([[p[index] for p in row] for row in rates])
        measurements += means(f"class.{name}", *columns, truth.seed, RATE, note)
    return measurements, {}


def _other(label: int, parts: dict[int, Features]) -> int:
    """The next class that has images."""
    return min((other for other in parts if other > label), default=min(parts))


def _distances(
    made: Features, parts: tuple[Features, ...], distance: Callable[[Features, Features], float]
) -> list[float]:
    """To as many of each: the Fréchet distance depends on how many."""
    count = min(map(len, parts))
    return [distance(made, part[:count]) for part in parts]


def _columns(rows: list[list[float]]) -> tuple[Floats, Floats, Floats]:
    """Attack, control and baseline, each over the classes."""
    attack, control, baseline = np.array(rows, dtype=np.float64).T
    return attack, control, baseline


def _features(truth: Truth, pixels: Tensor, labels: Tensor) -> dict[int, Features]:
    """The oracle's features of uint8 images, by class."""
    assert truth.oracle is not None
    found = penultimate(truth.oracle, pixels, device=truth.device).double().numpy()
    return {int(label): found[(labels == label).numpy()] for label in labels.unique()}
