"""What attacks on the release find, among all candidates and among those of each class."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from leakbench.attacks.membership.density_ratio import NoDensity
from leakbench.benchmarks.audit.folders import Folders
from leakbench.benchmarks.audit.members import ATTACKS, Measured, Trial, from_release, judged, leaks, stand_in, words
from leakbench.benchmarks.audit.track import Track
from leakbench.metrics.blind import blind_control
from leakbench.metrics.decision import BLIND_CONTROL, above_zero
from leakbench.metrics.described import Geometry
from leakbench.metrics.power import power

PRETRAINED = "nearest:space=pretrained"
"""The attack that looks through a network."""
FEWEST_OF_CLASS = 20
"""Private candidates, and others, of a class that is looked at by itself: of fewer no leak could be told."""


@dataclass(frozen=True)
class Attacked:
    """What one attack found.

    Args:
        label: the attack, with the geometry where it is not the first, and the class where it is one alone.
        name: of the attack.
        trial: whom it was run on.
        members: positions among all private pictures of those of the trial.
        scores: of the candidates.
        measured: how they are judged.
        of_class: whether the candidates are those of one class.
    """

    label: str
    name: str
    trial: Trial
    members: Tensor
    scores: Tensor
    measured: Measured
    of_class: bool = False

    def explained(self) -> bool:
        """Whether what was found is there without the release.

        Private pictures may be more alike among themselves than like the holdout's (`members.stand_in`), or look
        different in this class.
        """
        if stand_in(self.name, self.trial, self.measured):
            return True
        sides = self.trial.parts.members.pixels, self.trial.parts.holdout.pixels
        return self.of_class and above_zero([[blind_control(*sides, seed=self.trial.seed)]], BLIND_CONTROL)


def left_out(folders: Folders) -> dict[str, str]:
    """The attacks that are not run, and why: what they need is not here, or takes longer than a quick audit."""
    quick = "" if folders.details else "quick: a network's features take longer than all that is looked at"
    found = {name: attack.missing() or quick * (name == PRETRAINED) for name, attack in ATTACKS.items()}
    return {name: why for name, why in found.items() if why}


def attack_all(
    folders: Folders, trials: dict[Geometry, Trial], members: Tensor, tolerance: float, track: Track
) -> tuple[list[Attacked], list[str]]:
    """Each attack in each geometry.

    Args:
        folders: that are audited.
        trials: who was in and who was not.
        members: positions of the former.
        tolerance: of what counts as found.
        track: shows how far it is.

    Returns:
        What they found among all candidates, then what leaks among those of a class; and in words. Those that cannot
        be run have words alone.
    """
    omitted = left_out(folders)
    runs, reasons = [], [f"{name}: not run: {why}" for name, why in omitted.items()]
    todo = list(product(trials.items(), [name for name in ATTACKS if name not in omitted]))
    for (geometry, trial), name in track("attacking", todo, len(todo)):
        label = name if geometry == folders.geometries[0] else f"{name}, squeezed"
        try:
            scored = from_release(name, folders.images(folders.released, geometry), trial)
        except NoDensity as error:
            reasons.append(f"{label}: could not be run on this release: {error}")
            continue
        runs.append(Attacked(label, name, trial, members, *scored))
        reasons.append(f"{label}: {words(runs[-1].measured, tolerance)}")
    of_classes = [one for run in runs for one in by_class(run)]
    told = [one for one in of_classes if leaks(one.measured, tolerance)]
    if of_classes:
        reasons.append(
            f"by class: attacks tell somebody in {len(told)} of {len(of_classes)} trials, each on the pictures of one "
            f"class that has {FEWEST_OF_CLASS} private ones and as many of the holdout{_weakest(of_classes)}"
        )
    reasons += [f"{one.label}: {words(one.measured, tolerance)}" for one in told]
    return [*runs, *told], reasons


def _weakest(runs: list[Attacked]) -> str:
    """How small a leak the one of them that sees least would have seen, in words."""
    seen = [worth for run in runs if (worth := power([run.measured], "members"))]
    least = max(seen, key=lambda worth: worth.smallest).least if seen else ""
    return f"; a leak would have been seen {least} in any of them" * bool(seen)


def by_class(run: Attacked) -> Iterator[Attacked]:
    """The same scores among the candidates of each class, so that a leak of one class is seen.

    Args:
        run: among all of them.
    """
    trial, parts = run.trial, run.trial.parts
    if len(parts.members.classes) == 1:
        return
    labels = torch.cat([parts.members.labels, parts.holdout.labels])[trial.order]
    of_class = [(name, labels == label) for label, name in enumerate(parts.members.classes)]
    private = trial.order < len(parts.members)
    wide = [(n, k) for n, k in of_class if min(int((k & private).sum()), int((k & ~private).sum())) >= FEWEST_OF_CLASS]
    for name, kept in wide:
        chosen = trial.order[kept].sort().values
        who = chosen[chosen < len(parts.members)]
        others = chosen[len(who) :] - len(parts.members)
        alone = replace(parts, members=parts.members.take(who), holdout=parts.holdout.take(others))
        # Positions in the smaller whole: members first, as in the larger one.
        order = torch.searchsorted(chosen, trial.order[kept])
        one = replace(trial, parts=alone, order=order, alarms=trial.alarms / len(wide))
        scores = run.scores[kept]
        label = f"{run.label}, class {name!r}"
        yield Attacked(label, run.name, one, run.members[who], scores, judged(scores, one), of_class=True)
