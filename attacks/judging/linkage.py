"""Who stands behind a released image: how often the right candidate comes first."""

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leakbench.attacks.guess import Links
from leakbench.attacks.judging.likeness import measurement
from leakbench.attacks.judging.truth import Truth, one_source
from leakbench.metrics.measurement import Measurement
from leakbench.metrics.rates import Interval, clopper_pearson, exchange_firsts, mean_over_images

TOP = (1, 10)
CROWDS = (10, 100, 1000)
"""Candidates of one class among whom a source is looked for, for the curve."""


def linkage(links: Links, truth: Truth) -> tuple[list[Measurement], dict[str, str]]:
    """Grade links between released images and candidates.

    Returns:
        ``linkage.top-1.*`` and ``linkage.top-10.*``: how often a private image behind the released one is among the
        first candidates of its class. Control: how often it would be by chance; baseline: the candidates nearest in
        pixels come first. The excess is over the control, its interval of Clopper and Pearson; that of top-1, which
        decides, by exchanging the candidates of a class (`rates.exchange_firsts`). Where a whole class
        stands behind an image, or nobody behind any, a member of the class drawn at random stands in; where somebody
        stands behind others, images without a source are left out.
        ``linkage.top-1-of-N``: the same among N candidates, a source and N - 1 others of the class at random. Absent
        where a class has fewer.
    """
    assert truth.candidates is not None
    if truth.sources is not None:
        somebody = (truth.sources[links.released] >= 0).all(1)
        links = Links(links.released[somebody], links.scores[somebody])
    if not len(links.released):
        return [], dict.fromkeys((f"linkage.top-{top}" for top in TOP), "nobody stands behind the images looked at")
    pool = truth.split.candidates(truth.candidates)
    labels = truth.released.labels[links.released]
    allowed = (pool.labels == labels[:, None]).numpy()
    behind = _is_source(links.released, truth)
    given = links.scores.double().numpy()
    ranked = _ranks(given, behind, allowed)
    plain = _ranks(pixel_links(truth.released.pixels[links.released], pool.pixels), behind, allowed)
    sizes = list(zip(behind.sum(1).tolist(), allowed.sum(1).tolist(), strict=True))
    measurements: list[Measurement] = []
    for top in TOP:
        chance = float(np.mean([1 - _missed(few, crowd, top) for few, crowd in sizes]))
        found = clopper_pearson(int((ranked < top).sum()), len(ranked))
        parts = {
            "attack": found,
            "control": Interval(chance, chance, chance),
            "baseline": clopper_pearson(int((plain < top).sum()), len(plain)),
        }
        note = "Clopper-Pearson over released images; control: chance among the class; baseline: nearest in pixels"
        measurements += [measurement(f"linkage.top-{top}.{p}", i, len(ranked), variant=note) for p, i in parts.items()]
        beyond = Interval(*(end - chance for end in found))  # type: ignore[operator]
        excess = measurement(f"linkage.top-{top}.excess", beyond, len(ranked), variant=note)
        if top == 1:
            exchanged = first_of_class(given, allowed), behind, pool.labels.numpy()
            excess = _deciding(excess, *exchange_firsts(*exchanged, seed=truth.seed, level=truth.deciding), truth)
        measurements.append(excess)
    curve, absent = _curve(ranked, behind, allowed)
    return measurements + curve, absent


def first_of_class(links: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(R,) the candidate of its class that each image ranks first; -1 where several are equal."""
    masked = np.where(allowed, links, -np.inf)
    best = masked.max(1, keepdims=True)
    return np.where((masked == best).sum(1) == 1, masked.argmax(1), -1)


def _deciding(excess: Measurement, found: Interval, p: float, truth: Truth) -> Measurement:
    """The excess with the interval that decides, at its level; of ranks alone that no other candidate shares."""
    assert found.low is not None
    assert found.high is not None
    low, high = min(excess.value, found.low), max(excess.value, found.high)
    note = "by exchanging the candidates of a class; control: chance among the class"
    return replace(excess, low=low, high=high, level=truth.deciding, p=p, variant=note)


def _is_source(linked: Tensor, truth: Truth) -> NDArray[np.bool_]:
    """(R, N) which candidates stand behind which linked image."""
    assert truth.candidates is not None
    behind = one_source(linked, truth)[:, None] if truth.sources is None else truth.sources[linked]
    where = torch.empty_like(truth.candidates)
    where[truth.candidates] = torch.arange(len(where))
    marks = torch.zeros(len(linked), len(where), dtype=torch.bool)
    return marks.scatter_(1, where[behind.long()], True).numpy()


def _ranks(links: NDArray[np.float64], behind: NDArray[np.bool_], allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
    """How many others of the class come before the first of the sources; ties count against the attack."""
    best = np.where(behind, links, -np.inf).max(1)
    return np.asarray(((links >= best[:, None]) & allowed & ~behind).sum(1))


def pixel_links(pixels: Tensor, people: Tensor) -> NDArray[np.float64]:
    """(R, N) negative squared distances of bytes, up to a constant of each image that no rank depends on."""
    crowd, seen = people.flatten(1).float(), pixels.flatten(1).float()
    return (2 * seen @ crowd.T - crowd.square().sum(1)).double().numpy()


def _missed(few: int, crowd: int, top: int) -> float:
    """The chance that none of `few` marked ones is among `top` drawn from `crowd`."""
    if top + few > crowd:
        return 0.0
    return math.comb(crowd - few, top) / math.comb(crowd, top)


def _curve(
    ranked: NDArray[np.intp], behind: NDArray[np.bool_], allowed: NDArray[np.bool_]
) -> tuple[list[Measurement], dict[str, str]]:
    """How often a source comes first in smaller crowds, in expectation over who the others are."""
    others = (allowed & ~behind).sum(1)
    measurements, absent = [], {}
    for crowd in CROWDS:
        name = f"linkage.top-1-of-{crowd}"
        if others.min() < crowd - 1:
            absent[name] = f"a class has {others.min() + 1} candidates, too few for {crowd}"
            continue
        rates = np.array([_missed(int(r), int(o), crowd - 1) for r, o in zip(ranked, others, strict=True)])
        measurements.append(
            measurement(name, mean_over_images(rates), len(rates), variant="in expectation over the others")
        )
    return measurements, absent
