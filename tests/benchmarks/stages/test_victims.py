from dataclasses import dataclass

import pytest
import torch

from leakbench.attacks.memorization.lsb import LeastSignificantBits
from leakbench.attacks.memorization.sign import Sign
from leakbench.attacks.victims import training as victims
from leakbench.attacks.view import Encoding, HonestEncoder
from leakbench.synth.networks.training import Recipe

RECIPE = Recipe(steps=2, batch_size=20)


@pytest.fixture
def trainings(monkeypatch):
    """Counts the trainings."""
    done = []
    real = victims.train_with

    def counted(encoder, *arguments, **options):
        done.append(encoder)
        return real(encoder, *arguments, **options)

    monkeypatch.setattr(victims, "train_with", counted)
    return done


@pytest.fixture
def made(digits, cpu, trainings):
    images = digits.members
    return victims.Victims(
        images, torch.arange(len(images)), seed=3, device=cpu, progress=lambda done, total: None
    ).trained


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_equal_code_trains_once_and_other_code_again(made, trainings):
    first = made("dcgan", RECIPE, Sign(num_images=2, strength=5.0))
    assert made("dcgan", RECIPE, Sign(num_images=2, strength=5.0)) is first
    for other in (
        Sign(num_images=2, strength=5.0001),
        Sign(num_images=3, strength=5.0),
        Sign(num_images=2, strength=5.0, gray=True),
    ):
        assert made("dcgan", RECIPE, other) is not first
    assert len(trainings) == 4


def test_a_strength_of_nothing_is_honest(made):
    """The same seeds: a penalty that weighs nothing changes nothing."""
    honest = made("dcgan", RECIPE, HonestEncoder())
    assert torch.equal(weights(made("dcgan", RECIPE, Sign(num_images=2, strength=0.0))), weights(honest))


def test_code_that_acts_at_the_end_acts_on_the_honest_network(made, trainings):
    attacked = made("dcgan", RECIPE, LeastSignificantBits(num_images=2, bits=1))
    honest = made("dcgan", RECIPE, HonestEncoder())
    assert len(trainings) == 2
    change = (weights(attacked) - weights(honest)).abs()
    assert 0 < change.max() <= weights(honest).abs().max() * 2**-22
    assert torch.equal(weights(honest), weights(made("dcgan", RECIPE, HonestEncoder()))), "which stays as it was"


@dataclass(frozen=True)
class Liar:
    """Claims to be honest code."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return hash(HonestEncoder())

    def encode(self, network, images):
        return Encoding(finish=lambda network: [p.data.zero_() for p in network.parameters()])


def test_an_attacker_is_not_asked_whether_he_is_honest(made):
    assert not weights(made("dcgan", RECIPE, Liar())).any()
    assert weights(made("dcgan", RECIPE, HonestEncoder())).any()
    assert not weights(made("dcgan", RECIPE, Liar())).any()
