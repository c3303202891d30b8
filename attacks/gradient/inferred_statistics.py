"""Batch-norm statistics of a client's images, from the running ones before and after its round."""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from leakbench.attacks.shared_gradients import SharedGradients

USUAL = 0.1
"""Momentum of a layer that states none (torch's default)."""


def with_inferred_statistics(shared: SharedGradients) -> SharedGradients:
    """What clients shared, with the statistics that their running ones give away, where nothing better was sent.

    A step in training mode leaves running = (1 - m) * before + m * batch, so batch = (running - (1 - m) * before) / m,
    exactly for one local step; after k steps (1 - m)^k stands for 1 - m, and it is their mean, the later the heavier.
    The running variance is of n - 1 in n values (Bessel), which is undone.
    """
    if shared.statistics is not None or shared.running is None:
        return shared
    norms = [layer for layer in shared.network.modules() if isinstance(layer, nn.BatchNorm2d)]
    found = zip(norms, shared.running, _values(shared, norms), strict=True)
    return replace(shared, statistics=tuple(_undone(shared, *each) for each in found))


def _undone(
    shared: SharedGradients, layer: nn.BatchNorm2d, after: tuple[Tensor, Tensor], values: int
) -> tuple[Tensor, Tensor]:
    momentum = USUAL if layer.momentum is None else layer.momentum
    kept = (1 - momentum) ** shared.local_steps
    mean, variance = (
        (moved.double() - kept * before.double()) / (1 - kept)
        for moved, before in zip(after, (layer.running_mean, layer.running_var), strict=True)
        if before is not None
    )
    biased = variance * (values - 1) / values
    return mean.float(), biased.clamp_min(0).float()


def _values(shared: SharedGradients, norms: list[nn.BatchNorm2d]) -> list[int]:
    """How many values of a channel each layer sees of a client's images."""
    probe, seen = copy.deepcopy(shared.network), list[int]()
    layers = [layer for layer in probe.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in layers:
        layer.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0][:, 0].numel()))
    device = next(probe.parameters()).device
    with torch.no_grad():
        probe(torch.zeros(shared.batch, *shared.image_shape, device=device))
    assert len(seen) == len(norms)
    return seen
