"""Batch-norm statistics of a client's images, from the running ones before and after its round."""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from leakbench.attacks.shared_gradients import SharedGradients


def with_inferred_statistics(shared: SharedGradients) -> SharedGradients:
    """What clients shared, with the statistics that their running ones give away, where nothing better was sent.

    A step in training mode leaves running = (1 - m) * before + m * batch, so batch = (running - (1 - m) * before) / m,
    exactly for one local step; after k steps (1 - m)^k stands for 1 - m, and it is their mean, the later the heavier.
    The running variance is of n - 1 in n values (Bessel), which is undone.
    """
    if shared.statistics is not None or shared.running is None:
        return shared
    norms = [layer for layer in shared.network.modules() if isinstance(layer, nn.BatchNorm2d)]
    found = zip(norms, shared.running, _values(shared), strict=True)
    return replace(shared, statistics=tuple(_undone(shared.local_steps, *each) for each in found))


def _undone(steps: int, layer: nn.BatchNorm2d, after: tuple[Tensor, Tensor], values: int) -> tuple[Tensor, Tensor]:
    assert layer.momentum is not None  # without one a layer averages over all batches it has seen; none here does
    kept = (1 - layer.momentum) ** steps
    before = torch.as_tensor(layer.running_mean), torch.as_tensor(layer.running_var)
    mean, variance = ((new.double() - kept * old.double()) / (1 - kept) for new, old in zip(after, before, strict=True))
    biased = variance * (values - 1) / values
    return mean.float(), biased.clamp_min(0).float()


def _values(shared: SharedGradients) -> list[int]:
    """How many values of a channel each layer sees of a client's images."""
    probe, seen = copy.deepcopy(shared.network), list[int]()  # a pass in training mode changes the running statistics
    for layer in probe.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0][:, 0].numel()))
    with torch.no_grad():
        probe(torch.zeros(shared.batch, *shared.image_shape, device=next(probe.parameters()).device))
    return seen
