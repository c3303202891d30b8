"""The judge: the only code that compares a guess with the truth.

Every figure comes as attack, control, baseline and the excess of the first over the second. Two questions are kept
apart: did the attack work (against what the victims trained on), and did privacy leak (against the private images).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from attacks.candidates import MEASURES, Floats, class_means, of_class, other_victims, similarities, told_apart, without
from attacks.view import Reconstructions
from metrics import lpips
from metrics.image import VARIANTS
from metrics.measurement import Measurement
from metrics.neighbours import nearest
from metrics.rates import Interval, clopper_pearson, exchange, mean_over_images, wilson
from synth.training import predict
from synth.types import Images, Split

Metric = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What only the judge knows.

    Args:
        released: the release as the victims trained on it.
        victims: (V,) positions in the release of the attacked images, in the attack's order.
        source_index: (N,) the member behind each released image, where there is exactly one.
        split: members, holdout and auxiliary.
        oracle: a classifier trained on holdout images, which no attack sees.
        seed: of resampling.
        device: where the oracle runs.
    """

    released: Images
    victims: Tensor
    source_index: Tensor | None
    split: Split
    oracle: nn.Module
    seed: int
    device: torch.device


@dataclass(frozen=True)
class Verdict:
    """The judge's figures, and those that could not be had, with the reason."""

    measurements: tuple[Measurement, ...]
    absent: dict[str, str]


def measurement(name: str, interval: Interval, n: int, *, unit: str = "", variant: str = "") -> Measurement:
    """A leakage figure: lower is better for the data owner."""
    return Measurement(
        name=name,
        value=interval.value,
        low=interval.low,
        high=interval.high,
        n=n,
        unit=unit,
        better="lower",
        variant=variant,
    )


def judge_images(guess: Reconstructions, truth: Truth) -> Verdict:
    """Grade reconstructions each of which claims one victim.

    Args:
        guess: with `victims`.
        truth: what only the judge knows.

    Returns:
        ``trained.*``: against the image the victim trained on; the control is another released image of its class,
        the baseline the mean auxiliary image of the class. ``private.*``: see :func:`private_leak` and
        :func:`source_identification`.
    """
    assert guess.victims is not None
    position = truth.victims[guess.victims]
    victims = truth.released.take(position)
    wrong = truth.released.take(other_victims(truth.released, position, seed=truth.seed))
    pictures = (victims.float(), wrong.float(), class_means(truth.split.auxiliary)[victims.labels])
    figures: list[Measurement] = []
    for name, (metric, unit) in MEASURES.items():
        figures += _compared(f"trained.{name}", metric, unit, VARIANTS[name], guess, pictures, truth.seed)
    figures.append(_mae(guess, victims))
    hits, chance = told_apart(guess.pixels, victims, without(truth.released, position), seed=truth.seed)
    note = f"nearest in pixel distance among released images of the class; mean chance {chance:.3f}; Wilson"
    figures.append(measurement("trained.identification", wilson(sum(hits), len(hits)), len(hits), variant=note))
    right = int((guess.labels == victims.labels).sum())
    figures.append(measurement("labels.accuracy", wilson(right, len(victims)), len(victims), variant="Wilson"))
    # By the victims' true labels: a wrongly inferred label must not hide a right image.
    labelled = replace(guess, labels=victims.labels)
    figures += private_leak(labelled, truth) + source_identification(labelled, position, truth)
    absent = {}
    if (reason := lpips.unavailable()) is not None:
        absent["trained.lpips"] = reason
    else:
        figures += _compared("trained.lpips", lpips.lpips_distance, "", lpips.variant(), guess, pictures, truth.seed)
    return Verdict(tuple(figures), absent)


def judge_class(guess: Reconstructions, control: Reconstructions, truth: Truth) -> Verdict:
    """Grade images that claim to show classes.

    Args:
        guess: of the attack.
        control: of the same attack where there was nothing to learn.
        truth: what only the judge knows.

    Returns:
        ``class.oracle``: share that the oracle takes for the class; ``trained.class``: share whose nearest released
        image is of the class; baseline of both: one over the number of classes. Intervals are bootstrapped over the
        attacked classes, since images of one generator are not independent. ``private.*``: do *members* leak, see
        :func:`private_leak`.
    """
    figures: list[Measurement] = []
    chance = 1 / len(truth.released.classes)
    for name, rate in (("class.oracle", _oracle_rate), ("trained.class", _released_rate)):
        hit, miss = (_per_class(g, rate(g, truth)) for g in (guess, control))
        note = "bootstrap over attacked classes; control: the other clients never train; baseline: 1 / classes"
        figures += _means(name, hit, miss, np.full(len(hit), chance), "", note, truth.seed)
    figures += private_leak(guess, truth)
    return Verdict(tuple(figures), {})


