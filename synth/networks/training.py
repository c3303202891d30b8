"""Training from scratch on images that stay on the device as uint8."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax, pad, softmax

from leakbench.metrics.chunks import in_chunks
from leakbench.synth.images import Images
from leakbench.synth.networks.descent import Descent, Schedule
from leakbench.synth.networks.lessons import Lessons
from leakbench.synth.seeds import derive_seed, seeded, seeded_rng

Penalty = Callable[[nn.Module], Tensor]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained: SGD with Nesterov momentum, a rate that falls, crop and flip.

    The budget is a number of steps, not of epochs, so that releases of different sizes cost and learn alike.

    Args:
        steps: optimiser steps.
        batch_size: images a step (or the whole release, if it is smaller).
        learning_rate: peak rate.
        momentum: Nesterov momentum.
        weight_decay: L2 on all parameters.
        label_smoothing: off by default.
        crop_padding: pixels of reflection padding before the random crop; 0 for none.
        flip: horizontal flips (wrong for digits and text).
        temperature: of the soft labels' Kullback-Leibler loss.
        cutmix: share of the batches that are cut-mixed (arXiv 1905.04899).
        schedule: of the rate: ``one-cycle``; ``cosine``; ``smoothed-cosine``, the first half of one (arXiv 2404.13733).
        ema: share of the moving average of weights and statistics that stays at a step, which is then the trained
            network (0.99 in arXiv 2404.13733); 0 for the last weights.
    """

    steps: int = 1500
    batch_size: int = 128
    learning_rate: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    crop_padding: int = 4
    flip: bool = True
    temperature: float = 1.0
    cutmix: float = 0.0
    schedule: Schedule = "one-cycle"
    ema: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 2:
            raise ValueError(f"Recipe needs steps >= 1 and batch_size >= 2, got {self.steps} and {self.batch_size}")
        if not 0 <= self.cutmix <= 1:
            raise ValueError(f"Recipe needs cutmix between 0 and 1, got {self.cutmix}")
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"Recipe needs a schedule of {', '.join(get_args(Schedule))}, got {self.schedule!r}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"Recipe needs ema of at least 0 and below 1, got {self.ema}")


