"""Images as bits, and bits as they hide in weights or labels; what writes has what reads beside it.

Layouts are those of Song, Ristenpart and Shmatikov (arXiv 1709.07886): parameters in their order, pixels channel by
channel and row by row, the most significant bit first.
"""

import struct
import zlib

import numpy as np
import torch
from torch import Tensor, nn

HEADER = struct.Struct(">4sIHHHI")
"""Header of packed images: a mark, how many, channels, height, width, and the checksum (CRC-32) of what follows."""
MARK = b"LEAK"


class Damaged(ValueError):
    """Packed images that are not, or no longer, what was packed."""


def carriers(network: nn.Module) -> list[nn.Parameter]:
    """The tensors that carry a payload: every parameter of more than one dimension, in order."""
    return [parameter for parameter in network.parameters() if parameter.ndim > 1]


def carrier(network: nn.Module) -> Tensor:
    """All of them, flattened, as one vector."""
    return torch.cat([parameter.flatten() for parameter in carriers(network)])


@torch.no_grad()
def overwrite(network: nn.Module, values: Tensor) -> None:
    """Write what :func:`carrier` reads."""
    tensors = carriers(network)
    for tensor, part in zip(tensors, values.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.view(tensor.shape))


def tensor_of(network: nn.Module) -> Tensor:
    """For each carrying parameter the number of the tensor that it lies in."""
    sizes = torch.tensor([parameter.numel() for parameter in carriers(network)])
    return torch.arange(len(sizes)).repeat_interleave(sizes)


def to_bits(pixels: Tensor) -> Tensor:
    """uint8 pixels as uint8 bits, eight each."""
    return torch.from_numpy(np.unpackbits(pixels.contiguous().cpu().numpy().reshape(-1)))


def from_bits(bits: Tensor, shape: tuple[int, ...]) -> Tensor:
    """uint8 bits (8 N C H W) as uint8 pixels (N, C, H, W), where `shape` is (C, H, W)."""
    return torch.from_numpy(np.packbits(bits.cpu().numpy())).view(-1, *shape)


def to_signs(pixels: Tensor) -> Tensor:
    """uint8 pixels as -1 / +1, eight each."""
    return to_bits(pixels).float() * 2 - 1


def from_signs(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The images (N, C, H, W) in the signs of 8 N C H W values; a 0 is no sign, and counts as half a bit."""
    bits = (values.detach().cpu().sign().view(-1, 8) + 1) / 2
    return (bits @ 2.0 ** torch.arange(7, -1, -1)).round().to(torch.uint8).view(-1, *shape)


def pack(pixels: Tensor) -> Tensor:
    """uint8 images (N, C, H, W) as the bits of a header and of themselves."""
    body = pixels.contiguous().cpu().numpy().tobytes()
    packed = HEADER.pack(MARK, *pixels.shape, zlib.crc32(body)) + body
    return to_bits(torch.frombuffer(bytearray(packed), dtype=torch.uint8))


def unpack(bits: Tensor) -> Tensor:
    """The images in bits that begin with what :func:`pack` made.

    Raises:
        Damaged: there is no header, or the checksum of what follows is another.
    """
    packed = np.packbits(bits.cpu().numpy()).tobytes()
    if len(packed) < HEADER.size or not packed.startswith(MARK):
        raise Damaged("there are no packed images here")
    _, count, channels, height, width, checksum = HEADER.unpack_from(packed)
    body = packed[HEADER.size :][: count * channels * height * width]
    if not body or len(body) < count * channels * height * width or zlib.crc32(body) != checksum:
        raise Damaged("the packed images are damaged")
    return torch.frombuffer(bytearray(body), dtype=torch.uint8).view(count, channels, height, width)


def to_low_bits(values: Tensor, bits: Tensor, width: int, skip: int = 0) -> Tensor:
    """float32 values of which `width` bits above the `skip` lowest are replaced by `bits`, as many values as it takes.

    What is skipped is cleared, so that rounding it away does not carry into the payload.

    Raises:
        ValueError: more bits than the values hold.
    """
    if len(bits) > len(values) * width:
        raise ValueError(f"{len(bits)} bits do not fit into {width} bits of each of {len(values)} values")
    filled = torch.nn.functional.pad(bits.int(), (0, -len(bits) % width)).view(-1, width)
    payload = (filled << torch.arange(width - 1, -1, -1)).sum(1, dtype=torch.int32)
    raw = values.detach().cpu().float().clone().view(torch.int32)
    raw[: len(payload)] = (raw[: len(payload)] & ~((1 << (width + skip)) - 1)) | (payload << skip)
    return raw.view(torch.float32)


def from_low_bits(values: Tensor, width: int, skip: int = 0) -> Tensor:
    """All bits that stand there, as uint8."""
    raw = values.detach().cpu().float().contiguous().view(torch.int32)
    return ((raw[:, None] >> torch.arange(skip + width - 1, skip - 1, -1)) & 1).to(torch.uint8).flatten()


def levels(classes: int) -> int:
    """How many pixel levels two labels can tell: their sum goes from 0 to 2 (K - 1); sixteen (4 bits) at most."""
    return min(16, 2 * classes - 1)


def to_labels(pixels: Tensor, classes: int) -> Tensor:
    """uint8 pixels as two labels each, which sum to the pixel's level: p // 2 and p - p // 2."""
    top = levels(classes) - 1
    level = (pixels.flatten().double() * top / 255).round().long()
    return torch.stack([level // 2, level - level // 2], 1).flatten()


def from_labels(labels: Tensor, classes: int, shape: tuple[int, ...]) -> Tensor:
    """The images (N, C, H, W) in labels that come two a pixel; exact up to half a level."""
    top = levels(classes) - 1
    level = labels.view(-1, 2).sum(1).clamp_max(top)
    return (level.double() * 255 / top).round().to(torch.uint8).view(-1, *shape)
