"""Canaries in and out of a defense: both controls, and what a claim is set against."""

from dataclasses import replace

import pytest
import torch

from leakbench.attacks.guess import Canaries
from leakbench.attacks.judging.judge import judge_members
from leakbench.attacks.membership.canaries import CanariesOnce, CanaryReruns
from leakbench.synth.defense import Release
from leakbench.synth.networks.training import Recipe
from tests.attacks.conftest import make, rerun, student

QUICK = Recipe(steps=200, batch_size=50, learning_rate=0.005, crop_padding=0, flip=False)


@pytest.fixture(scope="module")
def audited(scenario, digits):
    return replace(scenario, student=student(digits.members, "dcgan", QUICK))


def judged(attack, scenario, make_truth, cpu):
    verdict = judge_members(attack.run(scenario.view(attack, "canaries"), seed=0, device=cpu), make_truth(scenario))
    return {m.name: m for m in verdict.measurements}, verdict.absent


ONCE = {
    "crafted": CanariesOnce(canaries=40, look="release"),
    "natural": CanariesOnce(canaries=20, look="release", kind="natural"),
    "mislabelled": CanariesOnce(canaries=25, kind="mislabelled"),
}


@pytest.mark.parametrize("kind", ["crafted", "natural"])
def test_canaries_are_found_behind_identity(kind, audited, make_truth, cpu):
    found, _ = judged(ONCE[kind], audited, make_truth, cpu)
    assert found["members.auc.attack"].value == 1
    assert found["members.epsilon"].value > 1
    assert 0 < found["members.epsilon-add-remove"].value <= found["members.epsilon"].value / 2 + 1e-9


def test_a_student_remembers_wrong_labels(audited, make_truth, cpu):
    found, _ = judged(ONCE["mislabelled"], audited, make_truth, cpu)
    assert found["members.auc.excess"].low > 0


class Noted:
    """A view that says which canaries went in, and of how many runs."""

    def __init__(self, view):
        self.view, self.crowds = view, []

    def __getattr__(self, name):
        return getattr(self.view, name)

    def rerun(self, members, **given):
        self.crowds.append(members)
        return self.view.rerun(members, **given)


def test_shadows_hold_half_of_the_canaries_each(audited, cpu):
    """Every canary is in half of the shadow runs, and no run but the first holds one of each pair for sure."""
    audited = replace(audited, student=replace(audited.student, recipe=replace(QUICK, steps=5)))
    attack = CanariesOnce(canaries=20, kind="mislabelled", shadows=4, num_images=10)
    view = Noted(audited.view(attack, "canaries"))
    guess = attack.run(view, seed=0, device=cpu)
    assert guess.notes == {"reruns": 5.0}
    assert len(view.crowds) == 5
    drawn, _, _ = attack.drawn(audited.split.auxiliary, 40, 0)
    marks = [{bytes(image.numpy()) for image in crowd.pixels} for crowd in view.crowds]
    counts = [sum(bytes(image.numpy()) in crowd for crowd in marks[1:]) for image in drawn.pixels]
    assert counts == [2] * 40
    assert sum(bytes(image.numpy()) in marks[0] for image in drawn.pixels) == 20


@pytest.mark.slow
def test_mislabelled_canaries_are_found_with_shadows(audited, make_truth, cpu):
    """Behind identity, more surely than by confidence alone; behind disjoint none."""
    attack = CanariesOnce(canaries=25, kind="mislabelled", shadows=4)
    found, _ = judged(attack, audited, make_truth, cpu)
    plain, _ = judged(ONCE["mislabelled"], audited, make_truth, cpu)
    assert found["members.auc.excess"].low > 0
    assert found["members.auc.attack"].value >= plain["members.auc.attack"].value
    silent, _ = judged(attack, replace(audited, rerun=rerun(make("disjoint"))), make_truth, cpu)
    assert silent["members.auc.excess"].low <= 0


@pytest.mark.parametrize("kind", ONCE)
def test_canaries_are_not_found_behind_disjoint(kind, audited, make_truth, cpu):
    found, _ = judged(ONCE[kind], replace(audited, rerun=rerun(make("disjoint"))), make_truth, cpu)
    assert found["members.auc.excess"].low <= 0
    assert found["members.epsilon"].value == 0


def test_natural_canaries_that_stay_out_are_nobody_else(audited, make_truth, cpu):
    """Behind a defense that releases public images as well, an image that stayed out must not be among them."""
    leaky = replace(audited, rerun=rerun(make("leaky", leaked=0.9)))
    found, _ = judged(ONCE["natural"], leaky, make_truth, cpu)
    assert found["members.auc.excess"].low > 0


def test_many_runs_bound_adding_and_removing(audited, make_truth, cpu):
    """Forty runs choose, of forty all are right: Clopper and Pearson allow log(0.83 / 0.17); betting on all 80 more."""
    found, absent = judged(CanaryReruns(reruns=80, look="release", num_images=20), audited, make_truth, cpu)
    assert found["members.epsilon-rates-add-remove"].value == pytest.approx(1.6, abs=0.01)
    assert found["members.epsilon-add-remove"].value == pytest.approx(1.86, abs=0.01)
    assert "added, not replaced" in absent["members.epsilon"]
    disjoint = replace(audited, rerun=rerun(make("disjoint")))
    found, _ = judged(CanaryReruns(reruns=20, look="release", num_images=20), disjoint, make_truth, cpu)
    assert found["members.epsilon-add-remove"].value == 0


def test_the_members_of_the_release_play_no_part(audited, make_truth, digits, cpu):
    attack = ONCE["crafted"]
    guess = attack.run(audited.view(attack, "canaries"), seed=0, device=cpu)
    other = attack.run(replace(audited, release=Release(digits.public)).view(attack, "canaries"), seed=0, device=cpu)
    assert torch.equal(guess.inside, other.inside)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CanariesOnce(canaries=3), "canaries must be >= 4, got 3"),
        (lambda: CanariesOnce(num_images=-1), "num_images must be >= 0, got -1"),
        (lambda: CanariesOnce(shadows=2), "shadows must be even and >= 4, got 2"),
        (lambda: CanariesOnce(shadows=4, look="release"), "shadows are of students"),
        (lambda: CanaryReruns(reruns=9), "reruns must be even and >= 8, got 9"),
        (lambda: Canaries(torch.zeros(2), torch.zeros(3), reruns=1), "as many in as out"),
        (lambda: Canaries(torch.zeros(2), torch.zeros(2), reruns=3), "4 canaries were scored in 3 runs"),
    ],
)
def test_out_of_range(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_too_few_images_for_natural_canaries(audited, cpu):
    attack = CanariesOnce(canaries=100, kind="natural")
    with pytest.raises(ValueError, match="200 natural canaries need more auxiliary images than 100; ask for fewer"):
        attack.run(audited.view(attack, "canaries"), seed=0, device=cpu)
