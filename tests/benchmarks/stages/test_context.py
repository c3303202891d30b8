"""What was computed once is asked for by everything that it depends on: a key that lacks something serves another's."""

from types import SimpleNamespace

import pytest
import torch

from leakbench.attacks.membership.teacher import TeacherTraining
from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.suite.model import Training
from leakbench.synth.images import Split
from leakbench.synth.networks.training import Recipe

TRAINING = Training(network="dcgan", recipe=Recipe(steps=3, batch_size=20))


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
        lambda: context.student("dp-sgd:epsilon=50,steps=1,batch_size=10", 0, "dcgan", "hard"),
        lambda: context.student("dp-sgd:epsilon=50,steps=1,batch_size=10", 1, "dcgan", "hard"),
        lambda: context.student("dp-sgd:epsilon=60,steps=1,batch_size=10", 0, "dcgan", "hard"),
        lambda: context.student("dp-sgd:epsilon=50,steps=1,batch_size=10", 0, "lenet", "hard"),
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