def private_leak(guess: Reconstructions, truth: Truth) -> list[Measurement]:
    """Are the guesses nearer to members than to as many holdout images of the same class?

    Returns:
        ``private.<metric>.attack``: mean similarity to the most similar member; ``.control``: to the most similar
        holdout image; ``.baseline``: of the class's mean auxiliary image to its most similar member; ``.excess``:
        attack - control, with an interval by exchanging who is called a member (:func:`metrics.rates.exchange`).
    """
    members, holdout = truth.split.members, truth.split.holdout
    pool = Images(
        torch.cat([members.pixels, holdout.pixels]), torch.cat([members.labels, holdout.labels]), members.classes
    )
    is_member = (torch.arange(len(pool)) < len(members)).numpy()
    trivial = class_means(truth.split.auxiliary)[guess.labels]
    figures: list[Measurement] = []
    for name, (_, unit) in MEASURES.items():
        scores, allowed = similarities(guess.pixels, guess.labels, pool, name)
        best = np.where(allowed & is_member, scores, -np.inf).max(1)
        other = np.where(allowed & ~is_member, scores, -np.inf).max(1)
        plain, _ = similarities(trivial, guess.labels, pool, name)
        base = np.where(allowed & is_member, plain, -np.inf).max(1)
        figures += _means(f"private.{name}", best, other, base, unit, VARIANTS[name], truth.seed)[:3]
        excess = exchange(scores, is_member, allowed=allowed, seed=truth.seed % 2**32)
        note = f"{VARIANTS[name]}; nearest of the class, label exchange"
        figures.append(measurement(f"private.{name}.excess", excess, len(guess.pixels), unit=unit, variant=note))
    return figures


def source_identification(guess: Reconstructions, position: Tensor, truth: Truth) -> list[Measurement]:
    """Is each guess nearer to the victim's private source than to holdout images of its class?

    Where there is no single source, a member of the class drawn at random stands in, which makes `disjoint` a control.

    Args:
        guess: reconstructions, with the victims' true labels.
        position: the victims' positions in the release.
        truth: what only the judge knows.

    Returns:
        ``private.identification.attack``: rate; ``.control``: the same with a holdout image in the source's place,
        whose expectation is known exactly: one over the candidates; ``.baseline``: of the class's mean auxiliary
        image as the guess; ``.excess``: attack - control. Exact intervals: Wilson's would call one hit of 16 against
        a chance of 1 % a leak.
    """
    members, holdout = truth.split.members, truth.split.holdout
    if truth.source_index is not None:
        sources = members.take(truth.source_index[position])
    else:
        sources = members.take(of_class(members, guess.labels, seed=truth.seed, purpose="stand-in"))
    trivial = class_means(truth.split.auxiliary)[guess.labels]
    hits, chance = told_apart(guess.pixels, sources, holdout, seed=truth.seed)
    plain, _ = told_apart(trivial, sources, holdout, seed=truth.seed)
    note = "nearest in pixel distance among the class's holdout; control: chance, which is exact; Clopper-Pearson"
    count = len(hits)
    rate = clopper_pearson(sum(hits), count)
    assert rate.low is not None
    assert rate.high is not None
    intervals = {
        "attack": rate,
        "control": Interval(chance, chance, chance),
        "baseline": clopper_pearson(sum(plain), count),
        "excess": Interval(rate.value - chance, rate.low - chance, rate.high - chance),
    }
    return [measurement(f"private.identification.{k}", v, count, variant=note) for k, v in intervals.items()]


def _means(
    name: str, attack: Floats, control: Floats, baseline: Floats, unit: str, variant: str, seed: int
) -> list[Measurement]:
    parts = {"attack": attack, "control": control, "baseline": baseline, "excess": attack - control}
    return [
        measurement(
            f"{name}.{part}", mean_over_images(values, seed=seed % 2**32), len(values), unit=unit, variant=variant
        )
        for part, values in parts.items()
    ]


def _compared(
    name: str, metric: Metric, unit: str, variant: str, guess: Reconstructions, pictures: tuple[Tensor, ...], seed: int
) -> list[Measurement]:
    """A metric of the guess to the right image, to the wrong one, and of the trivial guess to the right one."""
    right, wrong, trivial = pictures
    pairs = ((guess.pixels, right), (guess.pixels, wrong), (trivial, right))
    attack, control, baseline = (metric(a, b).double().numpy() for a, b in pairs)
    return _means(name, attack, control, baseline, unit, variant, seed)


def _mae(guess: Reconstructions, victims: Images) -> Measurement:
    error = (guess.pixels - victims.float()).abs().mean((1, 2, 3)).double().numpy() * 255
    interval = mean_over_images(error)
    return Measurement(
        name="trained.mae",
        value=interval.value,
        low=interval.low,
        high=interval.high,
        n=len(error),
        unit="of 255",
        better="higher",
        variant="mean absolute pixel error",
    )


def _oracle_rate(guess: Reconstructions, truth: Truth) -> Tensor:
    pixels = (guess.pixels * 255).round().to(torch.uint8)
    return predict(truth.oracle, pixels, device=truth.device).argmax(1) == guess.labels


def _released_rate(guess: Reconstructions, truth: Truth) -> Tensor:
    pixels = (guess.pixels * 255).round().to(torch.uint8)
    return truth.released.labels[nearest(pixels, truth.released.pixels).position] == guess.labels


def _per_class(guess: Reconstructions, hit: Tensor) -> Floats:
    rates = [hit[guess.labels == label].double().mean() for label in guess.labels.unique()]
    return torch.stack(rates).numpy()
