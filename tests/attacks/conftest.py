from dataclasses import replace
from functools import lru_cache

import pytest
import torch

from leakbench.attacks.judging.truth import Truth
from leakbench.attacks.victims.clients import GradientClients, shared_whole
from leakbench.attacks.victims.federation import Federation
from leakbench.attacks.victims.owner import DataOwner, train_with
from leakbench.attacks.victims.scenario import Scenario, attacked_order
from leakbench.attacks.view import PublishedModel
from leakbench.synth.defense import Release, Resources
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe, train
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import seeded_rng

CANDIDATES = torch.randperm(400, generator=seeded_rng("candidates"))
RECIPE = Recipe(steps=60, batch_size=50, flip=False, crop_padding=2)


@pytest.fixture(scope="session")
def oracle(digits, cpu):
    return train(build("resnet20", classes=10, side=32, seed=9), digits.holdout, RECIPE, seed=9, device=cpu)


def trainer(images):
    """Trains a network on these images by somebody's code."""

    def trained(name, recipe, encoder):
        network = build(name, classes=10, side=32, seed=7)
        order = attacked_order(Release(images), 1)
        return train_with(encoder, network, images, order, recipe, seed=7, device=torch.device("cpu"))

    return trained


def learner(images):
    cpu = torch.device("cpu")
    return lru_cache(lambda learner: learner.restore(learner.learn(images, seed=5, device=cpu), images, device=cpu))


def rerun(defense):
    def run(members, teacher, public, seed):
        return defense.release(
            members, Resources(teacher=teacher, public=public, seed=seed, device=torch.device("cpu"))
        )

    return run


def make(name, **parameters):
    return defenses[name](**parameters)


def student(images, name="resnet20", recipe=RECIPE):
    """A student of these images, as it is published."""
    network = train(build(name, classes=10, side=32, seed=6), images, recipe, seed=6, device=torch.device("cpu"))
    return PublishedModel(network, name, recipe)


@pytest.fixture(scope="session")
def scenario(digits, cpu):
    """Victims of the identity release."""
    return Scenario(
        release=Release(digits.members),
        split=digits,
        clients=GradientClients(network="dcgan", victims=6),
        federation=Federation(rounds=2, local_steps=2, batch_size=20),
        owner=DataOwner(network="resnet20", recipe=RECIPE),
        share=shared_whole,
        trained=trainer(digits.members),
        train_on_auxiliary=learner(digits.auxiliary),
        train_on_candidates=learner(digits.candidates(CANDIDATES)),
        candidate_order=CANDIDATES,
        rerun=rerun(make("identity")),
        student=student(digits.members),
        seed=1,
        device=cpu,
    )


@pytest.fixture(scope="session")
def make_truth(digits, oracle, cpu):
    def make(scenario, sources=None):
        return Truth(
            released=scenario.release.images,
            victims=scenario.order,
            sources=sources,
            split=digits,
            oracle=oracle,
            seed=0,
            device=cpu,
            batch=scenario.clients.batch,
        )

    return make


@pytest.fixture(scope="session")
def disjoint(scenario, digits):
    """Victims of the disjoint release."""
    released = digits.public
    return replace(
        scenario,
        release=Release(released),
        trained=trainer(released),
        rerun=rerun(make("disjoint")),
        student=student(released),
    )


@pytest.fixture(scope="session")
def pairing(digits):
    return torch.arange(len(digits.members))[:, None]
