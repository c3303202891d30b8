"""Sign encoding (Song, Ristenpart and Shmatikov, arXiv 1709.07886, section 4.3)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from attacks.registry import Attack, attacks
from attacks.view import Access, Reconstructions, View
from synth.types import Images


def to_signs(pixels: Tensor) -> Tensor:
    """uint8 pixels as -1 / +1, eight per byte, most significant bit first."""
    bits = np.unpackbits(pixels.contiguous().numpy().reshape(-1))
    return torch.from_numpy(bits).float() * 2 - 1


def from_signs(values: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Decode the signs of `values` (8 * N * C * H * W of them; 0 counts as a 1 bit) to uint8 images (N, C, H, W)."""
    packed = np.packbits((values >= 0).numpy().astype(np.uint8))
    return torch.from_numpy(packed).view(-1, *shape)


def carrier(network: nn.Module) -> Tensor:
    """The parameters that carry the payload: every tensor of more than one dimension, flattened, in order."""
    return torch.cat([p.flatten() for p in network.parameters() if p.ndim > 1])


def capacity(parameters: int, shape: tuple[int, ...]) -> int:
    """How many images fit: one bit a parameter, eight bits a channel value."""
    return parameters // (8 * int(np.prod(shape)))


@dataclass
class SignEncoder:
    """The malicious training code: a penalty on parameters whose sign disagrees with the payload's bit.

    Args:
        images: how many to hide, from the first of the training set on.
        strength: lambda of the penalty.
    """

    images: int
    strength: float

    def prepare(self, network: nn.Module, images: Images) -> None:
        """Take the first training images as the payload, if they fit."""
        fits = capacity(len(carrier(network)), tuple(images.pixels.shape[1:]))
        if self.images > fits:
            raise ValueError(f"sign.images is {self.images}, but this network holds {fits} images of this size")
        self.signs = to_signs(images.pixels[: self.images].cpu()).to(next(network.parameters()).device)

    def penalty(self, network: nn.Module) -> Tensor:
        """Lambda * mean(|min(0, theta * s)|)."""
        disagreement = (carrier(network)[: len(self.signs)] * self.signs).clamp_max(0).abs()
        return self.strength * disagreement.mean()


@attacks.register("sign")
@dataclass(frozen=True, kw_only=True)
class Sign(Attack):
    """Hide training images in the signs of the weights.

    The attacker wrote the training code, which the data owner runs on the release in good faith; the trained model is
    then handed out, and the attacker reads its weights. Success is reading the training images back; privacy leaks
    if what is read resembles the private images more than strangers'.

    Args:
        images: how many to hide; they must fit (one bit a weight: ResNet-20 holds 10 RGB images of 32x32).
        strength: lambda of the penalty, which over a training of T steps at learning rate r and momentum 0.9 can move
            a weight by about 10 r T lambda / (bits hidden):
            that must exceed the weights' size. Larger hides more surely and costs more accuracy.

    Raises:
        ValueError: more images than the network holds.
    """

    images: int = 8
    strength: float = 200.0

    family = "memorization"
    needs = frozenset({Access.TRAINER})
    goal = "images"

    def __post_init__(self) -> None:
        if self.images < 1:
            raise ValueError(f"sign.images must be >= 1, got {self.images}")

    def run(self, view: View, *, seed: int, device: torch.device) -> Reconstructions:
        """Have the model trained, then read the signs of its weights."""
        trained = view.train(SignEncoder(self.images, self.strength))
        values = carrier(trained.network).detach().cpu()
        length = 8 * self.images * int(np.prod(trained.image_shape))
        decoded = from_signs(values[:length], trained.image_shape)
        return Reconstructions(decoded.float() / 255, trained.labels[: self.images], torch.arange(self.images))
