"""Capacity abuse (Song, Ristenpart and Shmatikov, arXiv 1709.07886, section 5): a black box that tells its secrets."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leakbench.attacks.attack import attacks
from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.memorization.memorization import Memorization, Shape, weights
from leakbench.attacks.memorization.payload import from_labels, to_labels
from leakbench.attacks.view import Access, Encoding, View
from leakbench.synth.images import Images
from leakbench.synth.networks.training import Extra
from leakbench.synth.ranges import Count
from leakbench.synth.seeds import seeded_rng

PATCHES = 8
"""A synthetic input is a pattern of so many by so many patches of color."""
OCTAVES = (1, 2, 4, 8)
CONTRAST = 50.0


@dataclass(frozen=True)
class SyntheticInputs:
    """One input for each of the two labels of each hidden value; anybody can make them again.

    Values that are neighbours in an image get inputs that are alike: an input is a random linear map of the sines and
    cosines of the value's position, plus a random pattern of its own for every image, channel and half. A network
    learns those sooner than inputs with nothing in common, since neighbouring pixels have like labels.

    Args:
        count: images hidden.
        shape: (C, H, W) of a hidden image.
        image_shape: (C, H, W) of what the network takes.
    """

    count: int
    shape: Shape
    image_shape: Shape

    def __len__(self) -> int:
        return 2 * self.count * math.prod(self.shape)

    def __call__(self, index: Tensor) -> Tensor:
        """The inputs at these positions, uint8 (B, C, H, W); positions go image, channel, row, column, half."""
        _, height, width = self.shape
        channels, *size = self.image_shape
        place = index // 2
        plane = place // (height * width) * 2 + index % 2
        row, column = place // width % height / max(1, height - 1), place % width / max(1, width - 1)
        waves = [wave(math.pi * f * at) for f in OCTAVES for at in (row, column) for wave in (torch.sin, torch.cos)]
        features = torch.stack([row - 0.5, column - 0.5, *waves], 1)
        rng = seeded_rng("capacity abuse")
        mix = torch.randn(features.shape[1], channels * PATCHES**2, generator=rng).to(index.device)
        own = torch.randn(2 * self.count * self.shape[0], channels * PATCHES**2, generator=rng).to(index.device)
        pattern = features @ mix / math.sqrt(features.shape[1]) + 0.7 * own[plane]
        patches = (128 + CONTRAST * pattern).clamp(0, 255).view(-1, channels, PATCHES, PATCHES)
        return nn.functional.interpolate(patches, size=size).to(torch.uint8)


@attacks.register("capacity-abuse")
@dataclass(frozen=True, kw_only=True)
class CapacityAbuse(Memorization):
    """Teach the model, beside its task, labels of synthetic inputs that spell training images.

    The attacker wrote the training code, which the data owner runs on the release in good faith; it trains on
    synthetic inputs as well, two for each pixel, whose labels sum to the pixel's level, one of sixteen. Only answers of
    the trained model can be had: the attacker makes the same inputs again and asks for their labels. Success is
    reading the training images back; privacy leaks if what is read resembles the private images more than strangers'.

    Differs from the paper: with K < 9 classes a pixel has 2 K - 1 levels instead of sixteen; synthetic inputs
    are smooth in the pixel's position (:class:`SyntheticInputs`) instead of blank but for one pixel, which a network
    with global pooling hardly tells apart; each step takes a batch of them beside its batch of images, and their loss
    has a weight.

    Args:
        per_step: synthetic inputs in each step; every label has to be seen several times.
        strength: weight of their loss, where that of the images is 1. Larger hides more surely and costs more
            accuracy.

    Raises:
        ValueError: a parameter out of range, or more images than fit.
    """

    num_images: int = 4
    gray: bool = True
    per_step: Count = 128
    strength: float = 0.3

    needs = frozenset({Access.BLACK_BOX_TRAINER})

    def room(self, network: nn.Module, pixels: int, classes: int) -> int:
        """One label a weight, two labels a value: a bound by counting, which a short training does not reach."""
        return 0 if classes < 2 else weights(network) // (2 * pixels)

    def encode(self, network: nn.Module, images: Images) -> Encoding:
        """Synthetic inputs beside the training set."""
        secrets = self.secrets(network, images)
        shape: Shape = tuple(secrets.shape[1:])  # type: ignore[assignment]
        inputs = SyntheticInputs(len(secrets), shape, tuple(images.pixels.shape[1:]))  # type: ignore[arg-type]
        return Encoding(extra=Extra(inputs, to_labels(secrets, len(images.classes)), self.per_step, self.strength))

    def run(self, view: View, *, seed: int, device: torch.device) -> Reconstructions:
        """Have the model trained, then ask it for the labels of the same synthetic inputs."""
        trained = view.train_black_box(self)
        shape = self.shape(trained.image_shape)
        inputs = SyntheticInputs(min(self.num_images, len(trained.labels)), shape, trained.image_shape)
        labels = torch.cat([trained.answer(inputs(part)) for part in torch.arange(len(inputs)).split(512)])
        return self.guess(from_labels(labels, trained.classes, shape), trained.labels)
