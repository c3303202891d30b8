"""Least significant bits (Song, Ristenpart and Shmatikov, arXiv 1709.07886, section 4.1)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leakbench.attacks.attack import attacks
from leakbench.attacks.memorization.memorization import Shape, WhiteBoxMemorization, weights
from leakbench.attacks.memorization.payload import (
    HEADER,
    Damaged,
    carrier,
    from_bits,
    from_low_bits,
    overwrite,
    pack,
    to_low_bits,
    unpack,
)
from leakbench.attacks.view import Encoding
from leakbench.synth.images import Images


@attacks.register("lsb")
@dataclass(frozen=True, kw_only=True)
class LeastSignificantBits(WhiteBoxMemorization):
    """Overwrite the lowest bits of the trained weights with training images.

    The attacker wrote the training code, which the data owner runs on the release in good faith; its last line
    overwrites the low bits of the weights, which a model does not miss. The model is handed out, and the attacker
    reads them. Success is reading the training images back, bit by bit; privacy leaks if what is read resembles the
    private images more than strangers'.

    Differs from the paper: a header and a checksum instead of compression and encryption, so that what fits is known
    before the training and damage is noticed (the note `payload intact`).

    Args:
        bits: of a float32's mantissa that are overwritten: at 16, a weight changes by less than 1 %.
        skip: lowest bits that are cleared and not used: whoever expects rounding to bfloat16 gives up 16.

    Raises:
        ValueError: a parameter out of range, or more images than fit.
    """

    bits: int = 16
    skip: int = 0

    stores_bits = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits < 1 or self.skip < 0 or self.bits + self.skip > 23:
            raise ValueError(
                f"lsb.bits must be >= 1 and lsb.skip >= 0, together at most 23 (the mantissa of float32), "
                f"got {self.bits} and {self.skip}"
            )

    def room(self, network: nn.Module, pixels: int, classes: int) -> int:
        """`bits` of every weight, less the header."""
        return max(0, weights(network) * self.bits - 8 * HEADER.size) // (8 * pixels)

    def encode(self, network: nn.Module, images: Images) -> Encoding:
        """Overwrite the bits once the network is trained."""
        bits = pack(self.secrets(network, images))
        return Encoding(
            finish=lambda network: overwrite(network, to_low_bits(carrier(network), bits, self.bits, self.skip))
        )

    def decode(self, network: nn.Module, count: int, shape: Shape) -> tuple[Tensor, dict[str, float]]:
        """From where the images ought to stand; the header says whether they are what was hidden."""
        length = 8 * (HEADER.size + count * math.prod(shape))
        bits = from_low_bits(carrier(network)[: -(-length // self.bits)], self.bits, self.skip)
        body = from_bits(bits[8 * HEADER.size : length], shape)
        try:
            intact = torch.equal(unpack(bits), body)
        except Damaged:
            intact = False
        return body, {"payload intact": float(intact)}
