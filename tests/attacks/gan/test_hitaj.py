import copy
from dataclasses import replace

import pytest
import torch

from leakbench.attacks.gan.hitaj import Hitaj
from leakbench.attacks.judging.judge import judge_class
from leakbench.attacks.judging.truth import Truth
from leakbench.attacks.victims.clients import GradientClients, shared_whole
from leakbench.attacks.victims.federation import Federation, federate
from leakbench.attacks.victims.owner import DataOwner
from leakbench.attacks.victims.scenario import Scenario
from leakbench.synth.data.datasets import open_pool
from leakbench.synth.data.split import Sizes, split
from leakbench.synth.defense import Release
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe, train


class Recorder:
    """A participant that uploads what it got, and remembers it."""

    def __init__(self):
        self.seen = []

    def local_round(self, shared, round_index):
        self.seen.append(copy.deepcopy(shared.state_dict()))
        return shared


def test_fedavg_by_hand(digits, cpu):
    """Two clients of 30 and 10 images: an upload of ones weighs 3/4, one of zeros 1/4, when nobody else trains."""

    class Ones:
        def local_round(self, shared, round_index):
            for value in shared.state_dict().values():
                value.fill_(1.0)
            return shared

    shared = build("lenet", classes=11, side=32, seed=0)
    for value in shared.state_dict().values():
        value.zero_()
    parts = [digits.members.take(torch.arange(10)), digits.members.take(torch.arange(30))]
    final = federate(shared, parts, Ones(), Federation(rounds=1), honest=False, seed=0, device=cpu)
    assert all(torch.allclose(v, torch.tensor(0.75)) for v in final.state_dict().values())


def test_the_attacker_gets_the_federations_updates(digits, cpu):
    recorder = Recorder()
    parts = [digits.members.take(torch.arange(100)), digits.members.take(torch.arange(100, 200))]
    federate(
        build("lenet", classes=11, side=32, seed=0),
        parts,
        recorder,
        Federation(rounds=3),
        honest=True,
        seed=0,
        device=cpu,
    )
    first, *_, last = (state["1.0.weight"] for state in recorder.seen)
    assert not torch.equal(first, last)


def test_fakes_carry_the_extra_class(scenario, monkeypatch, cpu):
    """The fakes must not be labelled as a real class: the published code that does this is no attack."""
    labels = []
    original = torch.nn.functional.cross_entropy

    def spy(logits, target, **kwargs):
        labels.append(target.clone())
        return original(logits, target, **kwargs)

    monkeypatch.setattr("leakbench.attacks.gan.hitaj.cross_entropy", spy)
    attack = Hitaj(start_round=1, generator_steps=2, local_steps=2, batch_size=20, samples=2)
    guess = attack.run(scenario.view(attack, "hitaj"), seed=0, device=cpu)
    honest, attacking = labels[:2], labels[2:]
    assert all(10 not in batch for batch in honest)
    poisoned = [batch for batch in attacking if 10 in batch]
    assert len(poisoned) == 2
    assert all((batch == 10).sum() == 6 for batch in poisoned)
    assert set(guess.labels.tolist()) == set(range(5)), "the other client's classes are attacked"


def test_the_attackers_seat_holds_no_image_of_the_attacked_classes(scenario):
    seat = scenario.view(Hitaj(), "hitaj").federation()
    assert not set(seat.own.labels.tolist()) & set(seat.others)
    assert isinstance(seat.own, Images)


@pytest.mark.slow
def test_class_leaks_from_identity_and_not_from_an_untrained_model(cpu):
    """Four of five generated digits show their class to an oracle, which itself is right on 97 of 100."""
    parts = split(open_pool("digits", None, None), Sizes(members=450, auxiliary=150, test=297), seed=0)
    recipe = Recipe(steps=100, batch_size=64, flip=False, crop_padding=2)
    oracle = train(build("resnet20", classes=10, side=32, seed=9), parts.holdout, recipe, seed=9, device=cpu)
    victims = Scenario(
        release=Release(parts.members),
        split=parts,
        clients=GradientClients(),
        federation=Federation(clients=3, rounds=100, local_steps=4, batch_size=32),
        owner=DataOwner(),
        share=shared_whole,
        trained=None,
        train_on_auxiliary=None,
        train_on_candidates=None,
        candidate_order=None,
        rerun=None,
        seed=1,
        device=cpu,
    )
    attack = Hitaj(start_round=8, batch_size=32)
    guess, control = (
        attack.run(victims.view(attack, "hitaj", null=null), seed=0, device=cpu) for null in (False, True)
    )
    truth = Truth(
        released=parts.members,
        victims=victims.order,
        sources=None,
        split=parts,
        oracle=oracle,
        seed=0,
        device=cpu,
    )
    found = {m.name: m for m in judge_class(guess, control, truth).measurements}
    assert found["class.oracle.attack"].value >= 0.8
    assert found["class.oracle.excess"].low > 0
    assert found["class.oracle.control"].value < 0.3


def test_the_attacker_trains_at_the_federations_rate(scenario, monkeypatch, cpu):
    rates = []

    class Spy(torch.optim.SGD):
        def __init__(self, parameters, **options):
            rates.append(options["lr"])
            super().__init__(parameters, **options)

    monkeypatch.setattr(torch.optim, "SGD", Spy)
    attack = Hitaj(start_round=1, generator_steps=1, local_steps=1, batch_size=20, samples=2)
    other = replace(scenario, federation=replace(scenario.federation, learning_rate=0.005))
    attack.run(other.view(attack, "hitaj"), seed=0, device=cpu)
    assert set(rates) == {0.005}
