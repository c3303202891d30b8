"""Correlated value encoding (Song, Ristenpart and Shmatikov, arXiv 1709.07886, section 4.2)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leakbench.attacks.attack import attacks
from leakbench.attacks.memorization.memorization import Shape, WhiteBoxMemorization, weights
from leakbench.attacks.memorization.payload import carrier, tensor_of
from leakbench.attacks.view import Encoding
from leakbench.synth.images import Images
from leakbench.synth.seeds import seeded_rng

PERIOD = 16
"""Every sixteenth weight carries a value of the header image, which the attacker knows."""
ENOUGH = 16
"""Header values that a tensor must carry for a line of its own."""


def header(count: int) -> Tensor:
    """The first values of the header image: uniform noise of a fixed seed, 0..255."""
    return torch.randint(0, 256, (count,), generator=seeded_rng("correlated-value header")).float()


def taken(values: int) -> int:
    """How many weights it takes to hide so many values, the header's included."""
    return values + -(-values // (PERIOD - 1))


def slots(length: int) -> Tensor:
    """Which of so many weights carry the header."""
    return torch.arange(length) % PERIOD == 0


def interleave(values: Tensor) -> Tensor:
    """A header value before every fifteen values of the images."""
    known = slots(taken(len(values)))
    signal = torch.empty(len(known))
    signal[known], signal[~known] = header(int(known.sum())), values.float()
    return signal


def line(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and intercept of the least-squares line from x to y."""
    spread = x - x.mean()
    slope = (spread * y).sum() / spread.square().sum().clamp_min(1e-20)
    return slope, y.mean() - slope * x.mean()


def read(theta: Tensor, tensors: Tensor) -> Tensor:
    """The images' values in weights, by each tensor's least-squares line through the header values that it carries.

    Args:
        theta: (n,) the weights that carry header and images.
        tensors: (n,) the tensor that each lies in; those with too few header values use the line through all of them.
    """
    known = slots(len(theta))
    truth = header(int(known.sum()))
    slope, intercept = line(theta[known], truth)
    values = slope * theta + intercept
    for tensor in tensors.unique():
        here = tensors == tensor
        if int((here & known).sum()) >= ENOUGH:
            slope, intercept = line(theta[here & known], truth[here[known]])
            values[here] = slope * theta[here] + intercept
    return values[~known]


@attacks.register("correlated-value")
@dataclass(frozen=True, kw_only=True)
class CorrelatedValue(WhiteBoxMemorization):
    """Hide training images in weights that are correlated with their pixels.

    The attacker wrote the training code, which the data owner runs on the release in good faith; a term of its loss,
    -lambda * |r(theta, s)| with Pearson's r, makes the weights a noisy linear function of the pixels. The trained model
    is handed out, and the attacker reads its weights. Success is reading the training images back; privacy leaks if
    what is read resembles the private images more than strangers'.

    Differs from the paper's code, which tells an image from its negative, and its scale, by looking at the truth: here
    every sixteenth weight carries a value of an image that the attacker knows, and each layer is read by the line that
    fits those best (so an unsure layer is read as gray, not as noise).

    Args:
        strength: lambda of the correlation term: larger hides more surely and costs more accuracy.

    Raises:
        ValueError: a negative strength, or more images than fit.
    """

    strength: float = 1.5

    def room(self, network: nn.Module, pixels: int, classes: int) -> int:
        """One value a weight, less the header's."""
        return weights(network) * (PERIOD - 1) // PERIOD // pixels

    def encode(self, network: nn.Module, images: Images) -> Encoding:
        """A reward for correlation."""
        signal = interleave(self.secrets(network, images).flatten()).to(next(network.parameters()).device)
        target = (signal - signal.mean()) / (signal - signal.mean()).norm()

        def penalty(network: nn.Module) -> Tensor:
            theta = carrier(network)[: len(target)]
            theta = theta - theta.mean()
            correlation: Tensor = (theta * target).sum() / theta.norm().clamp_min(1e-12)
            return -self.strength * correlation.abs()

        return Encoding(penalty=penalty)

    def decode(self, network: nn.Module, count: int, shape: Shape) -> tuple[Tensor, dict[str, float]]:
        """By the lines through the header."""
        length = taken(count * math.prod(shape))
        values = read(carrier(network)[:length].detach(), tensor_of(network)[:length])
        return values.round().clamp(0, 255).to(torch.uint8).view(count, *shape), {}
