"""The last guard at the door: no private image is published that nobody meant to publish."""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from leakbench.synth.images import Images


class PrivateImagesReleased(ValueError):
    """A release shows private images, which its defense does not declare."""


def digest(image: Tensor) -> bytes:
    """Hash of one uint8 (C, H, W) image's pixels; three equal channels are one."""
    if len(image) == 3 and torch.equal(image[0], image[1]) and torch.equal(image[0], image[2]):
        image = image[:1]
    return hashlib.sha256(repr(tuple(image.shape)).encode() + image.contiguous().numpy().tobytes()).digest()


def turned(images: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Images as they are, mirrored, and after whatever else is done to all pixels alike, with words for it."""
    yield "", images
    yield ", mirrored", images.flip(3)
    yield ", turned by 180 degrees", images.rot90(2, (2, 3))
    yield ", upside down", images.flip(2)
    if images.shape[2] == images.shape[3]:
        yield ", turned left", images.rot90(1, (2, 3))
        yield ", turned right", images.rot90(3, (2, 3))
        yield ", mirrored and turned left", images.flip(3).rot90(1, (2, 3))
        yield ", mirrored and turned right", images.flip(3).rot90(3, (2, 3))
    yield ", as a negative", 255 - images
    yield ", red and blue exchanged", images.flip(1)


def private_among(released: Images, members: Images, public: Images | None) -> Tensor:
    """Positions of the released images that are members, byte by byte: as they are, turned, or otherwise by `turned`.

    Images of one color do not count, nor those that public images show too: they are nobody's.

    Args:
        released: what is to be published.
        members: the private images.
        public: images of other people that the defense read, if it did.
    """
    private = set(map(digest, members.pixels))
    if public is not None:
        for _, shown in turned(public.pixels):
            private.difference_update(map(digest, shown))
    plain = (released.pixels.flatten(2).amax(2) == released.pixels.flatten(2).amin(2)).all(1)
    found = torch.zeros(len(released), dtype=torch.bool)
    for _, shown in turned(released.pixels):
        found |= torch.tensor([digest(image) in private for image in shown], dtype=torch.bool)
    return (found & ~plain).nonzero().squeeze(1)


def check(released: Images, members: Images, public: Images | None) -> None:
    """Refuse to publish images that are members.

    Raises:
        PrivateImagesReleased: some are; see :func:`private_among`.
    """
    found = private_among(released, members, public)
    if len(found):
        raise PrivateImagesReleased(
            f"{len(found)} of {len(released)} released images are private ones, byte for byte or turned, so nothing "
            "was written; a defense that shows private images on purpose says shows_members = True"
        )
