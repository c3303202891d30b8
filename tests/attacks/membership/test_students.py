"""Attacks on students: solved by hand, and both controls on the digits."""

import math
from dataclasses import replace

import pytest
import torch

from leakbench.attacks.judging.judge import judge_members
from leakbench.attacks.membership.lira import Lira, LiraPipeline, LiraSoft, LiraTeacher, confidence
from leakbench.attacks.membership.loss_threshold import LossThreshold, LossThresholdSoft, LossThresholdTeacher
from leakbench.attacks.membership.qmia import Qmia, QmiaTeacher, foreseen
from leakbench.attacks.membership.rmia import Rmia, RmiaSoft, RmiaTeacher, softmax, taylor
from leakbench.attacks.membership.shadows import halves
from leakbench.synth.defense import Release
from leakbench.synth.images import Images
from leakbench.synth.networks.training import Recipe
from leakbench.synth.seeds import seeded_rng
from tests.attacks.conftest import learner, make, rerun, student

ATTACKS = {
    "loss-threshold": LossThreshold(),
    "online, fixed": Lira(shadows=4, variance="fixed"),
    "online, per example": Lira(shadows=4, variance="per-example"),
    "offline, fixed": Lira(shadows=4, mode="offline", variance="fixed"),
    "offline, per example": Lira(shadows=4, mode="offline", variance="per-example"),
    "rmia": Rmia(shadows=4),
    "rmia, offline": Rmia(shadows=4, mode="offline"),
    "rmia, taylor": Rmia(shadows=4, probabilities="taylor"),
    "pipeline": LiraPipeline(shadows=2, variance="fixed"),
    "online, shrunken": Lira(shadows=4),
    "offline, shrunken": Lira(shadows=4, mode="offline"),
    "qmia": Qmia(network="dcgan", steps=100, batch_size=50),
}
ELSEWHERE = {
    "loss-threshold": (LossThreshold, {"soft": LossThresholdSoft, "teacher": LossThresholdTeacher}),
    "lira": (Lira, {"soft": LiraSoft, "teacher": LiraTeacher}),
    "rmia": (Rmia, {"soft": RmiaSoft, "teacher": RmiaTeacher}),
    "qmia": (Qmia, {"teacher": QmiaTeacher}),
}
"""Attacks on a student, and the same on another network that was published."""


LONG = Recipe(steps=100, batch_size=50, learning_rate=0.03, crop_padding=0, flip=False)
"""Long enough to remember."""


@pytest.fixture(scope="module")
def mislabelled(digits):
    """The digits, half of them with a label drawn at random: what a student can only remember."""

    def spoilt(name):
        part, rng = getattr(digits, name), seeded_rng("mislabelled", name)
        wrong = torch.rand(len(part), generator=rng) < 0.5
        drawn = torch.randint(0, 10, (len(part),), generator=rng)
        return replace(part, labels=torch.where(wrong, drawn, part.labels))

    return replace(digits, **{name: spoilt(name) for name in ("members", "holdout", "auxiliary", "public")})


@pytest.fixture(scope="module")
def overfitted(scenario, mislabelled):
    return replace(
        scenario,
        split=mislabelled,
        release=Release(mislabelled.members),
        student=student(mislabelled.members, "dcgan", LONG),
        train_on_auxiliary=learner(mislabelled.auxiliary),
        train_on_candidates=learner(mislabelled.candidates(scenario.candidate_order)),
    )


@pytest.fixture(scope="module")
def overfitted_disjoint(overfitted, mislabelled):
    release = Release(mislabelled.public)
    return replace(
        overfitted, release=release, student=student(release.images, "dcgan", LONG), rerun=rerun(make("disjoint"))
    )


def judged(attack, scenario, make_truth, cpu):
    guess = attack.run(scenario.view(attack, "attack"), seed=1, device=cpu)
    truth = replace(make_truth(scenario), split=scenario.split, candidates=scenario.candidate_order)
    return {m.name: m for m in judge_members(guess, truth).measurements}


