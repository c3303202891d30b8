"""How well membership scores tell members from others."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from leakbench.attacks.guess import Canaries, Scores
from leakbench.attacks.judging.candidates import Floats
from leakbench.attacks.judging.likeness import measurement
from leakbench.attacks.judging.truth import Truth
from leakbench.metrics.epsilon import (
    adding_or_removing,
    from_guesses,
    from_many_runs,
    p_value,
    sure_guesses,
)
from leakbench.metrics.gaussian_privacy import epsilon, mu_from_pairs
from leakbench.metrics.measurement import Judgement, Measurement
from leakbench.metrics.membership import (
    Excess,
    at_chosen_threshold,
    auc,
    auc_excess,
    rate_excess,
    roc,
    tpr_at_fpr,
    true_positives_at_no_false_one,
)
from leakbench.metrics.neighbours import nearest
from leakbench.metrics.rates import Interval
from leakbench.metrics.sequential_epsilon import from_sequence
from leakbench.metrics.sequential_epsilon import p_value as p_value_of_runs

LOW_FPR = {"tpr-at-1": 0.01, "tpr-at-0.1": 0.001}
"""False positive rates at which the true one is reported, where there are candidates enough to resolve them."""


class Game(NamedTuple):
    """The attack's scores, those of somebody who knows nothing of the release, who is a member, and what decides."""

    scores: Floats
    typical: Floats
    is_member: NDArray[np.bool_]
    level: float


def scores(guess: Scores, truth: Truth) -> Judgement:
    """Grade membership scores.

    Returns:
        The baseline of all but the bounds is the distance to the nearest auxiliary image, which knows nothing of the
        release. ``members.auc.*``: area under the ROC curve; control: chance; an excess below 0 gives members
        away as well as one above. ``members.tpr-at-1.*`` and ``members.tpr-at-0.1.*``: true positive rate where 1 % and
        0.1 % of these non-members are taken for members; the control is that rate itself, with its exact interval, the
        excess at least what lies between the two intervals. Absent where the candidates are too few to resolve it.
        ``members.tp-at-0-fpr.*``: members that score higher than every non-member; control: what chance explains.
        ``members.balanced-accuracy.*``: with the threshold chosen on the other half. ``members.epsilon``: no epsilon
        below it allows these scores, at 95 % confidence, for replacing one image by another
        (`epsilon.from_guesses`); ``.excess``: at the level that decides; ``members.epsilon-add-remove``:
        for adding or removing one (`epsilon.adding_or_removing`); ``members.epsilon-gaussian`` and so on: the same
        where the defense says that it is one Gaussian mechanism (`gaussian_privacy`). And the ROC curve.
    """
    game = _game(guess, truth)
    rates, absent = _rates(game)
    rng = np.random.default_rng(truth.seed)
    # Each member is paired with a non-member: who of the two went in was the toss of a coin.
    inside, outside = (rng.permutation(game.scores[who]) for who in (game.is_member, ~game.is_member))
    pairs = min(len(inside), len(outside))
    bounds = _from_one_run(inside[:pairs], outside[:pairs], truth)
    measurements = (*_area(game), *rates, *_first(game), *_balanced(game, truth.seed), *bounds)
    return Judgement(measurements, absent, tuple(roc(game.scores, game.is_member)))


def canaries(guess: Canaries, truth: Truth) -> Judgement:
    """Grade scores of canaries.

    Returns:
        ``members.auc.*``: those that went in against those that did not. From one run the bounds of :func:`scores`;
        from many runs ``members.epsilon-add-remove`` and its ``.excess`` as ``members.epsilon.excess``, valid whenever
        somebody stops (`sequential_epsilon`), beside ``members.epsilon-rates-add-remove`` by `epsilon.from_many_runs`.
        And the ROC curve.
    """
    game = _coins(guess, truth)
    inside, outside = (part.double().numpy() for part in (guess.inside, guess.outside))
    absent = {f"members.{name}": "asked of members, not of canaries" for name in (*LOW_FPR, "tp-at-0-fpr")}
    if guess.reruns == 1:
        bounds = _from_one_run(inside, outside, truth)
    else:
        bounds = _from_many_runs(inside, outside, truth)
        absent["members.epsilon"] = "the runs differ in one image that was added, not replaced"
    return Judgement((*_area(game), *bounds), absent, tuple(roc(game.scores, game.is_member)))


def _coins(guess: Canaries, truth: Truth) -> Game:
    scores = torch.cat([guess.inside, guess.outside]).double().numpy()
    return Game(scores, np.zeros(len(scores)), np.arange(len(scores)) < len(guess.inside), truth.deciding)


def _game(guess: Scores, truth: Truth) -> Game:
    assert truth.candidates is not None
    if len(guess.values) != len(truth.candidates):
        raise ValueError(f"a guess needs {len(truth.candidates)} scores, one a candidate, got {len(guess.values)}")
    pool = truth.split.candidates(truth.candidates)
    typical = -nearest(pool.pixels, truth.split.auxiliary.pixels).squared_distance.double().numpy()
    is_member = (truth.candidates < len(truth.split.members)).numpy()
    return Game(guess.values.double().numpy(), typical, is_member, truth.deciding)


def _area(game: Game) -> list[Measurement]:
    parts = (auc(game.scores, game.is_member), Interval(0.5, 0.5, 0.5), auc(game.typical, game.is_member))
    excess = auc_excess(game.scores, game.is_member, level=game.level)
    return _parts("members.auc", parts, excess, len(game.scores), "DeLong; excess: Mann and Whitney", level=game.level)


