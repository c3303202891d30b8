from dataclasses import replace

import pytest
import torch

from leakbench.attacks.guess import Links, Scores
from leakbench.attacks.judging.judge import judge_members
from leakbench.attacks.judging.linkage import linkage
from leakbench.attacks.judging.truth import Truth
from leakbench.synth.images import Images, Split


def flat(*values, label=0):
    pixels = torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 16, 16).contiguous()
    return Images(pixels, torch.full((len(values),), label), ("a", "b"))


@pytest.fixture
def truth(cpu):
    """Members 10, 20 and others 30, 40, of one class; shown as 40, 10, 30, 20. Released: 12 from 10, 38 from 20."""
    members, holdout = flat(10, 20), flat(30, 40)
    split = Split(members=members, holdout=holdout, auxiliary=flat(25), public=flat(0), test=flat(0))
    return Truth(
        released=flat(12, 38),
        victims=torch.arange(2),
        sources=torch.tensor([[0], [1]]),
        split=split,
        seed=0,
        device=cpu,
        candidates=torch.tensor([3, 0, 2, 1]),
    )


def figures(scores, truth):
    found, absent = linkage(Links(torch.tensor([0, 1]), torch.tensor(scores)), truth)
    assert set(absent) == {"linkage.top-1-of-10", "linkage.top-1-of-100", "linkage.top-1-of-1000"}
    return {m.name: m.value for m in found}


def test_four_candidates_by_hand(truth):
    """The first image's source comes first, the second's (in the last column) third; pixels find 10 and miss 20."""
    found = figures([[0.0, 9, 1, 2], [8.0, 1, 7, 6]], truth)
    assert found["linkage.top-1.attack"] == 0.5
    assert found["linkage.top-1.control"] == pytest.approx(1 / 4)
    assert found["linkage.top-1.baseline"] == 0.5
    assert found["linkage.top-1.excess"] == pytest.approx(1 / 4)
    assert found["linkage.top-10.attack"] == found["linkage.top-10.control"] == 1


def test_ties_count_against_the_attack(truth):
    assert figures([[0.0, 0, 0, 0], [0.0, 0, 0, 0]], truth)["linkage.top-1.attack"] == 0


def test_any_source_of_a_group_counts(truth):
    """Both members stand behind both images: each row names one of them, and chance is one in two."""
    group = replace(truth, sources=torch.tensor([[0, 1], [0, 1]]))
    found = figures([[0.0, 9, 1, 2], [1.0, 2, 3, 9]], group)
    assert found["linkage.top-1.attack"] == 1
    assert found["linkage.top-1.control"] == pytest.approx(1 / 2)


def test_other_classes_do_not_compete(truth):
    """The first candidate, 40, is of class b: the second image's source then comes second of three."""
    split = replace(truth.split, holdout=Images(truth.split.holdout.pixels, torch.tensor([0, 1]), ("a", "b")))
    found = figures([[9.0, 8, 1, 2], [8.0, 1, 7, 6]], replace(truth, split=split))
    assert found["linkage.top-1.attack"] == 0.5
    assert found["linkage.top-1.control"] == pytest.approx(1 / 3)


def test_the_curve_over_smaller_crowds(cpu):
    """One source and 19 others, of which 2 score higher: it is first of 10 where none of the 2 is among the 9 drawn."""
    members, holdout = flat(*range(10)), flat(*range(10, 20))
    split = Split(members=members, holdout=holdout, auxiliary=flat(25), public=flat(0), test=flat(0))
    truth = Truth(
        released=flat(1, 1),
        victims=torch.arange(2),
        sources=torch.tensor([[0], [0]]),
        split=split,
        seed=0,
        device=cpu,
        candidates=torch.arange(20),
    )
    scores = torch.zeros(2, 20)
    scores[:, 0], scores[:, [3, 12]] = 1, 2
    found, _ = linkage(Links(torch.tensor([0, 1]), scores), truth)
    rate = {m.name: m.value for m in found}["linkage.top-1-of-10"]
    assert rate == pytest.approx((10 / 19) * (9 / 18))  # both of the 2 are among the 10 of 19 left out


def test_links_and_scores_are_judged_together(scenario, make_truth):
    truth = replace(make_truth(scenario, torch.arange(200)[:, None]), candidates=scenario.candidate_order)
    count = len(truth.candidates)
    guess = Scores(
        torch.arange(float(count)), Links(torch.tensor([3]), torch.rand(1, count, generator=torch.Generator()))
    )
    names = {m.name for m in judge_members(guess, truth).measurements}
    assert {"members.auc.excess", "members.tp-at-0-fpr.excess", "members.epsilon", "linkage.top-1.excess"} <= names


def test_links_must_fit():
    with pytest.raises(ValueError, match="links must be finite"):
        Links(torch.tensor([0]), torch.tensor([[float("nan")]]))
    with pytest.raises(ValueError, match="links must be finite"):
        Links(torch.tensor([0, 1]), torch.zeros(1, 4))
