"""The rate's schedules, and the moving average of weights."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.descent import Descent, rate
from leakbench.synth.networks.training import Recipe, train
from leakbench.synth.seeds import seeded

QUICK = Recipe(steps=6, batch_size=20, flip=False, learning_rate=0.05)


@pytest.mark.parametrize(
    ("schedule", "step", "share"),
    [
        ("one-cycle", 0, 0.05),
        ("one-cycle", 19, 1.0),
        ("one-cycle", 60, 0.5),
        ("cosine", 0, 1.0),
        ("cosine", 50, 0.5),
        ("cosine", 99, 0.00025),
        ("smoothed-cosine", 0, 1.0),
        ("smoothed-cosine", 50, 0.8536),
        ("smoothed-cosine", 99, 0.5079),
    ],
)
def test_the_rate_at_a_step(schedule, step, share):
    assert rate(schedule, step, 100) == pytest.approx(share, abs=2e-4)


def test_a_moving_average_is_what_is_left():
    """By hand: weights 1 and 2 after one step and two; the average begins with the first, and keeps three quarters."""
    network = _line()
    settings = {"learning_rate": 1.0, "momentum": 1e-9, "weight_decay": 0.0, "schedule": "cosine", "steps": 10**9}
    descent = Descent(network, **settings, ema=0.75)
    for _ in range(2):
        descent.step(-network.weight.sum())
    assert network.weight.item() == pytest.approx(2)
    descent.settle()
    assert network.weight.item() == pytest.approx(0.75 * 1 + 0.25 * 2)


def _line():
    with seeded(0):
        network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    return network


def test_a_trained_network_is_the_average_with_its_statistics(digits, cpu):
    def trained(**changes):
        network = build("resnet20", classes=10, side=32, seed=0)
        return train(network, digits.members, replace(QUICK, **changes), seed=0, device=cpu).state_dict()

    last, average = trained(), trained(ema=0.9)
    moved = [name for name in last if last[name].is_floating_point() and not torch.equal(last[name], average[name])]
    assert "1.1.running_mean" in moved
    assert "1.0.weight" in moved
    assert all(torch.equal(last[name], tensor) for name, tensor in trained(ema=0.0).items())
    assert not torch.equal(last["1.0.weight"], trained(schedule="smoothed-cosine")["1.0.weight"])


def test_a_schedule_that_there_is_not_is_named():
    with pytest.raises(ValueError, match="schedule of one-cycle, cosine, smoothed-cosine, got 'linear'"):
        Recipe(schedule="linear")


@pytest.mark.parametrize("ema", [-0.1, 1.0])
def test_an_average_that_never_moves_is_refused(ema):
    with pytest.raises(ValueError, match="ema of at least 0 and below 1"):
        Recipe(ema=ema)
