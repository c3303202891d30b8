"""What the judge makes of scores, each figure against the function it comes from, on a small game."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from leakbench.attacks.guess import Canaries, Scores
from leakbench.attacks.judging.scores import canaries, scores
from leakbench.attacks.judging.truth import Truth
from leakbench.metrics.decision import deciding, level
from leakbench.metrics.epsilon import adding_or_removing, from_many_runs
from leakbench.metrics.gaussian_privacy import epsilon, mu_from_pairs
from leakbench.metrics.membership import (
    at_chosen_threshold,
    auc,
    auc_excess,
    rate_excess,
    roc,
    tpr_at_fpr,
    true_positives_at_no_false_one,
)
from leakbench.metrics.sequential_epsilon import from_sequence, p_value
from leakbench.synth.images import Images, Split
from tests.metrics.test_epsilon import from_pairs

MEMBERS, OTHERS = 150, 200
STRICT = level("members")


def images(values):
    pixels = torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    return Images(pixels, torch.zeros(len(pixels), dtype=torch.long), ("a",))


@pytest.fixture
def truth(cpu):
    """Members are dark, others bright, and the attacker's only image is black: the baseline says member, wherever."""
    rng = np.random.default_rng(0)
    members, holdout = images(rng.integers(0, 200, MEMBERS)), images(rng.integers(50, 256, OTHERS))
    black = images([0])
    return Truth(
        released=members,
        victims=torch.arange(0),
        sources=None,
        split=Split(members=members, holdout=holdout, auxiliary=black, public=black, test=black),
        seed=4,
        device=cpu,
        candidates=torch.from_numpy(rng.permutation(MEMBERS + OTHERS)),
        delta=1e-3,
    )


@pytest.fixture
def values(truth):
    marks = (truth.candidates < MEMBERS).numpy()
    return np.random.default_rng(1).normal(size=len(marks)) + 1.2 * marks, marks


def test_every_figure_comes_from_its_function(truth, values):
    given, marks = values
    judged = scores(Scores(torch.from_numpy(given)), truth)
    found = {m.name: m for m in judged.measurements}
    pool = truth.split.candidates(truth.candidates).pixels.double().flatten(1)
    typical = -pool.square().sum(1).numpy()

    def same(name, interval):
        ours = found[name]
        assert (ours.value, ours.low, ours.high) == pytest.approx(tuple(interval)[:3], nan_ok=False)

    same("members.auc.attack", auc(given, marks))
    same("members.auc.baseline", auc(typical, marks))
    same("members.auc.control", (0.5, 0.5, 0.5))
    same("members.auc.excess", auc_excess(given, marks, level=STRICT))
    rate = tpr_at_fpr(given, marks, 0.01)
    same("members.tpr-at-1.attack", rate.true)
    same("members.tpr-at-1.control", rate.false)
    same("members.tpr-at-1.baseline", tpr_at_fpr(typical, marks, 0.01).true)
    same("members.tpr-at-1.excess", rate_excess(given, marks, 0.01, level=STRICT))
    first = true_positives_at_no_false_one(given, marks, level=STRICT)
    assert found["members.tp-at-0-fpr.attack"].value == first.value
    assert found["members.tp-at-0-fpr.control"].value == first.value - first.low
    assert found["members.tp-at-0-fpr.baseline"].value == true_positives_at_no_false_one(typical, marks).value
    same("members.tp-at-0-fpr.excess", (first.low, first.low, first.value))
    halves = at_chosen_threshold(given, marks, seed=4)
    assert found["members.balanced-accuracy.attack"].value == pytest.approx(
        (halves.true.value + halves.negative.value) / 2
    )
    assert found["members.balanced-accuracy.excess"].low == pytest.approx(
        (halves.true.low + halves.negative.low) / 2 - 0.5
    )
    for name, function in (("auc", auc_excess), ("tp-at-0-fpr", true_positives_at_no_false_one)):
        assert found[f"members.{name}.excess"].p == function(given, marks).p
    assert found["members.tpr-at-1.excess"].p == pytest.approx(rate_excess(given, marks, 0.01).p)
    assert judged.absent == {"members.tpr-at-0.1": "200 non-members resolve no false positive rate below 0.005"}
    assert found["members.tpr-at-1.excess"].variant.endswith("the smallest rate resolved is 0.005")
    assert judged.roc == tuple(roc(given, marks))
    assert {found[name].level for name in deciding("members") if name in found} == {STRICT}
    assert found["members.auc.attack"].n == MEMBERS + OTHERS
    assert found["members.balanced-accuracy.attack"].n == (MEMBERS + OTHERS) // 2