@pytest.mark.parametrize("name", ATTACKS)
def test_members_leak_from_identity(name, overfitted, make_truth, cpu):
    found = judged(ATTACKS[name], overfitted, make_truth, cpu)
    assert found["members.auc.excess"].low > 0


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_is_found_on_disjoint(name, overfitted_disjoint, make_truth, cpu):
    found = judged(ATTACKS[name], overfitted_disjoint, make_truth, cpu)
    assert all(
        found[f"{figure}.excess"].low <= 0 for figure in ("members.auc", "members.tpr-at-1", "members.tp-at-0-fpr")
    )


@pytest.mark.parametrize("count", [2, 4, 16])
def test_every_image_is_in_half_of_the_shadows(count):
    inside = halves(count, 100, seed=0)
    assert (inside.sum(0) == count // 2).all()
    assert not torch.equal(inside, halves(count, 100, seed=1))


def test_confidence_by_hand():
    """Of probabilities 1/2, 1/4, 1/4: the first class has log 1, the second log 1/3."""
    logits = torch.tensor([0.5, 0.25, 0.25]).log().repeat(2, 1)
    images = Images(torch.zeros(2, 1, 1, 1, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b", "c"))
    assert confidence(logits, images).tolist() == pytest.approx([0, math.log(1 / 3)], abs=1e-6)


# Four shadows of four candidates; confidence is 4 or 6 in the training set and 0 or 2 out of it.
INSIDE = torch.tensor([[1, 0, 1, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 1, 0, 1]], dtype=torch.bool)
KNOWN = torch.where(INSIDE, 4.0, 0.0) + torch.tensor([0.0, 2, 0, 2])[:, None]
SEEN = torch.tensor([[5.0, 1.0, 3.0, 9.0]])


@pytest.mark.parametrize("variance", ["fixed", "per-example"])
def test_online_ratios_by_hand(variance):
    """Medians 5 and 1 (of 4, 6 and 0, 2), deviation d: ((x - 1)^2 - (x - 5)^2) / 2 d^2."""
    ratio = Lira(variance=variance, shadows=4).ratio(SEEN.double(), KNOWN[:, None].double(), INSIDE)
    squared = 2.0 if variance == "fixed" else 1.0
    expected = [((x - 1) ** 2 - (x - 5) ** 2) / (2 * squared) for x in SEEN[0].tolist()]
    assert ratio.tolist() == pytest.approx(expected)


def test_offline_ratios_by_hand():
    """A confidence at the median of those without the candidate is exceeded half of the time."""
    ratio = Lira(variance="per-example", mode="offline", shadows=4).ratio(
        SEEN.double(), KNOWN[:, None].double(), INSIDE
    )
    assert ratio[1].item() == pytest.approx(math.log(2))
    assert ratio.argsort().tolist() == [1, 2, 0, 3]


def test_rmia_by_hand():
    """Gains 1, 2, 4 and 8 against other people's 1, 1, 2 and 3, gamma 2."""
    share = Rmia().ratio(torch.tensor([1.0, 2, 4, 8]), torch.tensor([1.0, 1, 2, 3]))
    assert share.tolist() == [0, 0.5, 0.75, 1]


def test_shrunken_ratios_by_hand():
    """Every sample variance is 2, about means 5 and 1: they are all alike, and so are Gaussians of 2 (1 + 1 / 2)."""
    ratio = Lira(variance="shrunken", shadows=4).ratio(SEEN.double(), KNOWN[:, None].double(), INSIDE)
    # One degree of freedom: the mean of log chi-squared is -1.27, and what is usual is larger by that.
    usual = 2 * math.exp(1.2703628454614782)
    expected = [((x - 1) ** 2 - (x - 5) ** 2) / (2 * usual * 1.5) for x in SEEN[0].tolist()]
    assert ratio.tolist() == pytest.approx(expected)


def test_what_a_regression_says_is_read_by_class():
    said = torch.tensor([[1.0, 2, 0, 5], [3, 4, -1, 0]])
    mean, spread = foreseen(said, torch.tensor([1, 0]))
    assert mean.tolist() == [2, 3]
    assert spread.tolist() == pytest.approx([math.log1p(math.exp(5)) + 0.05, math.log1p(math.exp(-1)) + 0.05])


@pytest.mark.parametrize(("name", "other"), [(n, other) for n, (_, others) in ELSEWHERE.items() for other in others])
def test_the_same_attack_on_another_network(name, other, overfitted, mislabelled, cpu):
    """What it says of the teacher, or of a student of soft labels, is what it says of such a student."""
    fast = {
        "lira": {"shadows": 2, "variance": "fixed"},
        "rmia": {"shadows": 2},
        "qmia": {"network": "dcgan", "steps": 5},
    }.get(name, {})
    of_students, others = ELSEWHERE[name]
    there = student(mislabelled.holdout, "dcgan", replace(LONG, steps=20))
    attack, plain = others[other](**fast), of_students(**fast)
    shown = {"soft": {"soft_student": there}, "teacher": {"teacher": there}}[other]
    elsewhere = replace(overfitted, **shown)
    found = attack.run(elsewhere.view(attack, "elsewhere"), seed=0, device=cpu).values
    beside = replace(overfitted, student=there)
    assert torch.equal(found, plain.run(beside.view(plain, "plain"), seed=0, device=cpu).values)
    assert not torch.equal(found, plain.run(overfitted.view(plain, "plain"), seed=0, device=cpu).values)


def test_shadows_are_trained_once_for_all_attacks(overfitted, cpu):
    seen = []
    watched = replace(
        overfitted, train_on_candidates=lambda learner: seen.append(learner) or overfitted.train_on_candidates(learner)
    )
    for name in ("online, fixed", "offline, per example", "rmia"):
        ATTACKS[name].run(watched.view(ATTACKS[name], name), seed=0, device=cpu)
    assert len(set(seen)) == 1


def test_the_pipeline_runs_the_defense_as_often_as_it_says(overfitted, cpu):
    calls = []
    identity = rerun(make("identity"))

    def counted(members, teacher, public, seed):
        calls.append(len(members))
        return identity(members, teacher, public, seed)

    attack = LiraPipeline(shadows=2, variance="fixed")
    guess = attack.run(replace(overfitted, rerun=counted).view(attack, "pipeline"), seed=0, device=cpu)
    assert len(calls) == guess.notes["shadow models"] == 2
    assert sum(calls) == len(guess.values)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Lira(shadows=3), "shadows must be even and >= 4, got 3"),
        (lambda: Lira(shadows=1, variance="fixed"), "shadows must be even and >= 2, got 1"),
        (lambda: Lira(shadows=2, variance="per-example"), "shadows must be even and >= 4, got 2"),
        (lambda: Rmia(shadows=0), "shadows must be even"),
        (lambda: Rmia(others=0), "rmia.others must be >= 1"),
        (lambda: Rmia(gamma=0.5), "rmia.gamma must be >= 1"),
        (lambda: Rmia(a=2), r"rmia.a must be >= 0 and <= 1, got"),
    ],
)
def test_parameters_out_of_range(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_the_taylor_softmax_of_two_classes():
    """Logits of 3.2 and 0 are 1 and 0 by temperature and margin: 65 / 24 against 1; and the mean over queries."""
    logits, label = torch.tensor([[[3.2, 0.0]], [[1.2, 0.0]]]), torch.tensor([0])
    assert taylor(logits[:1], label).item() == pytest.approx(65 / 89)
    assert taylor(logits, label).item() == pytest.approx((65 / 89 + 1 / 2) / 2)
    assert softmax(logits[:1], label).item() == pytest.approx(math.exp(3.2) / (math.exp(3.2) + 1))


def test_rmia_reads_the_probabilities_that_it_is_told(overfitted, cpu):
    view = [overfitted.view(ATTACKS[name], "attack") for name in ("rmia", "rmia, taylor")]
    plain, other = (
        ATTACKS[n].run(v, seed=1, device=cpu).values for n, v in zip(("rmia", "rmia, taylor"), view, strict=True)
    )
    assert not torch.equal(plain, other)
