"""The judge: the only code that compares a guess with the truth.

Every measurement comes as attack, control, baseline and the excess of the first over the second. Two questions are kept
apart: did the attack work (against what the victims trained on), and did privacy leak (against the private images).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from leakbench.attacks.guess import Canaries, Reconstructions, Scores
from leakbench.attacks.judging.candidates import (
    Floats,
    class_means,
    of_class,
    other_victims,
    similarities,
    without,
)
from leakbench.attacks.judging.class_likeness import class_likeness
from leakbench.attacks.judging.likeness import RATE, bit_errors, label_accuracy, likeness, means, measurement
from leakbench.attacks.judging.linkage import linkage
from leakbench.attacks.judging.relinked import relinked
from leakbench.attacks.judging.scores import canaries, scores
from leakbench.attacks.judging.truth import Truth, comparable, in_order, one_source, paired
from leakbench.metrics.decision import level
from leakbench.metrics.measurement import Better, Judgement, Measurement
from leakbench.metrics.metric import Metric, image_metrics
from leakbench.metrics.neighbours import nearest
from leakbench.metrics.rates import Interval, exchange, mean_over_images
from leakbench.metrics.utility import accuracy, accuracy_cost
from leakbench.synth.images import Images, concatenate, to_bytes
from leakbench.synth.networks.training import predict

NEAREST = ("ssim", "psnr")
"""Metrics by which guesses are compared with everybody of their class; higher is more alike in both."""
STATISTICS = Metric(name="statistics", function=lambda x, y: x, variant=lambda: "cosine of a network's statistics")
"""Likeness in a network."""


def judge_images(guess: Reconstructions, truth: Truth) -> Judgement:
    """Grade reconstructions of clients' training images.

    Args:
        guess: with `clients`, and as many images of a client as it has.
        truth: what only the judge knows.

    Returns:
        ``trained.*``: against the image the victim trained on, with other released images of its class as control;
        ``source.*``: against its private source, with holdout images of its class as control (see :func:`sources`);
        the baseline of both is the class's mean auxiliary image; see :func:`likeness`. ``linked.*``: whom they lead
        to, see `relinked.relinked`. ``private.*``: see
        :func:`private_leak`. ``labels.accuracy``: share of a client's labels found, whatever their order.

    Raises:
        ValueError: more or fewer images of a client than it has.
    """
    guess, truth = comparable(guess, truth)
    guess, position = in_order(guess, truth)
    assert guess.clients is not None
    victims, members, holdout = truth.released.take(position), truth.split.members, truth.split.holdout
    wrong = truth.released.take(other_victims(truth.released, position, seed=truth.seed))
    strangers = holdout.take(of_class(holdout, victims.labels, seed=truth.seed, purpose="stranger"))
    trained, absent = likeness("trained", guess, victims, wrong, without(truth.released, position), truth)
    right, deciding = members.take(one_source(position, truth)), level("private")
    drawn = truth.single_source is None
    source, missing = likeness("source", guess, right, strangers, holdout, truth, level=deciding, stands_in=drawn)
    labelled, _ = paired(guess, truth)
    led, unseen = relinked(guess, truth)
    measurements = [*trained, label_accuracy(guess, victims), *source, *led, *private_leak(labelled, truth)]
    return Judgement(tuple(measurements), absent | missing | unseen)


def judge_memorization(
    guess: Reconstructions, truth: Truth, *, model: nn.Module, honest: nn.Module, bits: bool
) -> Judgement:
    """Grade training images read from a model, and what hiding them cost it.

    Args:
        guess: of the training images, as for :func:`judge_images`.
        truth: what only the judge knows.
        model: that was handed out.
        honest: the same training and sanitizing, by the same seeds, without the attacker.
        bits: whether bits were hidden, rather than values or labels.

    Returns:
        What :func:`judge_images` returns; ``trained.bit-errors``, where bits were hidden; ``model.accuracy`` and
        ``honest.accuracy`` in % on real test images, and ``model.cost``, their difference in points. Its interval is
        paired over the test images and knows nothing of how much two trainings differ anyway: that takes seeds.
    """
    images = judge_images(guess, truth)
    seen, known = comparable(guess, truth)
    labelled, position = paired(seen, known)
    errors = (bit_errors(labelled, known.released.take(position)),) if bits else ()
    test = truth.split.test
    logits, reference = (predict(network, test.pixels, device=truth.device) for network in (model, honest))
    measurements = (
        _points("model.accuracy", accuracy(logits, test.labels), len(test), "%", "higher"),
        _points("honest.accuracy", accuracy(reference, test.labels), len(test), "%", "higher"),
        _points("model.cost", accuracy_cost(logits, reference, test.labels), len(test), "points", "lower"),
    )
    absent = {} if bits else {"trained.bit-errors": "the encoding stores values or labels, not bits"}
    return Judgement((*images.measurements, *errors, *measurements), images.absent | absent)


def _points(name: str, interval: Interval, n: int, unit: str, better: Better) -> Measurement:
    value, low, high = (None if part is None else 100 * part for part in interval)
    assert value is not None
    variant = "on real test images" + (
        ", one pair of trainings, paired over images" if unit == "points" else ", Wilson"
    )
    return Measurement(name=name, value=value, low=low, high=high, n=n, unit=unit, better=better, variant=variant)


def judge_class(guess: Reconstructions, control: Reconstructions, truth: Truth) -> Judgement:
    """Grade images that claim to show classes.

    Args:
        guess: of the attack.
        control: of the same attack where there was nothing to learn.
        truth: what only the judge knows.

    Returns:
        ``class.oracle``: share that the oracle takes for the class; ``trained.class``: share whose nearest released
        image is of the class; baseline of both: one over the number of classes. Intervals are over the attacked
        classes, since images of one generator are not independent. The excess is over the larger of control and
        baseline, taken as a number: a generator that has learned nothing shows some class or other, and whether that
        is an attacked one says little, but varies much. ``class.frechet`` and so on: see
        `class_likeness.class_likeness`. ``private.*``: do *members* leak, see :func:`private_leak`.
    """
    measurements: list[Measurement] = []
    uninformed = 1 / len(truth.released.classes)
    for name, rate in (("class.oracle", _oracle_rate), ("trained.class", _released_rate)):
        hit, miss = (_per_class(g, rate(g, truth)) for g in (guess, control))
        note = "over attacked classes; control: nothing to learn from; baseline: 1 / classes"
        measurements += means(name, hit, miss, np.full(len(hit), uninformed), truth.seed, RATE, note)[:3]
        excess = mean_over_images(hit - max(miss.mean(), uninformed), seed=truth.seed)
        measurements.append(
            measurement(f"{name}.excess", excess, len(hit), variant=f"{note}; over the larger of the two")
        )
    alike, absent = class_likeness(guess, control, truth)
    return Judgement((*measurements, *alike, *private_leak(guess, truth)), absent)


def judge_members(guess: Scores | Canaries, truth: Truth) -> Judgement:
    """Grade membership scores and links, or scores of canaries.

    Args:
        guess: a score for each candidate, or for each canary.
        truth: what only the judge knows, `candidates` among it.

    Returns:
        ``members.*``: see `scores.scores` and `scores.canaries`; ``linkage.*``, where the
        guess has links: see `linkage.linkage`; and the ROC curve.

    Raises:
        ValueError: not one score for each candidate.
    """
    if isinstance(guess, Canaries):
        return canaries(guess, truth)
    verdict = scores(guess, truth)
    if guess.links is None:
        return verdict
    linked, missing = linkage(guess.links, truth)
    return replace(verdict, measurements=(*verdict.measurements, *linked), absent=verdict.absent | missing)


def private_leak(guess: Reconstructions, truth: Truth) -> list[Measurement]:
    """Are the guesses nearer to members than to as many holdout images of the same class?

    Returns:
        ``private.<metric>.attack``: mean similarity to the most similar member; ``.control``: to the most similar
        holdout image; ``.baseline``: of the class's mean auxiliary image to its most similar member; ``.excess``:
        attack - control, with an interval by exchanging who is called a member (`rates.exchange`). For SSIM, PSNR and,
        where the judge has an observer, the cosine of statistics in a network that has seen neither.
    """
    members, holdout = truth.split.members, truth.split.holdout
    pool = concatenate(members, holdout)
    is_member = (torch.arange(len(pool)) < len(members)).numpy()
    trivial = class_means(truth.split.auxiliary)[guess.labels]
    measurements: list[Measurement] = []
    deciding, allowed = level("private"), (guess.labels[:, None] == pool.labels).numpy()
    for metric, alike in _resemblances(guess.labels, pool, truth):
        scores, plain = alike(guess.pixels), alike(trivial)
        best = np.where(allowed & is_member, scores, -np.inf).max(1)
        other = np.where(allowed & ~is_member, scores, -np.inf).max(1)
        base = np.where(allowed & is_member, plain, -np.inf).max(1)
        name = f"private.{metric.name}"
        measurements += means(name, best, other, base, truth.seed, metric)[:3]
        excess = exchange(scores, is_member, allowed=allowed, seed=truth.seed, level=deciding)
        note = f"{metric.variant()}; nearest of the class, label exchange"
        measurements.append(
            measurement(f"{name}.excess", excess, len(guess.pixels), unit=metric.unit, variant=note, level=deciding)
        )
    return measurements


def _resemblances(labels: Tensor, pool: Images, truth: Truth) -> Iterator[tuple[Metric, Callable[[Tensor], Floats]]]:
    """Each metric, with what compares guesses in [0, 1] of these classes with everybody."""
    for metric in (image_metrics()[name] for name in NEAREST):
        yield metric, partial(_by_metric, metric, labels, pool)
    observer = truth.observer
    if observer is not None and observer.has_statistics:
        yield STATISTICS, lambda pixels: observer.similarities(to_bytes(pixels), "statistics").numpy()


def _by_metric(metric: Metric, labels: Tensor, pool: Images, pixels: Tensor) -> Floats:
    return similarities(pixels, labels, pool, metric)[0]


def _oracle_rate(guess: Reconstructions, truth: Truth) -> Tensor:
    assert truth.oracle is not None
    return predict(truth.oracle, to_bytes(guess.pixels), device=truth.device).argmax(1) == guess.labels


def _released_rate(guess: Reconstructions, truth: Truth) -> Tensor:
    return truth.released.labels[nearest(to_bytes(guess.pixels), truth.released.pixels).position] == guess.labels


def _per_class(guess: Reconstructions, hit: Tensor) -> Floats:
    rates = [hit[guess.labels == label].double().mean() for label in guess.labels.unique()]
    return torch.stack(rates).numpy()
