"""Can private images be told from the holdout, by the release alone? And would so few have been found at all?"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from leakbench.attacks.attack import Attack
from leakbench.attacks.guess import Scores
from leakbench.attacks.judging.judge import judge_members
from leakbench.attacks.judging.truth import Truth
from leakbench.attacks.membership.density_ratio import DensityRatio, NoDensity
from leakbench.attacks.membership.gan_leaks import GanLeaks
from leakbench.attacks.membership.mixture_linkage import MixtureLinkage
from leakbench.attacks.membership.nearest import Nearest
from leakbench.attacks.view import Access, View
from leakbench.benchmarks.audit.folders import unlabelled, without_twins
from leakbench.metrics import decision
from leakbench.metrics.blind import FEWEST
from leakbench.metrics.measurement import Measurement
from leakbench.metrics.membership import true_positives_at_no_false_one
from leakbench.metrics.power import power
from leakbench.synth.defense import Release, Resources
from leakbench.synth.defenses.leaky import Leaky
from leakbench.synth.images import Images, Split
from leakbench.synth.seeds import seeded_rng

CPU = torch.device("cpu")
ATTACKS: dict[str, Attack] = {
    "nearest": Nearest(),
    "nearest:space=ssim": Nearest(space="ssim"),
    "nearest:space=pretrained": Nearest(space="pretrained"),
    "gan-leaks": GanLeaks(),
    "density-ratio": DensityRatio(),
    "mixture-linkage": MixtureLinkage(links=1),  # nobody asks an audit for links, and all of them fill memory
}
HIDDEN = ("noise", "flip", "jpeg")
"""Copies that a release is spiked with: see `leaky.Leaky`."""
DOUBLINGS = 4

Measured = tuple[Measurement, ...]


@dataclass(frozen=True)
class Trial:
    """Who was in and who was not, as attacks see them.

    Args:
        parts: private images as members, others as holdout.
        order: of the candidates.
        seed: of the attacks and the judge.
        alarms: probability of a false alarm of each attack.
    """

    parts: Split
    order: Tensor
    seed: int
    alarms: float

    @classmethod
    def of(cls, parts: Split, seed: int, geometries: int) -> "Trial":
        """Candidates in random order; each attack on each geometry, and LiRA, raise a false alarm as rarely.

        Whether it can be run here or not: a verdict's level is the same on every machine.

        All of them raise 5 % at most, of which half is for classes by themselves where there are some; the test of near
        copies has as much of its own, of which it takes next to nothing: unrelated pictures have none.
        """
        order = torch.randperm(len(parts.members) + len(parts.holdout), generator=seeded_rng("audit", seed))
        trials = (len(ATTACKS) * geometries + 1) * (2 if len(parts.members.classes) > 1 else 1)
        return cls(parts, order, seed, decision.ALARMS / trials)


def attacked(attack: Attack, trial: Trial, **more: Any) -> tuple[Tensor, Measured]:
    """Scores of the candidates, and how they are judged.

    Args:
        attack: on membership.
        trial: whom it is run on.
        more: what the attack is given, by the name of an `view.Access`, as functions.
    """
    shown: dict[Access, Callable[..., Any]] = {Access.CANDIDATES: lambda: trial.parts.candidates(trial.order)}
    shown |= {Access[name]: give for name, give in more.items()}
    guess = attack.run(View(threat_model="audit", grants=shown), seed=trial.seed, device=CPU)
    assert isinstance(guess, Scores)
    return guess.values, judged(guess.values, trial)


def judged(values: Tensor, trial: Trial) -> Measured:
    """What scores of the candidates say."""
    truth = Truth(
        released=trial.parts.members,
        victims=torch.arange(0),
        sources=None,
        split=trial.parts,
        seed=trial.seed,
        device=CPU,
        candidates=trial.order,
        alarms=trial.alarms,
    )
    return judge_members(Scores(values), truth).measurements


def from_release(name: str, released: Images, trial: Trial) -> tuple[Tensor, Measured]:
    """The same by one of the attacks that hold nothing but the release and images of other people, without labels."""
    own, candidates = (unlabelled(p.pixels) for p in (trial.parts.auxiliary, trial.parts.candidates(trial.order)))
    given = {"RELEASE": lambda: Release(unlabelled(released.pixels)), "AUXILIARY": lambda: own}
    return attacked(ATTACKS[name], trial, CANDIDATES=lambda: candidates, **given)


def stand_in(name: str, trial: Trial, measured: Measured) -> bool:
    """Whether private images that were never released are given away as much, by the other half of the private ones.

    Then they are more alike among themselves than the holdout's, and an attack that compares says nothing of a release.
    It is excused by no more than what it finds there.

    Args:
        name: of the attack.
        trial: on the release.
        measured: by the attack, of the release.
    """
    members = trial.parts.members
    halves = torch.randperm(len(members), generator=seeded_rng("stand-in", trial.seed)).tensor_split(2)
    shown, others = (members.take(half) for half in halves)
    others = others.take(without_twins(others, shown))
    if min(len(others), len(shown)) < FEWEST:
        return False
    parts = replace(trial.parts, members=others)
    order = torch.randperm(len(others) + len(parts.holdout), generator=seeded_rng("stand-in order", trial.seed))
    try:
        _, found = from_release(name, shown, replace(trial, parts=parts, order=order))
    except NoDensity:  # half of a class may be too few: then nothing excuses what was found
        return False
    area, there = (next(m for m in part if m.name == decision.DECIDES["members"]) for part in (measured, found))
    assert area.low is not None
    assert there.high is not None
    return leaks(found) and not area.low > there.high


def leaks(measured: Measured, tolerance: float = 0.0) -> bool:
    """Whether members leak, by the same rule as a suite's verdict; with a tolerance, by as much as that."""
    return decision.exceeds(measured, tolerance) if tolerance else bool(decision.detected([measured], "members"))


