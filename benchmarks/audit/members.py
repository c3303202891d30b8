"""Can private images be told from the holdout, by the release alone? And would so few have been found at all?"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from leakbench.attacks.attack import Attack
from leakbench.attacks.guess import Scores
from leakbench.attacks.judging.judge import judge_members
from leakbench.attacks.judging.truth import Truth
from leakbench.attacks.membership.density_ratio import DensityRatio
from leakbench.attacks.membership.gan_leaks import GanLeaks
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
    "gan-leaks": GanLeaks(),
    "density-ratio": DensityRatio(),
}
ALARMS = decision.ALARMS / (len(ATTACKS) + 1)
"""Probability of a false alarm of each attack, LiRA among them, so that all of them raise 5 % at most; the test of near
copies has as much of its own, of which it takes next to nothing: unrelated pictures have none."""
HIDDEN = ("noise", "flip", "jpeg")
"""Copies that a release is spiked with: see `leaky.Leaky`."""
DOUBLINGS = 4

Measured = tuple[Measurement, ...]


def attacked(attack: Attack, parts: Split, order: Tensor, seed: int, **more: Any) -> tuple[Tensor, Measured]:
    """Scores of the candidates in this order, and how they are judged.

    Args:
        attack: on membership.
        parts: private images as members, others as holdout.
        order: of the candidates.
        seed: of the attack and the judge.
        more: what the attack is given, by the name of an `view.Access`, as functions.
    """
    shown: dict[Access, Callable[..., Any]] = {Access.CANDIDATES: lambda: parts.candidates(order)}
    shown |= {Access[name]: give for name, give in more.items()}
    guess = attack.run(View(threat_model="audit", grants=shown), seed=seed, device=CPU)
    assert isinstance(guess, Scores)
    return guess.values, judged(guess.values, parts, order, seed)


def judged(values: Tensor, parts: Split, order: Tensor, seed: int) -> Measured:
    """What scores of the candidates in this order say."""
    truth = Truth(
        released=parts.members,
        victims=torch.arange(0),
        sources=None,
        split=parts,
        seed=seed,
        device=CPU,
        candidates=order,
        alarms=ALARMS,
    )
    return judge_members(Scores(values), truth).measurements


def from_release(name: str, released: Images, parts: Split, order: Tensor, seed: int) -> tuple[Tensor, Measured]:
    """The same by one of the attacks that hold nothing but the release and images of other people."""
    own = unlabelled(parts.auxiliary.pixels)
    given = {"RELEASE": lambda: Release(unlabelled(released.pixels)), "AUXILIARY": lambda: own}
    return attacked(ATTACKS[name], parts, order, seed, **given)


def stand_in(name: str, parts: Split, seed: int, measured: Measured) -> bool:
    """Whether private images that were never released are given away as much, by the other half of the private ones.

    Then they are more alike among themselves than the holdout's, and an attack that compares says nothing of a release.
    It is excused by no more than what it finds there.

    Args:
        name: of the attack.
        parts: as in :func:`attacked`.
        seed: of the halves.
        measured: by the attack, of the release.
    """
    halves = torch.randperm(len(parts.members), generator=seeded_rng("stand-in", seed)).tensor_split(2)
    shown, others = (parts.members.take(half) for half in halves)
    others = others.take(without_twins(others, shown))
    if min(len(others), len(shown)) < FEWEST:
        return False
    split = replace(parts, members=others)
    order = torch.randperm(len(others) + len(parts.holdout), generator=seeded_rng("stand-in order", seed))
    _, found = from_release(name, shown, split, order, seed)
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


def hidden_copies(
    values: Tensor, released: int, parts: Split, order: Tensor, seed: int, tolerance: float
) -> tuple[bool, list[str]]:
    """How few hidden copies would have been found: the release is spiked with more and more of them to see.

    The scores are shuffled first, so that what the release gives away by itself is no part of the power.

    Args:
        values: the candidates' scores by the nearest released image, without spikes.
        released: images of the release.
        parts: as in :func:`attacked`.
        order: of the candidates.
        seed: of the spikes.
        tolerance: of what counts as found.

    Returns:
        Whether any would have been found, and a sentence for each kind of copy.
    """
    marks = (order < len(parts.members)).numpy()
    explained = -true_positives_at_no_false_one(
        np.zeros(len(marks)), marks, level=decision.level("members", ALARMS)
    ).low
    fewest, most = math.ceil(explained) + 1, min(len(parts.members), released)
    if fewest > most:
        return False, [
            f"power: fewer than {fewest} hidden copies would not have been found, and there is room for {most}"
        ]
    counts = sorted({min(fewest << doubling, most) for doubling in range(DOUBLINGS)})
    values = values[torch.randperm(len(values), generator=seeded_rng("nobody", seed))]
    any_found, lines = False, []
    for kind in HIDDEN:
        tried: list[int] = []
        for count in counts:
            tried.append(count)
            spikes = _hidden(parts.members, kind, count, seed)
            theirs, _ = from_release("nearest", spikes, parts, order, seed)
            # The nearest of a release with spikes is the nearer of the two; what is taken off is the same.
            found = leaks(judged(torch.maximum(values, theirs), parts, order, seed), tolerance)
            if found:
                break
        share = f"{count} hidden copies ({kind}; {100 * count / released:.2g} % of the release)"
        fewer = "; fewer were not tried" if len(tried) == 1 else f"; {tried[-2]} would not"
        would = f"would have been found{fewer}" if found else "would not have been found; a larger holdout is needed"
        lines.append(f"power: {share} {would}" if found else f"power: even {share} {would}")
        any_found = any_found or found
    return any_found, lines


def _hidden(members: Images, kind: Any, count: int, seed: int) -> Images:
    chosen = members.take(torch.randperm(len(members), generator=seeded_rng("power", seed))[:count])
    return Leaky(leaked=1.0, copies=kind).release(chosen, Resources(seed=seed, device=CPU, public=chosen)).images
