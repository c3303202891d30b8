from dataclasses import replace

import pytest
import torch

from leakbench.attacks.judging.judge import judge_members
from leakbench.attacks.membership.gan_leaks import GanLeaks
from leakbench.attacks.view import Access, View
from leakbench.synth.defense import Release
from leakbench.synth.images import Images, concatenate

CPU = torch.device("cpu")


def flat(*values):
    pixels = torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    return Images(pixels, torch.zeros(len(values), dtype=torch.long), ("a",))


def scores(candidates, released, auxiliary):
    grants = {
        Access.CANDIDATES: lambda: candidates,
        Access.RELEASE: lambda: Release(released),
        Access.AUXILIARY: lambda: auxiliary,
    }
    return GanLeaks().run(View(threat_model="t", grants=grants), seed=0, device=CPU).values


def test_four_images_by_hand():
    """Of 10, 20, 100 and 200, the release holds 12 and 190, the attacker 40.

    Distances to the release are 2, 8, 88, 10, to the auxiliary image 30, 20, 60, 160: the ratios are 15, 2.5, 0.68, 16.
    """
    found = scores(flat(10, 20, 100, 200), flat(12, 190), flat(40))
    ratios = torch.tensor([15, 2.5, 60 / 88, 16], dtype=torch.float64)
    assert torch.allclose(found, 2 * ratios.log())


def test_an_exact_copy_scores_highest_however_hard_it_is():
    """0 is a copy, and the attacker has an image next to it; 250 is almost a copy, and nobody has one like it."""
    copy, close = scores(flat(0, 250), flat(0, 249), flat(1))
    assert copy > close
    assert torch.isfinite(copy)


def auc(scenario, make_truth):
    attack = GanLeaks()
    guess = attack.run(scenario.view(attack, "gan-leaks"), seed=0, device=CPU)
    truth = replace(make_truth(scenario), candidates=scenario.candidate_order)
    return {m.name: m for m in judge_members(guess, truth).measurements}


def test_identity_gives_an_auc_of_one(scenario, make_truth):
    found = auc(scenario, make_truth)
    assert found["members.auc.attack"].value == 1
    assert found["members.auc.excess"].low > 0
    assert found["members.tpr-at-1.attack"].value == 1


def test_disjoint_gives_a_half(disjoint, make_truth):
    found = auc(disjoint, make_truth)
    assert found["members.auc.attack"].low < 0.5 < found["members.auc.attack"].high
    assert found["members.auc.excess"].low < 0
    assert found["members.tpr-at-1.excess"].low < 0


def test_half_of_the_members_give_three_quarters(scenario, digits, make_truth):
    """Half of the members are copied: they come first. The others are as anybody: 1/2 + 1/2 * 1/2."""
    half = len(digits.members) // 2
    released = concatenate(digits.members.take(torch.arange(half)), digits.public.take(torch.arange(half)))
    found = auc(replace(scenario, release=Release(released)), make_truth)
    assert found["members.auc.attack"].value == pytest.approx(0.75, abs=0.04)
    assert found["members.auc.attack"].low < 0.75 < found["members.auc.attack"].high
    assert found["members.tpr-at-1.attack"].value == pytest.approx(0.5, abs=0.03)


def test_candidates_are_shuffled_and_unmarked(scenario, digits):
    shown = scenario.view(GanLeaks(), "gan-leaks").candidates()
    count = len(digits.members)
    everybody = concatenate(digits.members, digits.holdout)
    assert torch.equal(shown.pixels, everybody.pixels[scenario.candidate_order])
    true_positives_at_no_false_one = (scenario.candidate_order[:count] < count).double().mean().item()
    assert true_positives_at_no_false_one == pytest.approx(count / len(everybody), abs=0.1)
