"""What was computed once is asked for by everything that it depends on: a key that lacks something serves another's."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from leakbench.attacks.membership.teacher import TeacherTraining
from leakbench.benchmarks.execution.cell import cell_key
from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.stages.publish import claim_of
from leakbench.benchmarks.suite.model import Teacher, Training
from leakbench.reports.records import Cell
from leakbench.synth.defense import Release
from leakbench.synth.images import Split
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe

TRAINING = Teacher(network="dcgan", recipe=Recipe(steps=3, batch_size=20))


class Asked(Exception):
    """Raised with the key that was asked for."""


class Store:
    def tensors(self, key, compute):
        raise Asked(key)


@pytest.fixture
def context(digits, cpu):
    """Of a run whose second seed differs in one pixel of every part."""

    def parts(seed):
        copies = {name: images.take(torch.arange(len(images))) for name, images in vars(digits).items()}
        for images in copies.values():
            images.pixels[0, 0, 0, 0] += seed
        return Split(**copies)

    suite = SimpleNamespace(hash="hash", teacher=TRAINING, student=TRAINING)
    return RunContext(suite, parts, None, Store(), cpu, lambda done, total: None)


def key(ask):
    with pytest.raises(Asked) as asked:
        ask()
    return asked.value.args[0]


def test_networks(context, digits):
    other = digits.members.take(torch.arange(len(digits.members)))
    other.pixels[0, 0, 0, 0] += 1
    relabelled = digits.members.take(torch.arange(len(digits.members)))
    relabelled.labels[0] = (relabelled.labels[0] + 1) % 10
    soft = torch.full((len(digits.members), 10), 0.1)
    recipe = TRAINING.recipe
    asked = [
        lambda: context.trained("teacher", TRAINING, digits.members, 0),
        lambda: context.trained("oracle", TRAINING, digits.members, 0),
        lambda: context.trained("teacher", Training(network="lenet", recipe=recipe), digits.members, 0),
        lambda: context.trained(
            "teacher", Training(network="dcgan", recipe=Recipe(steps=4, batch_size=20)), digits.members, 0
        ),
        lambda: context.trained("teacher", TRAINING, other, 0),
        lambda: context.trained("teacher", TRAINING, relabelled, 0),
        lambda: context.trained("teacher", TRAINING, digits.members, 1),
        lambda: context._network("teacher", "dcgan", recipe, digits.members, soft, 0),
        lambda: context._network("teacher", "dcgan", recipe, digits.members, soft * 2, 0),
    ]
    assert len({key(ask) for ask in asked}) == len(asked)
    assert key(asked[0]) == key(asked[0])


def test_networks_that_a_defense_trains(context, monkeypatch):
    monkeypatch.setattr(context, "seed", lambda *names: 5)  # so that only the members tell the runs apart
    asked = [
        lambda: context.student("dp-sgd:epsilon=50,steps=1,batch_size=60", 0, "dcgan", "hard"),
        lambda: context.student("dp-sgd:epsilon=50,steps=1,batch_size=60", 1, "dcgan", "hard"),
        lambda: context.student("dp-sgd:epsilon=60,steps=1,batch_size=60", 0, "dcgan", "hard"),
        lambda: context.student("dp-sgd:epsilon=50,steps=1,batch_size=60", 0, "lenet", "hard"),
    ]
    assert len({key(ask) for ask in asked}) == len(asked)


def test_what_attackers_learn(context, monkeypatch):
    monkeypatch.setattr(context, "seed", lambda *names: 5)

    def teacher(steps):
        return TeacherTraining(network="dcgan", recipe=Recipe(steps=steps))

    asked = [
        lambda: context.train_on_auxiliary(0)(teacher(3)),
        lambda: context.train_on_auxiliary(1)(teacher(3)),
        lambda: context.train_on_auxiliary(0)(teacher(4)),
        lambda: context.train_on_candidates(0)(teacher(3)),
    ]
    assert len({key(ask) for ask in asked}) == len(asked)


def test_candidates_are_everybody_once_in_an_order_of_the_seed(context, digits):
    count = len(digits.members) + len(digits.holdout)
    orders = [context.candidate_order(seed) for seed in (0, 1)]
    assert all(sorted(order.tolist()) == list(range(count)) for order in orders)
    assert not torch.equal(*orders)
    assert torch.equal(orders[0], context.candidate_order(0))


def test_a_release_is_known_by_everything_in_it(context, digits):
    images = digits.members
    soft = torch.full((len(images), 10), 0.1)
    sources = torch.arange(len(images))[:, None]
    other = images.take(torch.arange(len(images)))
    other.pixels[0, 0, 0, 0] += 1
    releases = [
        (Release(images), None),
        (Release(other), None),
        (Release(images, soft_labels=soft), None),
        (Release(images, soft_labels=soft * 2), None),
        (Release(images), sources),
        (Release(images), sources.flip(0)),
        (Release(images, about={"seed": "known"}), None),
    ]
    found = set()
    for release in releases:
        context.attacked = lambda spec, seed, release=release: release
        found.add(context._release_digest("identity", 0))
    assert len(found) == len(releases)


@pytest.mark.parametrize(
    ("defense", "delta", "gaussian"),
    [
        ("identity", 1e-5, False),
        ("dp-merf:epsilon=8,delta=1e-4", 1e-4, True),
        ("dp-bn-matching:delta=1e-3", 1e-3, False),
    ],
)
def test_the_judge_knows_the_claim(context, digits, defense, delta, gaussian):
    """Its delta, and whether it is of one Gaussian mechanism; of a defense that claims nothing the usual one."""
    context.attacked = lambda spec, seed: (Release(digits.members), None)
    scenario = SimpleNamespace(order=torch.arange(3), candidate_order=torch.arange(7))
    cell = Cell(suite="s", dataset="d", defense=defense, task="attack", method="nearest")
    truth = context.truth(cell, scenario, 4)
    assert (truth.delta, truth.gaussian, truth.batch, truth.oracle) == (delta, gaussian, 4, None)
    assert torch.equal(truth.victims, scenario.order)
    assert torch.equal(truth.candidates, scenario.candidate_order)
    assert truth.released is context.attacked("", 0)[0].images
    assert truth.linker is truth.observer is None
    assert torch.equal(truth.split.members.pixels, context.parts(0).members.pixels)


def test_a_cell_is_kept_by_everything_that_it_reads(context, digits):
    """The data, the public images' name, the release, the cell itself; a release cell reads no release."""
    context.attacked = lambda spec, seed: (Release(digits.members), None)

    def key(seed=0, method="nearest", task="attack"):
        return cell_key(context, Cell(suite="s", dataset="d", defense="noise", task=task, method=method, seed=seed))

    first = key()
    keys = {first, key(method="gan-leaks"), key(seed=1), key(task="visual", method=""), key(task="release", method="")}
    context.public = "folder"
    keys.add(key())
    context.public = None
    assert key() == first
    context.data_digest = lambda seed: "other data"
    keys.add(key())
    context.release_digest = lambda spec, seed: "other release"
    keys.add(key())
    assert key(task="release", method="") == key(task="release", method="")
    assert len(keys) == 8
    assert None not in keys


