"""Figures of likeness: each as attack, control, baseline and the excess of the first over the second."""

import math

import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor

from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.judging.candidates import Floats, assign, chance, class_means, identification_hits
from leakbench.attacks.judging.truth import Truth
from leakbench.metrics.measurement import Better, Measurement
from leakbench.metrics.membership import Excess
from leakbench.metrics.metric import Metric, image_metrics
from leakbench.metrics.rates import Interval, clopper_pearson, mean_over_images, wilson
from leakbench.synth.images import Images, to_bytes

STOOD_IN = "a member of the class stood in, so it decides nothing"
"""Of figures that need somebody in particular, where nobody is."""


def measurement(
    name: str,
    interval: Interval | Excess,
    n: int,
    *,
    unit: str = "",
    variant: str = "",
    level: float = 0.95,
    better: Better = "lower",
) -> Measurement:
    """A measurement of a leak, from its interval; lower is better for the data owner unless it says otherwise."""
    return Measurement(
        name=name,
        value=interval.value,
        low=interval.low,
        high=interval.high,
        n=n,
        unit=unit,
        better=better,
        variant=variant,
        level=level,
        p=interval.p if isinstance(interval, Excess) else None,
    )


def likeness(
    name: str,
    guess: Reconstructions,
    right: Images,
    wrong: Images,
    others: Images,
    truth: Truth,
    *,
    level: float = 0.95,
    stands_in: bool = False,
) -> tuple[list[Measurement], dict[str, str]]:
    """How like the right images the guesses are.

    Args:
        name: of the comparison.
        guess: in the clients' order.
        right: the images that the guesses may show.
        wrong: the control: images of the same classes, paired with the guesses by the same rule.
        others: images to tell the right ones apart from.
        truth: what only the judge knows.
        level: of the excess of the identification, which decides.
        stands_in: whether the right images were drawn at random, because nobody in particular stands behind what was
            attacked: whom they are told apart from then says nothing of a leak, so the excess has no interval.

    Returns:
        For SSIM, PSNR, mean absolute pixel error and LPIPS (absent, with the reason, where its weights are not here)
        ``<name>.<metric>.{attack,control,baseline,excess}`` and, of the most alike image, ``.best`` and
        ``.best-control``. ``<name>.identification.*``: how often the right image is nearer in pixel distance than
        others of its class; its control is the chance (`candidates.chance`), its intervals are Clopper
        and Pearson's: Wilson's would call one hit of 16 against a chance of 1 % a leak. Intervals are over clients,
        since what is found of one image of a client depends on the others: a client counts as one trial.
    """
    clients = guess.clients
    assert clients is not None
    trivial = class_means(truth.split.auxiliary)[right.labels]
    paired = guess.pixels[assign(guess.pixels, right.float(), clients)]
    astray = guess.pixels[assign(guess.pixels, wrong.float(), clients)]
    comparisons = ((paired, right.float()), (astray, wrong.float()), (trivial, right.float()))
    measurements: list[Measurement] = []
    absent = {}
    for metric in (m for m in image_metrics().values() if m.of_guesses):
        if (reason := metric.unavailable(right.side)) is not None:
            absent[f"{name}.{metric.name}"] = reason
            continue
        scores = [metric.function(a, b).double().numpy() for a, b in comparisons]
        measurements += _compared(name, metric, scores, clients, truth.seed)
    hits = identification_hits(paired, right, others, seed=truth.seed)
    plain = identification_hits(trivial, right, others, seed=truth.seed)
    expected = chance(guess.pixels, clients, right.labels, others, seed=truth.seed)
    found, trite = (by_client(np.array(each, dtype=np.float64), clients) for each in (hits, plain))
    deciding = None if stands_in else level
    return measurements + _identification(f"{name}.identification", found, trite, expected, deciding), absent


def by_client(values: Floats, clients: Tensor) -> Floats:
    """The mean of each client's values."""
    return np.array([values[(clients == client).numpy()].mean() for client in clients.unique()])


def _rate(values: Floats, level: float = 0.95) -> Interval:
    """A mean of clients' rates with the exact interval of as many trials: no narrower than if all were hit or miss."""
    total, trials = float(values.sum()), len(values)
    fewest, most = math.floor(total + 1e-9), math.ceil(total - 1e-9)
    return Interval(
        total / trials,
        clopper_pearson(fewest, trials, level=level).low,
        clopper_pearson(most, trials, level=level).high,
    )


