"""What the encodings have in common: how many images, in color or gray, and whether they fit."""

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from leakbench.attacks.attack import Attack
from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.memorization.payload import carriers
from leakbench.attacks.view import Access, Encoding, TrainedModel, View
from leakbench.synth.images import Images
from leakbench.synth.ranges import Count

Shape = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Memorization(Attack):
    """Hide training images in a model while it is trained, and read them back from it.

    An encoding is its own training code: `encode` runs at the data owner's, `decode` at the attacker's, and nothing
    goes from one to the other but the model.

    Args:
        num_images: how many to hide, the first of the training set; fewer if it has fewer.
        gray: hide their luma only, a third of the size.
    """

    num_images: Count = 8
    gray: bool = False

    family = "memorization"
    goal = "images"
    needs = frozenset({Access.TRAINER})
    stores_bits: ClassVar[bool] = False
    """Whether a value's bits are hidden one by one, so that it makes sense to count the wrong ones."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if getattr(self, "strength", 0) < 0:
            raise ValueError(f"strength must be >= 0, got {getattr(self, 'strength', 0)}")

    @abstractmethod
    def room(self, network: nn.Module, pixels: int, classes: int) -> int:
        """How many images of so many values fit into a network with so many classes."""

    @abstractmethod
    def encode(self, network: nn.Module, images: Images) -> Encoding:
        """The malicious training code: see `view.Encoder`."""

    def shape(self, image_shape: Shape) -> Shape:
        """(C, H, W) of a hidden image."""
        return (1, *image_shape[1:]) if self.gray else image_shape

    def capacity(self, network: nn.Module, image_shape: Shape, classes: int) -> int:
        """How many images fit, in color or gray as asked.

        Args:
            network: that is to hold them.
            image_shape: (C, H, W) of a training image.
            classes: K.
        """
        return self.room(network, math.prod(self.shape(image_shape)), classes)

    def describe_capacity(self, network: nn.Module, image_shape: Shape, classes: int) -> str:
        """What fits into a network and how much of it is asked for, in words; arguments as for `capacity`."""
        gray, color = (replace(self, gray=g).capacity(network, image_shape, classes) for g in (True, False))
        size = f"{image_shape[2]}x{image_shape[1]}"
        share = self.num_images / max(1, gray if self.gray else color)
        kind = "gray" if self.gray else "RGB"
        return (
            f"holds {gray} gray or {color} RGB images of {size}; {self.num_images} {kind} asked for, {share:.0%} of it"
        )

    def secrets(self, network: nn.Module, images: Images) -> Tensor:
        """The uint8 images to hide, if they fit.

        Raises:
            ValueError: they do not.
        """
        hidden = images.take(torch.arange(min(self.num_images, len(images))))
        fits = self.capacity(network, tuple(images.pixels.shape[1:]), len(images.classes))  # type: ignore[arg-type]
        if len(hidden) > fits:
            raise ValueError(f"num_images is {self.num_images}, but only {fits} such images fit into this network")
        return (hidden.gray() if self.gray else hidden).pixels.cpu()

    def guess(self, pixels: Tensor, labels: Tensor, **notes: float) -> Reconstructions:
        """Decoded uint8 images as a guess."""
        count = len(pixels)
        return Reconstructions(pixels.float() / 255, labels[:count], torch.arange(count), notes)


@dataclass(frozen=True, kw_only=True)
class WhiteBoxMemorization(Memorization):
    """The attacker reads the weights of the model that is handed out."""

    @abstractmethod
    def decode(self, network: nn.Module, count: int, shape: Shape) -> tuple[Tensor, dict[str, float]]:
        """Read `count` uint8 images of this shape from the weights; and what was noticed on the way."""

    def run(self, view: View, *, seed: int, device: torch.device) -> Reconstructions:
        """Have the model trained, then read its weights."""
        trained: TrainedModel = view.train(self)
        count = min(self.num_images, len(trained.labels))
        pixels, notes = self.decode(trained.network.cpu(), count, self.shape(trained.image_shape))
        return self.guess(pixels, trained.labels, **notes)


def weights(network: nn.Module) -> int:
    """How many parameters can carry a payload."""
    return sum(parameter.numel() for parameter in carriers(network))
