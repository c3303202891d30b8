"""Both controls of linkage by statistics, on the digits, and the one setting that it was written for."""

from dataclasses import replace

import pytest

from leakbench.attacks.judging.judge import judge_members
from leakbench.attacks.membership.statistic_linkage import (
    StatisticLinkage,
    StatisticLinkageTeacher,
)
from leakbench.attacks.view import PublishedModel
from leakbench.synth.defense import Release, Resources
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe, train
from tests.attacks.conftest import make, rerun

ATTACKS = {StatisticLinkage: {"teacher_steps": 60}, StatisticLinkageTeacher: {}}


def judged(kind, scenario, make_truth, cpu, sources=None, **parameters):
    attack = kind(**ATTACKS[kind] | parameters)
    guess = attack.run(scenario.view(attack, "linkage"), seed=0, device=cpu)
    truth = replace(make_truth(scenario, sources), candidates=scenario.candidate_order)
    return {m.name: m for m in judge_members(guess, truth).measurements}


@pytest.fixture(scope="module")
def teacher(digits, cpu):
    recipe = Recipe(steps=80, batch_size=50, flip=False, crop_padding=2)
    network = train(build("resnet20", classes=10, side=32, seed=3), digits.members, recipe, seed=3, device=cpu)
    return PublishedModel(network, "resnet20", recipe)


def as_published(release, **parameters):
    order = release.images.labels.argsort(stable=True)
    source = None if release.sources is None else release.sources[order]
    return Release(release.images.take(order), about={"parameters": parameters}), source


@pytest.mark.parametrize("kind", [pytest.param(StatisticLinkage, marks=pytest.mark.slow), StatisticLinkageTeacher])
def test_everybody_is_found_behind_identity(kind, scenario, make_truth, teacher, pairing, cpu):
    found = judged(kind, replace(scenario, teacher=teacher), make_truth, cpu, pairing)
    assert found["linkage.top-1.attack"].value == 1
    assert found["members.auc.attack"].value > 0.99
    assert found["members.epsilon"].value > 2


@pytest.mark.parametrize("kind", [pytest.param(StatisticLinkage, marks=pytest.mark.slow), StatisticLinkageTeacher])
def test_nobody_is_found_behind_disjoint(kind, disjoint, digits, make_truth, cpu):
    recipe = Recipe(steps=80, batch_size=50, flip=False, crop_padding=2)
    theirs = train(build("resnet20", classes=10, side=32, seed=3), digits.public, recipe, seed=3, device=cpu)
    found = judged(kind, replace(disjoint, teacher=PublishedModel(theirs, "resnet20", recipe)), make_truth, cpu)
    for name in ("members.auc", "members.tpr-at-1", "members.tp-at-0-fpr", "linkage.top-1"):
        assert found[f"{name}.excess"].low <= 0


@pytest.mark.slow
def test_sources_of_matched_statistics_are_found_where_pixels_find_nothing(scenario, digits, make_truth, teacher, cpu):
    """One image behind each statistic, teacher published: the optimisation is short, the pictures show nothing."""
    defense = make("bn-matching", images_per_statistic=1, num_images=100, steps=80, learning_rate=0.3, batch_size=100)
    made = defense.release(digits.members, Resources(teacher=teacher.network, public=digits.public, seed=0, device=cpu))
    release, source = as_published(made, images_per_statistic=1)
    attacked = replace(scenario, release=release, teacher=teacher, rerun=rerun(defense))
    found = judged(StatisticLinkageTeacher, attacked, make_truth, cpu, source)
    assert found["linkage.top-1.attack"].value > 0.9
    assert found["linkage.top-1.excess"].low > 0
    assert found["linkage.top-1.baseline"].value < 0.2


def test_parameters_out_of_range():
    with pytest.raises(ValueError, match=r"statistic-linkage\.shadows must be >= 1, got 0"):
        StatisticLinkage(shadows=0)


def test_sources_of_some_are_judged_and_others_are_left_out(scenario, digits, make_truth, teacher, cpu):
    leaky = make("leaky", leaked=0.2)
    made = leaky.release(digits.members, Resources(teacher=None, public=digits.public, seed=0, device=cpu))
    release, source = as_published(made)
    attacked = replace(scenario, release=release, teacher=teacher, rerun=rerun(leaky))
    found = judged(StatisticLinkageTeacher, attacked, make_truth, cpu, source)
    assert found["linkage.top-1.attack"].n == 40
    assert found["linkage.top-1.attack"].value == 1