def _rates(game: Game) -> tuple[list[Measurement], dict[str, str]]:
    measurements: list[Measurement] = []
    absent = {}
    others = int((~game.is_member).sum())
    for name, rate in LOW_FPR.items():
        found, plain = (tpr_at_fpr(scores, game.is_member, rate) for scores in (game.scores, game.typical))
        excess = rate_excess(game.scores, game.is_member, rate, level=game.level)
        if found is None or plain is None or excess is None:
            absent[f"members.{name}"] = f"{others} non-members resolve no false positive rate below {1 / others:.2g}"
            continue
        parts = (found.true, found.false, plain.true)
        note = f"Clopper-Pearson; excess: between the intervals; the smallest rate resolved is {1 / others:.2g}"
        measurements += _parts(f"members.{name}", parts, excess, len(game.scores), note, level=game.level)
    return measurements, absent


def _first(game: Game) -> list[Measurement]:
    found, plain = (
        true_positives_at_no_false_one(scores, game.is_member, level=game.level)
        for scores in (game.scores, game.typical)
    )
    explained = found.value - found.low
    parts = tuple(Interval(value, None, None) for value in (found.value, explained, plain.value))
    note = "members before every non-member; control: what chance explains; exact"
    return _parts(
        "members.tp-at-0-fpr",
        parts,
        Excess(found.low, found.low, found.value, found.p),
        len(game.scores),
        note,
        level=game.level,
    )


def _balanced(game: Game, seed: int) -> list[Measurement]:
    if min(game.is_member.sum(), (~game.is_member).sum()) < 4:
        return []

    def balanced(values: Floats) -> Interval:
        true, negative = at_chosen_threshold(values, game.is_member, seed=seed)
        return Interval(*((a + b) / 2 for a, b in zip(true, negative, strict=True)))  # type: ignore[operator]

    found, half = balanced(game.scores), Interval(0.5, 0.5, 0.5)
    note = "threshold chosen on the other half; between Clopper-Pearson intervals"
    excess = Interval(*(end - 0.5 for end in found))  # type: ignore[operator]
    parts = (found, half, balanced(game.typical))
    return _parts("members.balanced-accuracy", parts, excess, len(game.scores) // 2, note, level=0.95)


def _from_one_run(inside: Floats, outside: Floats, truth: Truth) -> list[Measurement]:
    """Bounds from pairs of which one was in."""
    pairs = len(inside)
    note = f"lower bound, delta {truth.delta:g}; one run, arXiv 2305.08846"
    if pairs < 4:
        names = ("epsilon", "epsilon.excess", "epsilon-add-remove")
        return [_bound(f"members.{name}", 0.0, pairs, f"{note}; too few pairs") for name in names]
    found, strict = (sure_guesses(inside, outside, level=at, seed=truth.seed) for at in (0.95, truth.deciding))

    def replacing(delta: float) -> float:
        return from_guesses(*found, delta=delta)

    sure = from_guesses(*strict, delta=truth.delta, level=truth.deciding)
    chance = p_value(*strict, 0.0, truth.delta)
    return [
        _bound("members.epsilon", replacing(truth.delta), pairs, f"{note}; replacing one image"),
        _bound("members.epsilon.excess", sure, pairs, note, level=truth.deciding, p=chance),
        _bound("members.epsilon-add-remove", adding_or_removing(replacing, truth.delta), pairs, note),
        *(_if_gaussian(inside, outside, truth) if truth.gaussian else []),
    ]


def _from_many_runs(inside: Floats, outside: Floats, truth: Truth) -> list[Measurement]:
    """Bounds from runs with the canary and without it, one after another; the first decides: it is the larger."""
    runs = len(inside) + len(outside)
    bound, sure = (from_sequence(inside, outside, delta=truth.delta, level=at) for at in (0.95, truth.deciding))
    rates = from_many_runs(inside, outside, delta=truth.delta, seed=truth.seed)
    chance = p_value_of_runs(inside, outside, delta=truth.delta)
    note = f"lower bound, delta {truth.delta:g}; {runs} runs, valid at any time, arXiv 2509.07055"
    beside = f"lower bound, delta {truth.delta:g}; {runs} runs, threshold from half of them, arXiv 2101.04535"
    return [
        _bound("members.epsilon-add-remove", bound, runs, note),
        _bound("members.epsilon.excess", sure, runs, note, level=truth.deciding, p=chance),
        _bound("members.epsilon-rates-add-remove", rates, runs, beside),
    ]


def _if_gaussian(inside: Floats, outside: Floats, truth: Truth) -> list[Measurement]:
    """The same where the mechanism's trade-off curve is Gaussian, as the defense says; replacing is two steps."""
    mu = mu_from_pairs(inside, outside, seed=truth.seed)
    note = f"lower bound, delta {truth.delta:g}; assumes a Gaussian trade-off curve, one run, arXiv 2410.22235"
    return [
        _bound("members.epsilon-gaussian", epsilon(mu, truth.delta), len(inside), f"{note}; replacing one image"),
        _bound("members.epsilon-gaussian-add-remove", epsilon(mu / 2, truth.delta), len(inside), note),
    ]


def _bound(name: str, bound: float, n: int, note: str, *, level: float = 0.95, p: float | None = None) -> Measurement:
    return replace(measurement(name, Interval(bound, bound, None), n, variant=note, level=level), p=p)


def _parts(
    name: str, parts: tuple[Interval, ...], excess: Interval | Excess, n: int, variant: str, *, level: float
) -> list[Measurement]:
    """Attack, control, baseline and excess; the first three at 95 %."""
    measurements = [
        measurement(f"{name}.{part}", interval, n, variant=variant)
        for part, interval in zip(("attack", "control", "baseline"), parts, strict=True)
    ]
    return [*measurements, measurement(f"{name}.excess", excess, n, variant=variant, level=level)]
