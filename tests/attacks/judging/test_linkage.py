from dataclasses import replace

import numpy as np
import pytest
import torch

from leakbench.attacks.guess import Links, Scores
from leakbench.attacks.judging.judge import judge_members
from leakbench.attacks.judging.linkage import _missed, first_of_class, linkage, pixel_links
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


def test_who_has_no_source_is_left_out(truth):
    """Of the second image nobody stands behind; where nobody stands behind any, there is nothing to say."""
    some = replace(truth, sources=torch.tensor([[0], [-1]]))
    found = figures([[0.0, 9, 1, 2], [8.0, 1, 7, 6]], some)
    assert found["linkage.top-1.attack"] == 1
    none = replace(truth, sources=torch.tensor([[-1], [-1]]))
    found, absent = linkage(Links(torch.tensor([0, 1]), torch.zeros(2, 4)), none)
    assert found == []
    assert absent == dict.fromkeys(("linkage.top-1", "linkage.top-10"), "nobody stands behind the images looked at")


def test_where_nobody_says_who_stands_behind_a_member_of_the_class_stands_in(truth):
    found = figures([[0.0, 9, 1, 9], [0.0, 9, 1, 9]], replace(truth, sources=None))
    assert found["linkage.top-1.control"] == pytest.approx(1 / 4)
    assert found["linkage.top-1.attack"] == 0, "both members score alike: a tie"


def test_candidates_of_other_classes_are_no_rivals(truth):
    """All but the source are of class b and score higher."""
    members = Images(truth.split.members.pixels, torch.tensor([0, 1]), ("a", "b"))
    split = replace(
        truth.split, members=members, holdout=Images(truth.split.holdout.pixels, torch.tensor([1, 1]), ("a", "b"))
    )
    released = Images(truth.released.pixels, torch.tensor([0, 1]), ("a", "b"))
    asked = replace(truth, split=split, released=released)
    found = figures([[9.0, 1, 9, 9], [1.0, 99, 2, 3]], asked)
    assert found["linkage.top-1.attack"] == 1
    assert found["linkage.top-1.control"] == pytest.approx((1 + 1 / 3) / 2)


def test_what_decides_comes_from_exchanging_candidates(truth):
    """Right twice of two: of 4! / 2! exchanges of two sources one in twelve is as good."""
    links = [[0.0, 9, 1, 2], [0.0, 1, 2, 9]]
    found, absent = linkage(Links(torch.tensor([0, 1]), torch.tensor(links)), truth)
    top = {m.name: m for m in found}
    excess = top["linkage.top-1.excess"]
    assert excess.value == pytest.approx(0.75)
    assert excess.low <= 0
    assert excess.p == pytest.approx(2 / 12, abs=0.06)
    assert excess.level == truth.deciding
    assert top["linkage.top-10.excess"].level == 0.95
    assert top["linkage.top-10.excess"].p is None
    assert absent["linkage.top-1-of-10"] == "a class has 4 candidates, too few for 10"


def test_nobody_is_first_among_equals():
    """Of the class alone: the third row's best is not of it, and the last has nobody of the class ahead of others."""
    links = np.array([[1.0, 5, 2], [5.0, 5, 2], [9.0, 1, 2], [0.0, 0, 0]])
    allowed = np.array([[True] * 3, [True] * 3, [False, True, True], [True] * 3])
    assert first_of_class(links, allowed).tolist() == [1, -1, 2, -1]


def test_pixels_come_in_the_order_of_their_distance(truth):
    pixels = truth.split.candidates(truth.candidates).pixels
    found = pixel_links(truth.released.pixels[:2], pixels)
    apart = (truth.released.pixels.double()[:, None] - pixels.double()).square().flatten(2).sum(2).numpy()
    assert (np.argsort(-found, 1) == np.argsort(apart, 1)).all()
    assert np.ptp(found + apart, axis=1) == pytest.approx(np.zeros(2), abs=1e-2 * apart.max())


@pytest.mark.parametrize(
    ("few", "crowd", "top", "missed"), [(1, 4, 1, 3 / 4), (2, 4, 2, 1 / 6), (2, 4, 3, 0), (1, 4, 4, 0)]
)
def test_the_chance_of_missing_all(few, crowd, top, missed):
    assert _missed(few, crowd, top) == pytest.approx(missed)