def test_students_of_labelled_views_see_them_as_they_are(context, digits):
    """The teacher is asked of the views, and not while the student learns; each release has views of its own."""
    context.attacked = lambda spec, seed: (Release(digits.members), None)
    context.teacher = lambda seed: build("lenet", classes=10, side=32, seed=0)
    context.suite.student = SimpleNamespace(recipe=TRAINING.recipe, views=2)
    seen = []
    context._network = lambda *what: seen.append(what)
    student = context._student("noise", 0, "dcgan", "views")
    context._student("blur", 0, "dcgan", "views")
    (_, _, recipe, images, soft, _, teacher), (_, _, _, others, _, _, _) = seen
    assert (recipe.crop_padding, recipe.flip, recipe.cutmix) == (0, False, 0.0)
    assert student.recipe == recipe
    assert len(images) == len(soft) > 0
    assert len(images) % len(digits.members) == 0
    assert teacher is None
    assert not torch.equal(images.pixels, others.pixels)


def test_students_of_soft_labels_have_them_and_others_do_not(context, digits):
    """What stands in a network's key is what it was trained on."""
    soft = torch.full((len(digits.members), 10), 0.1)
    context.attacked = lambda spec, seed: (Release(digits.members, soft_labels=soft), None)
    context._network = lambda purpose, name, recipe, images, labels, seed, teacher: labels
    for labels, expected in (("soft", soft), ("hard", None)):
        student = context._student("noise", 0, "dcgan", labels)
        assert student.network is expected
        assert (student.name, student.recipe) == ("dcgan", TRAINING.recipe)


