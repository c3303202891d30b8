"""Sign encoding (Song, Ristenpart and Shmatikov, arXiv 1709.07886, section 4.3)."""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from leakbench.attacks.attack import attacks
from leakbench.attacks.memorization.memorization import Shape, WhiteBoxMemorization, weights
from leakbench.attacks.memorization.payload import carrier, from_signs, to_signs
from leakbench.attacks.view import Encoding
from leakbench.synth.images import Images


@attacks.register("sign")
@dataclass(frozen=True, kw_only=True)
class Sign(WhiteBoxMemorization):
    """Hide training images in the signs of the weights.

    The attacker wrote the training code, which the data owner runs on the release in good faith; a term of its loss,
    lambda * mean(|min(0, theta * s)|), pushes the weights' signs towards the images' bits. The trained model is
    handed out, and the attacker reads its weights. Success is reading the training images back; privacy leaks if what
    is read resembles the private images more than strangers'.

    Args:
        strength: lambda of the penalty, which over a training of T steps at momentum 0.9 can move
            a weight by about 5 r T lambda / (bits hidden), where r is the peak rate of a recipe that rises to it and
            falls: that must exceed the weights' size. Larger hides more surely and costs more accuracy.

    Raises:
        ValueError: a negative strength, or more images than fit.
    """

    strength: float = 200.0

    stores_bits = True

    def room(self, network: nn.Module, pixels: int, classes: int) -> int:
        """One bit of every weight."""
        return weights(network) // (8 * pixels)

    def encode(self, network: nn.Module, images: Images) -> Encoding:
        """A penalty on weights whose sign disagrees with the payload's bit."""
        signs = to_signs(self.secrets(network, images)).to(next(network.parameters()).device)

        def penalty(network: nn.Module) -> Tensor:
            return self.strength * (carrier(network)[: len(signs)] * signs).clamp_max(0).abs().mean()

        return Encoding(penalty=penalty)

    def decode(self, network: nn.Module, count: int, shape: Shape) -> tuple[Tensor, dict[str, float]]:
        """The signs of as many weights as there are bits; a pruned weight says nothing of its bit."""
        return from_signs(carrier(network)[: 8 * count * math.prod(shape)], shape), {}