def test_bounds_come_from_pairs_of_a_member_and_another(truth, values):
    given, marks = values
    rng = np.random.default_rng(4)
    inside, outside = rng.permutation(given[marks]), rng.permutation(given[~marks])[:MEMBERS]
    for gaussian in (False, True):
        judged = scores(Scores(torch.from_numpy(given)), replace(truth, gaussian=gaussian))
        found = {m.name: m for m in judged.measurements}
        assert ("members.epsilon-gaussian" in found) is gaussian
    bound = from_pairs(inside, outside, delta=1e-3, seed=4)
    assert bound > 0
    assert (found["members.epsilon"].value, found["members.epsilon"].high) == (bound, None)
    assert found["members.epsilon.excess"].value == from_pairs(inside, outside, delta=1e-3, level=STRICT, seed=4)
    assert found["members.epsilon.excess"].p < 1 - STRICT
    assert found["members.epsilon-add-remove"].value == adding_or_removing(
        lambda delta: from_pairs(inside, outside, delta=delta, seed=4), 1e-3
    )
    mu = mu_from_pairs(inside, outside, seed=4)
    assert found["members.epsilon-gaussian"].value == epsilon(mu, 1e-3)
    assert found["members.epsilon-gaussian-add-remove"].value == epsilon(mu / 2, 1e-3)
    assert "assumes a Gaussian trade-off curve" in found["members.epsilon-gaussian"].variant
    assert found["members.epsilon"].n == MEMBERS
    assert found["members.epsilon"].level == found["members.epsilon-gaussian"].level == 0.95


def test_canaries_of_one_run_and_of_many(truth):
    inside, outside = np.random.default_rng(2).normal(size=(2, 60)) + np.array([[2.0], [0.0]])
    once, often = (
        canaries(Canaries(torch.from_numpy(inside), torch.from_numpy(outside), reruns=count), truth)
        for count in (1, 120)
    )
    pairs, runs = ({m.name: m for m in judged.measurements} for judged in (once, often))
    assert pairs["members.epsilon"].value == from_pairs(inside, outside, delta=1e-3, seed=4)
    assert "members.epsilon" not in runs
    assert often.absent["members.epsilon"].startswith("the runs differ in one image that was added")
    assert runs["members.epsilon-add-remove"].value == from_sequence(inside, outside, delta=1e-3) > 0
    assert runs["members.epsilon.excess"].value == from_sequence(inside, outside, delta=1e-3, level=STRICT)
    assert runs["members.epsilon.excess"].p == p_value(inside, outside, delta=1e-3)
    assert runs["members.epsilon-rates-add-remove"].value == from_many_runs(inside, outside, delta=1e-3, seed=4)
    assert {runs["members.epsilon.excess"].level, pairs["members.epsilon.excess"].level} == {STRICT}
    assert runs["members.epsilon-add-remove"].n == 120
    for judged in (once, often):
        area = {m.name: m for m in judged.measurements}["members.auc.attack"]
        assert area.value == auc(np.concatenate([inside, outside]), np.arange(120) < 60).value
        assert "members.tpr-at-1" in judged.absent


def test_three_pairs_bound_nothing(cpu, truth):
    few = replace(
        truth,
        split=replace(truth.split, members=images([1, 2, 3]), holdout=images([4, 5, 6])),
        candidates=torch.arange(6),
    )
    found = {m.name: m for m in scores(Scores(torch.arange(6.0).flip(0)), few).measurements}
    assert found["members.epsilon"].value == found["members.epsilon.excess"].value == 0
    assert "members.balanced-accuracy.attack" not in found, "halves of three tell nothing"
    assert "too few pairs" in found["members.epsilon"].variant


def test_four_pairs_are_enough_to_ask(truth):
    four = replace(
        truth,
        split=replace(truth.split, members=images([1, 2, 3, 4]), holdout=images([4, 5, 6, 7])),
        candidates=torch.arange(8),
    )
    found = {m.name: m for m in scores(Scores(torch.arange(8.0).flip(0)), four).measurements}
    assert "too few pairs" not in found["members.epsilon"].variant
    assert "members.balanced-accuracy.attack" in found
