"""Linkage of mixtures: by hand, both controls on the digits, and the defenses that it was written for."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import rankdata

from leakbench.attacks.judging.judge import judge_members
from leakbench.attacks.membership.mixture_linkage import NEVER, MixtureLinkage, class_shares, squares
from leakbench.synth.defense import Release, Resources
from leakbench.synth.images import Images
from leakbench.synth.seeds import seeded_rng
from tests.attacks.conftest import make

ATTACK = MixtureLinkage(links=100)


def judged(scenario, make_truth, cpu, sources=None):
    guess = ATTACK.run(scenario.view(ATTACK, "mixtures"), seed=0, device=cpu)
    truth = replace(make_truth(scenario, sources), candidates=scenario.candidate_order)
    return {m.name: m for m in judge_members(guess, truth).measurements}


def mixed(scenario, digits, cpu, name):
    made = make(name).release(digits.members, Resources(teacher=None, public=digits.public, seed=0, device=cpu))
    return replace(scenario, release=replace(made, sources=None)), made.sources


def test_everybody_is_found_behind_identity(scenario, make_truth, pairing, cpu):
    found = judged(scenario, make_truth, cpu, pairing)
    assert found["linkage.top-1.attack"].value == 1
    assert found["members.auc.attack"].value > 0.99


def test_nobody_is_found_behind_disjoint(disjoint, make_truth, cpu):
    found = judged(disjoint, make_truth, cpu)
    for name in ("members.auc", "members.tpr-at-1", "members.tp-at-0-fpr", "linkage.top-1"):
        assert found[f"{name}.excess"].low <= 0


@pytest.mark.parametrize(("name", "least"), [("instahide", 0.2), ("mixup", 0.8)])
def test_sources_of_mixtures_are_found(name, least, scenario, digits, make_truth, cpu):
    attacked, sources = mixed(scenario, digits, cpu, name)
    found = judged(attacked, make_truth, cpu, sources)
    assert found["linkage.top-1.attack"].value > least
    assert found["linkage.top-1.excess"].low > 0
    assert found["members.auc.attack"].value > 0.55


@pytest.mark.parametrize("side", [8, 48])
def test_signs_hide_nothing(side):
    """An image and the same with signs at random have the same squares, up to the rounding of bytes."""
    rng = seeded_rng("signs")
    pixels = torch.randint(0, 256, (3, 3, side, side), generator=rng, dtype=torch.uint8)
    signs = torch.rand(pixels.shape, generator=rng) < 0.5
    hidden = torch.where(signs, pixels, 255 - pixels)
    assert torch.allclose(squares(pixels), squares(hidden), atol=1e-6)
    assert squares(pixels).shape == (3, 3 * min(side, 32) ** 2)


def test_classes_that_are_not_in_a_mixture_are_left_out(scenario, digits, cpu):
    """Soft labels say which classes were mixed, hard ones that there is one."""
    attacked, _ = mixed(scenario, digits, cpu, "instahide")
    guess = ATTACK.run(attacked.view(ATTACK, "mixtures"), seed=0, device=cpu)
    candidates = digits.candidates(scenario.candidate_order)
    soft = attacked.release.soft_labels[guess.links.released][:, candidates.labels]
    assert torch.equal(guess.links.scores == NEVER, soft <= 0)
    hard = class_shares(Release(Images(torch.zeros(2, 3, 2, 2, dtype=torch.uint8), torch.tensor([1, 0]), ("a", "b"))))
    assert hard.tolist() == [[0, 1], [1, 0]]


def test_a_score_is_the_best_link(scenario, digits, cpu):
    """All links are asked for: a candidate's score is the largest of its own."""
    attacked, _ = mixed(scenario, digits, cpu, "instahide")
    attack = MixtureLinkage(links=len(digits.members))
    guess = attack.run(attacked.view(attack, "mixtures"), seed=0, device=cpu)
    assert torch.equal(guess.links.released, torch.arange(len(digits.members)))
    assert torch.allclose(guess.values, guess.links.scores.amax(0).double())
    assert len(set(rankdata(guess.values))) > 100


def test_parameters_out_of_range():
    with pytest.raises(ValueError, match=r"mixture-linkage\.links must be >= 1, got 0"):
        MixtureLinkage(links=0)