def _identification(name: str, hits: Floats, plain: Floats, expected: float, level: float | None) -> list[Measurement]:
    note = "nearest in pixel distance among others of the class; control: chance; Clopper-Pearson over clients"
    parts = {"attack": _rate(hits), "control": Interval(expected, expected, expected), "baseline": _rate(plain)}
    shown = [measurement(f"{name}.{part}", interval, len(hits), variant=note) for part, interval in parts.items()]
    if level is None:
        stood_in = Interval(parts["attack"].value - expected, None, None)
        note += f"; {STOOD_IN}"
        return [*shown, measurement(f"{name}.excess", stood_in, len(hits), variant=note)]
    value, low, high = (end - expected for end in _rate(hits, level))  # type: ignore[operator]
    as_many = float(binom.sf(math.floor(hits.sum() + 1e-9) - 1, len(hits), expected))
    excess = Excess(value, low, high, min(1.0, 2 * as_many))  # as two-sided as the interval
    return [*shown, measurement(f"{name}.excess", excess, len(hits), variant=note, level=level)]


def means(
    name: str, attack: Floats, control: Floats, baseline: Floats, seed: int, metric: Metric, variant: str = ""
) -> list[Measurement]:
    """The four parts of a figure, as means over what is independent: clients, or images.

    Args:
        name: of the figure.
        attack: what the attack reached.
        control: what it reaches where there is nothing to find.
        baseline: what somebody reaches who saw nothing.
        seed: of the bootstrap.
        metric: says which direction is alike; its excess is above 0 where the attack's images are more alike.
        variant: what exactly was measured; the metric's own by default.
    """
    parts = {"attack": attack, "control": control, "baseline": baseline, "excess": metric.excess(attack, control)}
    return [
        measurement(
            f"{name}.{part}",
            mean_over_images(values, seed=seed),
            len(values),
            unit=metric.unit,
            variant=variant or metric.variant(),
            better="lower" if part == "excess" else metric.better,
        )
        for part, values in parts.items()
    ]


def _compared(name: str, metric: Metric, scores: list[Floats], clients: Tensor, seed: int) -> list[Measurement]:
    """Means over clients of attack, control and baseline, and the single most alike image of the first two."""
    own, variant = f"{name}.{metric.name}", metric.variant()
    worst_case = [
        measurement(
            f"{own}.{part}",
            Interval(metric.most_alike(values), None, None),
            len(values),
            unit=metric.unit,
            variant=variant,
            better=metric.better,
        )
        for part, values in {"best": scores[0], "best-control": scores[1]}.items()
    ]
    attack, control, baseline = (by_client(values, clients) for values in scores)
    return means(own, attack, control, baseline, seed, metric) + worst_case


RATE = Metric(name="rate", function=lambda x, y: x, variant=lambda: "")
"""Shares of things, of which more is more alike."""
DISTANCE = Metric(name="distance", function=lambda x, y: x, alike="lower", variant=lambda: "")
"""Distances of sets of images."""


def label_accuracy(guess: Reconstructions, victims: Images) -> Measurement:
    """Share of the clients' labels that were found, repetitions counted, whatever their order."""
    assert guess.clients is not None
    classes = len(victims.classes)
    counts = [
        torch.bincount(guess.clients * classes + labels, minlength=classes * (int(guess.clients.max()) + 1))
        for labels in (guess.labels, victims.labels)
    ]
    right = int(torch.minimum(*counts).sum())
    return measurement("labels.accuracy", wilson(right, len(victims)), len(victims), variant="Wilson")


def bit_errors(guess: Reconstructions, victims: Images) -> Measurement:
    """Share of the bits of the victims' pixels, eight each, that paired guesses have wrong; 0.5 is a coin's."""
    read = to_bytes(guess.pixels)
    wrong = torch.bitwise_xor(read, victims.pixels).flatten(1).numpy()
    rates = np.unpackbits(wrong, axis=1).mean(1)
    interval = mean_over_images(rates)
    return Measurement(
        name="trained.bit-errors",
        value=interval.value,
        low=None if interval.low is None else max(0.0, interval.low),
        high=None if interval.high is None else min(1.0, interval.high),
        n=len(rates),
        better="higher",
        variant="of the 8 bits of each value",
    )
