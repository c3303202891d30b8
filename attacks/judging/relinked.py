"""Whom reconstructions lead to: each is an image, to be linked like a released one."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.judging.candidates import Floats
from leakbench.attacks.judging.likeness import STOOD_IN, measurement
from leakbench.attacks.judging.linkage import first_of_class, pixel_links
from leakbench.attacks.judging.truth import Truth, in_order, one_source
from leakbench.metrics.decision import level
from leakbench.metrics.measurement import Measurement
from leakbench.metrics.membership import Excess
from leakbench.metrics.rates import Interval, clopper_pearson, exchange_firsts
from leakbench.synth.images import to_bytes

SPACES = ("pixels", "features", "statistics")


def relinked(guess: Reconstructions, truth: Truth) -> tuple[list[Measurement], dict[str, str]]:
    """Grade where reconstructions lead: how often a private image behind a client's comes first among all members.

    Members alone are candidates, so that a teacher that knows all of them favours none. A guess counts for its client,
    whose images' classes and sources are all open to it: pairing guesses with images would lend them what the release
    gives away.

    Args:
        guess: as for `judge.judge_images`.
        truth: what only the judge knows; `linker` is the network.

    Returns:
        ``linked.<space>.attack`` for ``pixels`` (squared distance), the linker's ``features`` and its ``statistics``
        (`observer.Observer`); control: chance; baseline: what the attacked released images themselves lead to, above
        which alone the attack adds anything; the excess is over chance, its interval by exchanging the members of a
        class (`rates.exchange_firsts`); that of the statistics decides. Absent where there is no such network. Where
        nobody in particular stands behind what was attacked, a member of the class drawn at random stands in: who comes
        first among members says nothing then, so the excess has no interval.
    """
    guess, position = in_order(guess, truth)
    assert guess.clients is not None
    stands_in = truth.sources is None or bool((truth.sources[position] < 0).all())
    behind, allowed = _open_to(position, guess.clients, truth, stands_in=stands_in)
    pixels = to_bytes(guess.pixels)
    measurements, absent = [], {}
    for space in SPACES:
        if why := _unseen(space, truth):
            absent[f"linked.{space}"] = why
            continue
        ranked = (_alike(shown, space, truth) for shown in (pixels, truth.released.pixels[position]))
        led, plain = (first_of_class(links, allowed) for links in ranked)
        measurements += _rates(f"linked.{space}", led, plain, behind, allowed, truth, stands_in=stands_in)
    return measurements, absent


def _unseen(space: str, truth: Truth) -> str:
    if space == "pixels":
        return ""
    if truth.linker is None:
        return "the judge was given no network"
    return "" if space == "features" or truth.linker.has_statistics else "the network has no normalisation layers"


def _alike(pixels: Tensor, space: str, truth: Truth) -> Floats:
    if space == "pixels":
        return pixel_links(pixels, truth.split.members.pixels)
    assert truth.linker is not None
    return truth.linker.similarities(pixels, "features" if space == "features" else "statistics").numpy()


def _rates(
    name: str,
    led: NDArray[np.intp],
    plain: NDArray[np.intp],
    behind: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    truth: Truth,
    *,
    stands_in: bool,
) -> list[Measurement]:
    """How often a source comes first, by the guesses and by what was attacked."""
    deciding, classes = level("private"), truth.split.members.labels.numpy()
    expected = float((behind.sum(1) / allowed.sum(1)).mean())
    parts = {"attack": _rate(led, behind), "control": Interval(*[expected] * 3), "baseline": _rate(plain, behind)}
    note = "the source comes first of its class among all members; control: chance; baseline: the attacked image itself"
    shown = [
        measurement(f"{name}.{part}", rate, len(led), variant=f"{note}; Clopper-Pearson")
        for part, rate in parts.items()
    ]
    if stands_in:
        by_chance = Interval(parts["attack"].value - expected, None, None)
        return [*shown, measurement(f"{name}.excess", by_chance, len(led), variant=f"{note}; {STOOD_IN}")]
    found, p = exchange_firsts(led, behind, classes, seed=truth.seed, level=deciding)
    assert found.low is not None
    assert found.high is not None
    value = found.value - expected
    excess = Excess(value, min(value, found.low), max(value, found.high), p)
    exchanged = f"{note}; by exchanging the members of a class"
    return [*shown, measurement(f"{name}.excess", excess, len(led), variant=exchanged, level=deciding)]


def _rate(first: NDArray[np.intp], behind: NDArray[np.bool_]) -> Interval:
    found = (first >= 0) & behind[np.arange(len(first)), first]
    return clopper_pearson(int(found.sum()), len(first))


def _open_to(
    position: Tensor, clients: Tensor, truth: Truth, *, stands_in: bool
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(R, N) which members stand behind an image of a guess's client, and which are of one of its classes."""
    known = None if stands_in else truth.sources
    stands = one_source(position, truth)[:, None] if known is None else known[position]
    people = len(truth.split.members)
    marks = torch.zeros(len(position), people + 1, dtype=torch.bool)
    behind = marks.scatter_(1, torch.where(stands < 0, people, stands).long(), True)[:, :people]
    allowed = truth.released.labels[position][:, None] == truth.split.members.labels
    same = clients[:, None] == clients
    return tuple(torch.stack([part[who].any(0) for who in same]).numpy() for part in (behind, allowed))  # type: ignore[return-value]
