"""Inversion of batch-norm statistics against a hook per layer and a statistic at a time, in float32.

The peer follows the equations of DeepInversion (arXiv 1912.08795) as people write them down: every layer's hook
computes the batch's mean, then its variance, and compares both with the running ones. Both sides do the same steps on
the same network, with total variation and jitter. pytest benchmarks/speed/test_synthesis.py --benchmark-enable -n 0 -s
"""

import math
import time

import pytest
import torch
from torch import nn

from leakbench.synth.defenses.inversion import Inversion, frozen
from leakbench.synth.defenses.matching import matching
from leakbench.synth.networks import compilation
from leakbench.synth.networks.architectures import MEAN, STD, build
from leakbench.synth.seeds import seeded_rng

IMAGES = {"resnet20": 250, "resnet18": 64}
STEPS = 6


class Hook:
    """A layer's loss, as its input passes."""

    def __init__(self, layer):
        self.loss = None
        layer.register_forward_hook(self.watch)

    def watch(self, layer, inputs, output):
        """Called behind the layer."""
        x = inputs[0]
        mean = x.mean([0, 2, 3])
        variance = x.permute(1, 0, 2, 3).contiguous().view(x.shape[1], -1).var(1, unbiased=False)
        self.loss = (layer.running_mean - mean).norm(2) + (layer.running_var - variance).norm(2)


def peer(network, labels):
    hooks = [Hook(layer) for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    x = torch.randn((len(labels), 3, 32, 32), generator=seeded_rng("speed")).to(labels.device).requires_grad_()
    optimizer, rng = torch.optim.Adam([x], lr=0.1), seeded_rng("jitter")
    for _ in range(STEPS):
        seen = x.roll(torch.randint(-2, 3, (2,), generator=rng).tolist(), (2, 3))
        loss = nn.functional.cross_entropy(network(seen * STD + MEAN), labels)
        shifts = (
            seen[:, :, :, :-1] - seen[:, :, :, 1:],
            seen[:, :, :-1] - seen[:, :, 1:],
            seen[:, :, :-1, :-1] - seen[:, :, 1:, 1:],
            seen[:, :, :-1, 1:] - seen[:, :, 1:, :-1],
        )
        loss = loss + 1e-3 * sum(shift.norm() for shift in shifts) + 10 * sum(hook.loss for hook in hooks)
        optimizer.zero_grad()
        network.zero_grad()
        loss.backward()
        optimizer.step()


def ours(network, labels):
    how = Inversion(steps=STEPS, tv_weight=1e-3, bn_weight=10.0, jitter=2)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    wanted = [(layer.running_mean[None], layer.running_var[None]) for layer in layers]
    whole = torch.full((1, len(labels)), 1 / len(labels), device=labels.device)
    with frozen(network):
        rng = seeded_rng("speed", device=labels.device)
        how.invert([matching(network, wanted, whole)], labels, (3, 32, 32), rng)


WAYS = {"plain": (ours, math.inf), "compiled": (ours, 0), "peer": (peer, math.inf)}
"""Each with the work that is worth compiling for."""


@pytest.mark.benchmark(group="inversion")
@pytest.mark.parametrize("network", IMAGES)
@pytest.mark.parametrize("name", WAYS)
def test_inversion(benchmark, monkeypatch, name, network, device, finished):
    way, worth = WAYS[name]
    timed = finished(way)
    monkeypatch.setattr(compilation, "WORTH", worth)
    labels = (torch.arange(IMAGES[network]) % 10).to(device)

    def fresh():
        built = build(network, classes=10, side=32, seed=0).eval().to(device)
        if way is ours:
            built = built.to(memory_format=torch.channels_last)
        return (built, labels), {}

    start = time.perf_counter()
    timed(*fresh()[0])
    print(f"\n{name}, {network}: {time.perf_counter() - start:.1f} s the first time, compiling included")
    benchmark.extra_info["image-iterations"] = STEPS * len(labels)
    benchmark.pedantic(timed, setup=fresh, rounds=3)
