"""What normalisation layers see of an image: the mean and the mean square of every channel of their inputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from leakbench.metrics.chunks import in_chunks
from leakbench.synth.networks.training import autocast

LEAST_VARIANCE = 1e-6
"""Smallest variance whose logarithm is taken."""

PATCH = 4
"""Pixels of a side of the squares that convolutions' inputs are averaged over."""

Moments = list[tuple[Tensor, Tensor]]
"""A (mean, mean of squares) pair per batch-norm layer, each (N, channels) per image or (G, channels) per group."""


class _SpatialMoments(torch.autograd.Function):
    """Mean and mean square over height and width, (N, C) float32 each, of a bf16 or float32 activation.

    Written out because autograd's own backward makes six passes over the activation, this one: synthesis with
    ResNet-20 on a CPU spent over half of its time there (torch profiler, float32 backward).
    """

    @staticmethod
    def forward(ctx: Any, activation: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(activation)
        pixels = activation.permute(0, 2, 3, 1).flatten(1, 2)  # as they lie in memory, where channels are last
        return pixels.mean(1, dtype=torch.float32), pixels.float().square().mean(1)

    @staticmethod
    def backward(ctx: Any, grad_mean: Tensor, grad_square: Tensor) -> Tensor:
        (activation,) = ctx.saved_tensors
        scale = 1 / activation[0, 0].numel()
        shift, slope = (grad_mean * scale).to(activation.dtype), (grad_square * 2 * scale).to(activation.dtype)
        return torch.addcmul(shift[:, :, None, None], activation, slope[:, :, None, None])


def normalisations(network: nn.Module) -> list[nn.BatchNorm2d | nn.GroupNorm]:
    """The batch-norm layers of a network; of a network that has none, its group-norm layers."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d | nn.GroupNorm)]
    return [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)] or layers


def _patch_moments(activation: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and mean square over channels and squares of PATCH by PATCH pixels, (N, squares) float32 each."""
    activation = activation.float()
    grid = (-(-activation.shape[2] // PATCH), -(-activation.shape[3] // PATCH))
    mean, square = activation.mean(1, keepdim=True), activation.square().mean(1, keepdim=True)
    return adaptive_avg_pool2d(mean, grid).flatten(1), adaptive_avg_pool2d(square, grid).flatten(1)


@contextmanager
def recorded_moments(network: nn.Module, convolutions: bool = False) -> Iterator[Moments]:
    """Collect the moments of every normalisation layer's input, per image, during one forward pass.

    Args:
        network: whose layers.
        convolutions: also those of every convolution's input, by channel and by patch (arXiv 2311.17950).
    """
    moments: Moments = []

    def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        moments.append(_SpatialMoments.apply(inputs[0]))

    def patches(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        moments.append(_patch_moments(inputs[0]))

    layers: list[nn.Module] = [*normalisations(network)]
    hooks = [layer.register_forward_pre_hook(record) for layer in layers]
    for layer in network.modules():
        if convolutions and isinstance(layer, nn.Conv2d):
            hooks += [layer.register_forward_pre_hook(hook) for hook in (record, patches)]
    try:
        yield moments
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def image_moments(network: nn.Module, pixels: Tensor, *, device: torch.device, chunk: int = 512) -> Tensor:
    """Every image's moments of the inputs of all batch-norm layers' channels, one after the other.

    Args:
        network: with batch-norm layers; used in evaluation mode.
        pixels: uint8 (N, C, H, W).
        device: where to compute.
        chunk: images a forward pass.

    Returns:
        (N, 2, channels) float64 on the CPU: means, and means of squares.

    Raises:
        ValueError: the network has no batch-norm layer.
    """
    network = network.to(device).eval()

    def of(part: slice) -> Tensor:
        batch = pixels[part].to(device).to(memory_format=torch.channels_last).float().div_(255)
        with recorded_moments(network) as moments, autocast(device):
            network(batch)
        if not moments:
            raise ValueError("this network has no batch-norm layers, so images have no statistics in it")
        return torch.stack([torch.cat(kind, 1) for kind in zip(*moments, strict=True)], 1).double().cpu()

    return torch.cat(in_chunks(of, len(pixels), chunk))


def means_and_variances(moments: Tensor) -> Tensor:
    """(N, 2 channels) from (N, 2, channels) means and mean squares, of images or averaged over groups of them."""
    mean, square = moments.unbind(1)
    return torch.cat([mean, (square - mean.square()).clamp_min(0)], 1)


def to_vectors(moments: Tensor) -> Tensor:
    """(N, 2 channels) means and log-variances from (N, 2, channels) means and mean squares: all of any sign."""
    means, variances = means_and_variances(moments).chunk(2, 1)
    return torch.cat([means, variances.clamp_min(LEAST_VARIANCE).log()], 1)


def from_vectors(vectors: Tensor) -> Tensor:
    """(N, 2 channels) means and variances from means and log-variances."""
    means, logs = vectors.chunk(2, 1)
    return torch.cat([means, logs.clamp(-14, 14).exp()], 1)
