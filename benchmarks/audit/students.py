"""What networks learn from the release, and whether they give its private images away, within a budget of time."""

import time
from dataclasses import dataclass
from functools import cache

from leakbench.attacks.learner import Learner
from leakbench.attacks.membership.lira import Lira
from leakbench.attacks.membership.teacher import TeacherTraining
from leakbench.attacks.view import PublishedModel
from leakbench.benchmarks.audit.folders import Folders
from leakbench.benchmarks.audit.members import CPU, Measured, Trial, attacked
from leakbench.metrics.utility import accuracy
from leakbench.synth.networks.training import Recipe, predict

NETWORK = "resnet20"
SHADOWS = 8
FEWEST_STEPS, MOST_STEPS = 50, 1500
"""Least and most steps of each network's training: fewer teach nothing, more are not needed."""
TRIAL = 5
"""Steps, of which the time is taken, after as many that are not looked at."""


@dataclass(frozen=True)
class Taught:
    """What students say.

    Args:
        lines: utility and conditions, in words.
        lira: what LiRA measured of a student of the release; None where it was not run.
        control: the same of a student of the private images themselves: what LiRA can do at all.
    """

    lines: list[str]
    lira: Measured | None = None
    control: Measured | None = None


def taught(folders: Folders, trial: Trial, budget: float) -> Taught:
    """Train students of the release, of the private images, and shadows, with as many steps as the budget allows.

    Args:
        folders: with classes.
        trial: whom the release was made of, and the seed of the trainings.
        budget: seconds for all of them.
    """
    parts, seed, geometry = trial.parts, trial.seed, folders.geometries[0]
    released, private = (folders.images(part, geometry) for part in (folders.released, folders.private))
    for _ in range(2):
        start = time.monotonic()
        TeacherTraining(network=NETWORK, recipe=Recipe(steps=TRIAL)).train(released, seed=seed, device=CPU)
        a_step = (time.monotonic() - start) / TRIAL
    steps = int(budget / (SHADOWS + 2) / a_step)
    if steps < FEWEST_STEPS:
        need = (SHADOWS + 2) * FEWEST_STEPS * a_step
        return Taught([f"students: not trained; --budget must be at least {need / 60:.0f}m for these images here"])
    training = TeacherTraining(network=NETWORK, recipe=Recipe(steps=min(steps, MOST_STEPS)))
    networks = [training.train(images, seed=seed, device=CPU) for images in (released, private)]
    useful, reference = (accuracy(predict(n, parts.test.pixels, device=CPU), parts.test.labels) for n in networks)
    lines = [
        f"utility: a {NETWORK} trained on the release for {training.recipe.steps} steps is right on "
        f"{100 * useful.value:.1f} % of the holdout [{100 * (useful.low or 0):.1f}, {100 * (useful.high or 0):.1f}]; "
        f"one trained on the private images on {100 * reference.value:.1f} %"
    ]
    candidates = parts.candidates(trial.order)

    @cache
    def learned(learner: Learner) -> object:
        return learner.restore(learner.learn(candidates, seed=seed, device=CPU), candidates, device=CPU)

    def shadowed(learner: Learner | None = None) -> object:
        return candidates if learner is None else learned(learner)

    measured = []
    for network in networks:
        student = PublishedModel(network, NETWORK, training.recipe)
        attack = Lira(shadows=SHADOWS)
        given = {"CANDIDATES": shadowed, "MODEL": lambda student=student: student}
        measured.append(attacked(attack, trial, **given)[1])
    return Taught(lines, *measured)