@dataclass(frozen=True)
class Extra:
    """Images that are learned beside a training set, without augmentation.

    Args:
        inputs: from positions to uint8 images of the training set's size; called for every batch, so that they need
            not all be held.
        labels: (N,) of all positions.
        per_step: how many of them a step takes.
        weight: of their mean loss.
    """

    inputs: Callable[[Tensor], Tensor]
    labels: Tensor
    per_step: int
    weight: float = 1.0


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware computes in bf16: elsewhere it is emulated, and slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.backends.mkldnn.is_available() and bool(torch.cpu._is_avx512_bf16_supported())


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """bf16 autocast where the hardware has it, else nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bf16(device))


def augment(images: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Random crops and flips of a whole uint8 batch at once, (N, C, H, W) in and out."""
    count, _, height, width = images.shape
    device = images.device
    if reach := recipe.crop_padding:
        padded = pad(images.float(), (reach,) * 4, mode="reflect").to(images.dtype).permute(0, 2, 3, 1)
        offset = torch.randint(0, 2 * reach + 1, (2, count, 1), generator=rng, device=device)
        rows = offset[0] + torch.arange(height, device=device)
        columns = offset[1] + torch.arange(width, device=device)
        if recipe.flip:
            flipped = torch.rand(count, 1, generator=rng, device=device) < 0.5
            columns = torch.where(flipped, columns.flip(1), columns)
        index = torch.arange(count, device=device)[:, None, None]
        return padded[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if recipe.flip:
        flipped = torch.rand(count, 1, 1, 1, generator=rng, device=device) < 0.5
        return torch.where(flipped, images.flip(3), images)
    return images


def batches(count: int, size: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Endless shuffled index batches of equal size; each epoch drops its remainder."""
    size = min(size, count)
    while True:
        order = torch.randperm(count, generator=rng, device=rng.device)
        yield from order[: count - count % size].split(size)


def _loss(logits: Tensor, labels: Tensor, soft: Tensor | None, recipe: Recipe) -> Tensor:
    if soft is None:
        return cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    tempered = soft.clamp_min(1e-8).log() / recipe.temperature
    target, guess = softmax(tempered, 1), log_softmax(logits / recipe.temperature, 1)
    return kl_div(guess, target, reduction="batchmean") * recipe.temperature**2


def _inputs(
    pixels: Tensor, extra: Extra | None, recipe: Recipe, seed: int
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Endless batches: augmented images with the extra ones behind them, positions of the former, labels of the latter.

    One batch for both, because batch norm must see in training the mixture that its running statistics describe.
    """
    rng = seeded_rng("train", seed, device=pixels.device)
    if extra is None:
        for index in batches(len(pixels), recipe.batch_size, rng):
            yield augment(pixels[index], recipe, rng), index, None
        return
    labels = extra.labels.to(pixels.device)
    supply = batches(len(labels), extra.per_step, seeded_rng("extra", seed, device=pixels.device))
    for index, other in zip(batches(len(pixels), recipe.batch_size, rng), supply, strict=False):
        yield torch.cat([augment(pixels[index], recipe, rng), extra.inputs(other)]), index, labels[other]


def train(
    network: nn.Module,
    images: Images,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    soft_labels: Tensor | None = None,
    teacher: nn.Module | None = None,
    extra: Extra | None = None,
    penalty: Penalty | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> nn.Module:
    """Train a network in place and return it in evaluation mode.

    Args:
        network: freshly initialised.
        images: what it learns from.
        recipe: the hyper-parameters.
        seed: of the batches and augmentations; what `extra` and `penalty` do leaves them as they are.
        device: where; the images are moved there once, as uint8.
        soft_labels: (N, K) probabilities to learn instead of the hard labels.
        teacher: a network to learn from instead of either, as it answers on every augmented image.
        extra: images learned beside them; their mean loss is added with its weight.
        penalty: a term of the parameters added to the loss at every step.
        progress: called with (steps done, steps in all).

    Raises:
        FloatingPointError: the loss became NaN or infinite.
        ValueError: images are to be cut-mixed that others are learned beside.
    """
    if extra is not None and recipe.cutmix:
        raise ValueError("cutmix must be 0 where an attacker's images are learned beside the release")
    network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    pixels, labels = images.pixels.to(device), images.labels.to(device)
    lessons = Lessons(
        labels=labels,
        soft=None if soft_labels is None else soft_labels.to(device, torch.float32),
        answer=None if teacher is None else partial(_logits, teacher.to(device).eval()),
        classes=len(images.classes),
        cutmix=recipe.cutmix,
    )
    mixing = seeded_rng("cutmix", seed, device=device)
    descent = Descent(
        network,
        learning_rate=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        schedule=recipe.schedule,
        steps=recipe.steps,
        ema=recipe.ema,
    )
    for step, (batch, index, more) in zip(range(recipe.steps), _inputs(pixels, extra, recipe, seed), strict=False):
        batch, wanted = lessons.taught(batch, index, mixing)
        with autocast(device), seeded(derive_seed("dropout", derive_seed(seed, step)), device):
            logits = network(batch.to(memory_format=torch.channels_last).float().div_(255)).float()
        loss = _loss(logits[: len(index)], labels[index], wanted, recipe)
        if extra is not None and more is not None:
            loss = loss + extra.weight * cross_entropy(logits[len(index) :], more)
        if penalty is not None:
            loss = loss + penalty(network)
        descent.step(loss)
        if step % 20 == 19 or step + 1 == recipe.steps:
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the training loss is {loss.item()} at step {step + 1} of {recipe.steps}")
            progress(step + 1, recipe.steps)
    descent.settle()
    return network.eval()


@torch.no_grad()
def _logits(network: nn.Module, batch: Tensor) -> Tensor:
    """(N, K) float32 of one batch of bytes, where it lies."""
    with autocast(batch.device):
        return network(batch.to(memory_format=torch.channels_last).float().div_(255)).float()  # type: ignore[no-any-return]


def _answer(network: nn.Module, pixels: Tensor, device: torch.device) -> Tensor:
    """The same on the CPU."""
    return _logits(network, pixels.to(device)).cpu()


def predict(network: nn.Module, pixels: Tensor, *, device: torch.device, chunk: int = 512) -> Tensor:
    """Logits (N, K) as float32 on the CPU of a network in evaluation mode, for uint8 images (N, C, H, W)."""
    network.eval()
    return torch.cat(in_chunks(lambda part: _answer(network, pixels[part], device), len(pixels), chunk))


def penultimate(network: nn.Module, pixels: Tensor, *, device: torch.device, chunk: int = 64) -> Tensor:
    """What a network in evaluation mode feeds its last linear layer, (N, D) on the CPU, for uint8 (N, C, H, W).

    Few at a time: EfficientNet-Lite0 takes half as long for 64 as for 512 images of 96 pixels, which leave the caches.
    """
    last = [layer for layer in network.eval().modules() if isinstance(layer, nn.Linear)][-1]

    def features(part: slice) -> Tensor:
        seen: list[Tensor] = []
        hook = last.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].float().cpu()))
        try:
            _answer(network, pixels[part], device)
        finally:
            hook.remove()
        return torch.cat(seen)

    return torch.cat(in_chunks(features, len(pixels), chunk))
