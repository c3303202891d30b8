"""Dataset condensation by matching distributions of features (Zhao and Bilen, arXiv 2110.04181)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from leakbench.synth.defense import Release, Resources, Synthesizer
from leakbench.synth.images import Images, round_robin_by_class
from leakbench.synth.networks.architectures import MEAN, STD, build
from leakbench.synth.networks.compilation import forward
from leakbench.synth.networks.training import autocast
from leakbench.synth.ranges import Count, Positive
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import derive_seed, seeded_rng

REACH = 4
"""Pixels of random shift."""


@defenses.register("distribution-matching")
@dataclass(frozen=True, kw_only=True)
class DistributionMatching(Synthesizer):
    """A few images per class, optimised until freshly initialised networks see the class's mean in them; no guarantee.

    At every step a new random ConvNet-3 embeds real images and the synthetic ones, both augmented alike; the squared
    distance between the classes' mean embeddings descends (equation 4).

    Args:
        images_per_class: synthetic images of each class.
        start: ``members``: each begins as a member, as in the paper, whom it may keep resembling. ``noise``: Gaussian.
        steps: each with a network of its own.
        real_batch: members of each class a step.
        learning_rate: of SGD in normalised units, momentum 0.5.

    Raises:
        ValueError: a parameter is out of range.

    Differs from the paper: fewer steps by default (20,000 there); of its augmentations flip, shift and brightness.
    """

    images_per_class: Count = 10
    start: Literal["members", "noise"] = "members"
    steps: Count = 1000
    real_batch: Count = 64
    learning_rate: Positive = 1.0

    @property
    def shows_members(self) -> bool:  # type: ignore[override]
        """Whether images begin as members, whom they may keep resembling."""
        return self.start == "members"

    def release(self, members: Images, resources: Resources) -> Release:
        """Start from members or noise, and descend."""
        seed, device = resources.seed, resources.device
        rng = seeded_rng("distribution-matching", seed)
        present = members.labels.unique()
        order = round_robin_by_class(members.labels, rng)
        parts = [order[members.labels[order] == label] for label in present]
        # A class with too few members starts with some of them twice.
        first = torch.cat([part[torch.arange(self.images_per_class) % len(part)] for part in parts])
        start = normalised(members.pixels[first])
        if self.start == "noise":
            start = torch.randn(start.shape, generator=rng)
        x = start.to(device).requires_grad_()
        optimizer = torch.optim.SGD([x], lr=self.learning_rate, momentum=0.5)
        embed = forward(device, self.steps * self.real_batch * len(present), members.side)
        for step in range(self.steps):
            drawn = [part[torch.randint(len(part), (self.real_batch,), generator=rng)] for part in parts]
            real = normalised(members.pixels[torch.cat(drawn)]).to(device)
            network = embedding(members, seed=derive_seed("network", seed, step)).to(device)
            (x.grad,) = torch.autograd.grad(self._distance(partial(embed, network), real, x, len(present), rng), x)
            optimizer.step()
        pixels = ((x.detach() * STD + MEAN).clamp(0, 1) * 255).round().to(torch.uint8).cpu()
        images = Images(pixels, present.repeat_interleave(self.images_per_class), members.classes)
        return Release(images, sources=first[:, None] if self.start == "members" else None)

    def _distance(
        self, embed: Callable[[Tensor], Tensor], real: Tensor, made: Tensor, classes: int, rng: torch.Generator
    ) -> Tensor:
        """Sum over classes of the squared distance between mean embeddings."""
        both = augmented(torch.cat([real, made]), rng).expand(-1, 3, -1, -1)
        with autocast(both.device):
            with torch.no_grad():
                wanted = embed(both[: len(real)]).float().unflatten(0, (classes, -1)).mean(1)
            found = embed(both[len(real) :]).float().unflatten(0, (classes, -1)).mean(1)
        distance: Tensor = (found - wanted).square().sum()
        return distance


def normalised(pixels: Tensor) -> Tensor:
    """uint8 images as networks see them behind their normalisation."""
    return (pixels.float() / 255 - MEAN) / STD


def embedding(images: Images, *, seed: int) -> nn.Module:
    """A freshly initialised ConvNet-3 without normalisation and without its last layer."""
    network = build("convnet3", classes=len(images.classes), side=images.side, seed=seed)
    layers = list(network.children())[1].children()
    return nn.Sequential(*list(layers)[:-1]).requires_grad_(False)


def augmented(images: Tensor, rng: torch.Generator) -> Tensor:
    """All images by one draw (siamese augmentation, arXiv 2102.08259): flip, shift, brightness."""
    height, width = images.shape[2:]
    if torch.rand((), generator=rng) < 0.5:
        images = images.flip(3)
    down, right = torch.randint(0, 2 * REACH + 1, (2,), generator=rng).tolist()
    images = pad(images, (REACH,) * 4)[:, :, down : down + height, right : right + width]
    return images + torch.rand((), generator=rng).item() - 0.5