def test_students_that_a_teacher_answers_are_kept_by_its_weights(context, digits):
    """And of other rungs nobody asks it."""
    context.attacked = lambda spec, seed: (Release(digits.members), None)
    keys = set()
    for seed in range(2):
        network = build("lenet", classes=10, side=32, seed=seed)
        context.teacher = lambda seed, network=network: network
        keys.add(key(lambda: context._student("noise", 0, "dcgan", "teacher")))
    context.teacher = None
    keys.add(key(lambda: context._student("noise", 0, "dcgan", "hard")))
    assert len(keys) == 3


def test_a_published_teacher_is_read_where_there_is_one(context, digits):
    """Else it is trained on the members, under a name of its own."""
    context.trained = lambda purpose, training, images, seed: (purpose, training, len(images), seed)
    assert context.teacher(0) == ("teacher", TRAINING, len(digits.members), 0)
    published = torch.nn.Identity()
    context.weights = SimpleNamespace(load=lambda side: published if side == digits.members.side else None)
    assert context._teacher(0) is published


@pytest.mark.parametrize(("method", "judged"), [("hitaj", True), ("gan-inversion", True), ("nearest", False)])
def test_an_oracle_grades_classes_and_nothing_else(context, digits, method, judged):
    context.attacked = lambda spec, seed: (Release(digits.members), None)
    context.oracle = lambda seed: "oracle"
    context.observer = lambda seed: None
    scenario = SimpleNamespace(order=torch.arange(3), candidate_order=torch.arange(7))
    cell = Cell(suite="s", dataset="d", defense="noise", task="attack", method=method)
    assert context.truth(cell, scenario, 4).oracle == ("oracle" if judged else None)


@pytest.mark.parametrize(
    ("defense", "published", "seen_through"),
    [("bn-matching", True, "teacher"), ("bn-matching", False, "own"), ("noise", True, "own")],
)
def test_reconstructions_are_linked_by_the_teacher_where_it_counts_as_published(
    context, digits, defense, published, seen_through
):
    """Else by a network of an attacker's own, that has seen neither members nor holdout; the teacher among members."""
    context.attacked = lambda spec, seed: (Release(digits.members), None)
    context.suite = SimpleNamespace(teacher=TRAINING.model_copy(update={"published": published}), hash="hash")
    context.teacher = lambda seed: "teacher"
    learners = []
    context.train_on_auxiliary = lambda seed: lambda learner: learners.append(learner) or "own"
    scenario = SimpleNamespace(order=torch.arange(3), candidate_order=torch.arange(7))
    cell = Cell(suite="s", dataset="d", defense=defense, task="attack", method="dlg")
    truth = context.truth(cell, scenario, 4)
    assert truth.linker.network == seen_through
    assert len(truth.linker.people) == len(digits.members)
    assert truth.observer.network == "own"
    assert len(truth.observer.people) == len(digits.members) + len(digits.holdout)
    assert set(learners) == {TeacherTraining(network="dcgan", recipe=TRAINING.recipe)}
    again = context.truth(cell, scenario, 4)
    assert again.linker is truth.linker, "what it sees of people is kept"
    membership = replace(cell, method="nearest")
    assert context.truth(membership, scenario, 4).linker is None


def test_victims_hold_what_a_defense_releases_and_members_where_it_releases_nothing(context, digits, monkeypatch):
    """Who trains with gradients that are changed releases no images, and holds the members."""
    released = (Release(digits.auxiliary), torch.zeros(1, 1, dtype=torch.int64))
    monkeypatch.setattr(context, "folder", SimpleNamespace(load_release=lambda spec, seed: released))
    assert context._attacked("subset", 0) is released
    release, paired = context._attacked("gradient-noise", 0)
    assert release.images.pixels.equal(digits.members.pixels)
    assert paired.squeeze(1).tolist() == list(range(len(digits.members)))


@pytest.mark.parametrize(("labels", "kind"), [("hard", "differential-privacy"), ("views", "none"), ("teacher", "none")])
def test_labels_of_a_teacher_are_not_covered_by_a_releases_claim(labels, kind):
    """It learned the members without any noise."""
    cell = Cell(suite="s", dataset="d", defense="dp-merf", task="utility", method=f"lenet:{labels}")
    assert claim_of(cell).kind == kind
