"""The rule that ships: everything that decides, at its level, through the judge, the records and the verdict."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from leakbench.attacks.guess import Canaries, Links, Scores
from leakbench.attacks.judging.linkage import linkage
from leakbench.attacks.judging.scores import canaries, scores
from leakbench.attacks.judging.truth import Truth
from leakbench.metrics import decision
from leakbench.metrics.decision import ALSO_DECIDES, DECIDES, level
from leakbench.metrics.measurement import Measurement
from leakbench.reports.records import Attacked, Cell, Record
from leakbench.reports.verdicts import Results
from leakbench.synth.images import Images, Split

CPU = torch.device("cpu")


def record(defense, measurements, seed=0, goal=""):
    cell = Cell(suite="s", dataset="d", defense=defense, task="attack", method="a", seed=seed)
    attacked = Attacked(family="membership", goal=goal)
    return Record(cell=cell, status="ok", measurements=tuple(measurements), attacked=attacked)


def game(count, rng, seed=0):
    """A truth with `count` members and as many others, of two classes, in pictures of four pixels."""

    def pictures(count):
        pixels = torch.from_numpy(rng.integers(0, 256, (count, 1, 2, 2), dtype=np.uint8))
        return Images(pixels, torch.arange(count) % 2, ("a", "b"))

    names = ("members", "holdout", "auxiliary", "public", "test")
    split = Split(**{name: pictures(count) for name in names})
    return Truth(
        released=pictures(count),
        victims=torch.arange(0),
        sources=torch.arange(count)[:, None],
        split=split,
        seed=seed,
        device=CPU,
        candidates=torch.from_numpy(rng.permutation(2 * count)),
    )


def with_canaries(published, rng, truth):
    """Scores of 1,000 canaries of which so many were published as they are: those score higher than everybody."""
    inside, outside = rng.normal(size=(2, 1000))
    inside[:published] = 100
    guess = Canaries(torch.from_numpy(inside), torch.from_numpy(outside), reruns=1)
    return canaries(guess, truth).measurements


def test_a_bound_on_epsilon_alone_decides():
    """Canaries of which 40 in 1,000 were published move no area under the curve, but prove an epsilon of about 1."""
    rng = np.random.default_rng(0)
    truth = game(8, rng)
    found = {d: with_canaries(n, rng, truth) for d, n in {"identity": 1000, "disjoint": 0, "noise": 40}.items()}
    bound = next(m for m in found["noise"] if m.name == "members.epsilon.excess")
    assert bound.value > 0
    assert bound.high is None
    assert next(m for m in found["noise"] if m.name == "members.auc.excess").low < 0
    results = Results([record(defense, measured, goal="canaries") for defense, measured in found.items()])
    assert results.member_verdict("noise", "a") == "canaries found"
    assert results.measurement("noise", "attack", "a", "members.epsilon.excess").low == bound.value


@pytest.mark.parametrize("name", ALSO_DECIDES["members"])
def test_whatever_decides_does_so_alone(name):
    """In every seed, or not at all."""

    def measured(low):
        main = Measurement(name=DECIDES["members"], value=0.0, low=-0.1, high=0.1, n=10, better="lower")
        return main, Measurement(name=name, value=low + 0.1, low=low, high=None, n=10, better="lower")

    def detected(*lows):
        records = [record("noise", measured(low), seed) for seed, low in enumerate(lows)]
        return Results(records).detected("noise", "a", "members")

    assert detected(0.1)
    assert not detected(-0.1)
    assert detected(0.1, 0.1)
    assert not detected(0.5, -0.2), "one seed's value is below 0"


@pytest.mark.parametrize("name", sorted({DECIDES["members"], *ALSO_DECIDES["members"]}))
def test_what_decides_is_measured_at_the_level_that_decides(name):
    """The surer it must be, the less is sure: of every measurement, by its own interval."""
    rng = np.random.default_rng(3)
    truth = replace(game(1000, rng), sources=torch.arange(1000)[:, None])
    is_member = truth.candidates < 1000
    values = torch.from_numpy(rng.normal(size=2000)) + 1.5 * is_member
    values[is_member.nonzero()[:30, 0]] += 10
    links = torch.from_numpy(rng.normal(size=(1000, 2000)))
    links[torch.arange(500), truth.candidates.argsort()[:500]] = 10.0

    def low(alarms):
        asked = replace(truth, alarms=alarms)
        measured = scores(Scores(values), asked).measurements
        linked, _ = linkage(Links(torch.arange(1000), links), asked)
        found = next(m for m in (*measured, *linked) if m.name == name)
        assert found.level == level("members", alarms)
        return found.low

    assert low(0.05) > low(1e-6)


def alike(truth, kind, values, links, rng):
    """Ties, or images with several sources, or with one and the same, or neighbours that all of them share."""
    count = len(truth.released)
    if kind == "ties":
        return truth, values.round(), links.round()
    if kind == "groups":
        whose = [rng.permutation(np.arange(int(label), count, 2))[:2] for label in truth.released.labels]
        return replace(truth, sources=torch.from_numpy(np.stack(whose))), values, links
    if kind == "shared":  # one source of each class, and one candidate that is near to everything
        return replace(truth, sources=truth.released.labels[:, None]), values, links / 100 + rng.normal(size=2 * count)
    return truth, values, links


def alarms(games, kind):
    """How many audits of a release that knows nothing of its members say that they leak."""
    rng = np.random.default_rng(7)
    found = 0
    for seed in range(games):
        count = int(rng.choice([6, 20, 100, 400]))
        truth, values, links = alike(
            game(count, rng, seed), kind, rng.normal(size=2 * count), rng.normal(size=(count, 2 * count)), rng
        )
        measured = scores(Scores(torch.from_numpy(values)), truth).measurements
        linked, _ = linkage(Links(torch.arange(count), torch.from_numpy(links)), truth)
        found += bool(decision.detected([[*measured, *linked]], "members"))
    return found


@pytest.mark.parametrize("kind", ["continuous", "ties", "groups", "shared"])
@pytest.mark.parametrize("games", [30, pytest.param(2000, marks=pytest.mark.slow)])
def test_the_shipped_rule_keeps_its_rate(games, kind):
    """All six that decide, few candidates and many: 5 % of null games at most, and three standard deviations."""
    assert alarms(games, kind) <= 0.05 * games + 3 * (games * 0.05 * 0.95) ** 0.5