def words(measured: Measured, tolerance: float) -> str:
    """What an attack found."""
    found = {m.name: m for m in measured}
    area, first = found["members.auc.attack"], found["members.tp-at-0-fpr.attack"]
    chance = found["members.tp-at-0-fpr.control"].value
    verdict = "tells private images from the holdout"
    if not leaks(measured, tolerance):
        verdict = "does not tell private images from the holdout" + (" by more than is tolerated" if tolerance else "")
    worth = None if tolerance else power([measured], "members")
    seen = f"; a leak would have been seen {worth.least}" if worth and not leaks(measured) else ""
    told = f"AUC {area.value:.3f}, {first.value:.0f} before every other where chance explains {chance:.0f}"
    return f"{verdict} ({told}{seen})"


def before_all(values: Tensor, order: Tensor, count: int) -> Tensor:
    """Positions of the private images that score higher than everybody who was not in, highest first."""
    private = order < count
    best = values[~private].max()
    chosen = (private & (values > best)).nonzero().flatten()
    return order[chosen[values[chosen].argsort(descending=True)]]


def hidden_copies(values: Tensor, released: int, trial: Trial, tolerance: float) -> tuple[bool, list[str]]:
    """How few hidden copies would have been found: the release is spiked with more and more of them to see.

    The scores are shuffled first, so that what the release gives away by itself is no part of the power.

    Args:
        values: the candidates' scores by the nearest released image, without spikes.
        released: images of the release.
        trial: on the release.
        tolerance: of what counts as found.

    Returns:
        Whether any would have been found, and a sentence for each kind of copy.
    """
    members = trial.parts.members
    marks = (trial.order < len(members)).numpy()
    level = decision.level("members", trial.alarms)
    explained = -true_positives_at_no_false_one(np.zeros(len(marks)), marks, level=level).low
    fewest, most = math.ceil(explained) + 1, min(len(members), released)
    if fewest > most:
        return False, [
            f"power: fewer than {fewest} hidden copies would not have been found, and there is room for {most}"
        ]
    counts = sorted({min(fewest << doubling, most) for doubling in range(DOUBLINGS)})
    values = values[torch.randperm(len(values), generator=seeded_rng("nobody", trial.seed))]
    any_found, lines = False, []
    for kind in HIDDEN:
        tried: list[int] = []
        for count in counts:
            tried.append(count)
            theirs, _ = from_release("nearest", _hidden(members, kind, count, trial.seed), trial)
            # The nearest of a release with spikes is the nearer of the two; what is taken off is the same.
            found = leaks(judged(torch.maximum(values, theirs), trial), tolerance)
            if found:
                break
        share = f"{count} hidden copies ({kind}; {100 * count / released:.2g} % of the release)"
        fewer = "; fewer were not tried" if len(tried) == 1 else f"; {tried[-2]} would not"
        line = f"power: {share} would have been told by attacks{fewer}"
        if not found:
            line = f"power: even {share} would not have been told by attacks: a larger holdout is needed"
        lines.append(line)
        any_found = any_found or found
    return any_found, lines


def _hidden(members: Images, kind: Any, count: int, seed: int) -> Images:
    chosen = members.take(torch.randperm(len(members), generator=seeded_rng("power", seed))[:count])
    return Leaky(leaked=1.0, copies=kind).release(chosen, Resources(seed=seed, device=CPU, public=chosen)).images
