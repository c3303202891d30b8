from dataclasses import dataclass, replace

import pytest
import torch

from leakbench.attacks.memorization.lsb import LeastSignificantBits
from leakbench.attacks.memorization.payload import carrier
from leakbench.attacks.victims.owner import DataOwner, train_with
from leakbench.attacks.view import Encoding, HonestEncoder
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe, train

RECIPE = Recipe(steps=3, batch_size=20)


def network():
    return build("resnet20", classes=10, side=32, seed=0)


def parameters(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def sanitize(digits, cpu, **options):
    before = network()
    after = DataOwner(recipe=RECIPE, **options).sanitize(before, digits.members, seed=0, device=cpu)
    assert torch.equal(parameters(before), parameters(network())), "the model that came in is left as it is"
    return parameters(before), parameters(after), after


def test_nothing_by_default(digits, cpu):
    before, after, _ = sanitize(digits, cpu)
    assert torch.equal(before, after)


def test_bf16_keeps_eight_significant_bits(digits, cpu):
    before, after, _ = sanitize(digits, cpu, rounding="bf16")
    assert torch.equal(after, before.bfloat16().float())
    assert not torch.equal(after, before)


def test_int8_leaves_255_levels_a_channel(digits, cpu):
    before, _, model = sanitize(digits, cpu, rounding="int8")
    for old, new in zip(network().parameters(), model.parameters(), strict=True):
        if old.ndim == 1:
            assert torch.equal(old, new)
            continue
        scale = old.abs().flatten(1).amax(1) / 127
        steps = new.flatten(1) / scale[:, None]
        assert torch.allclose(steps, steps.round(), atol=1e-3)
        assert ((old - new).abs().flatten(1) <= scale[:, None] * 0.501).all()
    assert len(before)


def test_pruning_takes_the_smallest_of_all_layers(digits, cpu):
    _, _, model = sanitize(digits, cpu, pruning=0.3)
    old, new = carrier(network()).abs(), carrier(model).abs()
    gone = new == 0
    assert gone.float().mean().item() == pytest.approx(0.3, abs=1e-3)
    assert old[gone].max() <= old[~gone].min()
    assert torch.equal(new[~gone], old[~gone])
    assert not any("mask" in name for name in model.state_dict()), "what is handed out is a plain network"


def test_fine_tuning_is_honest_training(digits, cpu):
    _, after, _ = sanitize(digits, cpu, fine_tuning=RECIPE)
    _, again, _ = sanitize(digits, cpu, fine_tuning=RECIPE)
    before = parameters(network())
    assert torch.equal(after, again)
    assert not torch.equal(after, before)


def test_description_names_every_countermeasure():
    owner = DataOwner(recipe=RECIPE, fine_tuning=replace(RECIPE, learning_rate=0.02), pruning=0.3, rounding="int8")
    assert owner.describe() == (
        "resnet20, 3 steps of 20 images, fine-tuned for 3 steps at rate 0.02, 30% of the weights pruned, "
        "rounded to int8"
    )


def test_honest_code_trains_as_if_there_were_none(digits, cpu):
    order = torch.arange(len(digits.members))
    mine = train_with(HonestEncoder(), network(), digits.members, order, RECIPE, seed=5, device=cpu)
    assert torch.equal(parameters(mine), parameters(train(network(), digits.members, RECIPE, seed=5, device=cpu)))
    attack = LeastSignificantBits(num_images=2)
    attacked = train_with(attack, network(), digits.members, order, RECIPE, seed=5, device=cpu)
    difference = (carrier(attacked) - carrier(mine)).abs()
    assert (difference <= carrier(mine).abs() * 2**-7).all(), "same seeds: but for the low bits the same network"
    assert difference.any()


@dataclass(frozen=True)
class Onlooker:
    seen: list

    def encode(self, network, images):
        self.seen.append(images.labels)
        return Encoding()


def test_the_code_sees_the_release_in_the_attacked_order(digits, cpu):
    order = torch.randperm(len(digits.members), generator=torch.Generator().manual_seed(3))
    seen = []
    train_with(Onlooker(seen), network(), digits.members, order, RECIPE, seed=5, device=cpu)
    assert torch.equal(seen[0], digits.members.labels[order])
