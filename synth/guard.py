"""The last guard at the door: no private image is published that nobody meant to publish."""

from collections.abc import Iterator

import torch
from torch import Tensor

from leakbench.metrics.described import digest
from leakbench.synth.images import Images


class PrivateImagesReleased(ValueError):
    """A release shows private images, which its defense does not declare."""


def every_way(images: Tensor) -> Iterator[Tensor]:
    """Images in every orientation, each also as a negative, with red and blue exchanged, and both."""
    quarter = [images.rot90(1, (2, 3))] if images.shape[2] == images.shape[3] else []
    for upright in (images, images.rot90(2, (2, 3)), *quarter, *(q.rot90(2, (2, 3)) for q in quarter)):
        for oriented in (upright, upright.flip(3)):
            for colored in (oriented, oriented.flip(1)) if images.shape[1] > 1 else (oriented,):
                yield colored
                yield 255 - colored


class Guard:
    """Knows the members by their hashes, taken before any code of a defense has seen them.

    Images of one color do not count, nor those that public images show too: they are nobody's.

    Args:
        members: the private images.
        public: images of other people that the defense reads, if it does.
    """

    def __init__(self, members: Images, public: Images | None = None) -> None:
        self._private = set(map(digest, members.pixels))
        if public is not None:
            for shown in every_way(public.pixels):
                self._private.difference_update(map(digest, shown))

    def private_among(self, pixels: Tensor) -> Tensor:
        """Positions of the images that are members, byte for byte: as they are, or in any way of `every_way`.

        Args:
            pixels: uint8 (N, C, H, W).
        """
        plain = (pixels.flatten(2).amax(2) == pixels.flatten(2).amin(2)).all(1)
        found = torch.zeros(len(pixels), dtype=torch.bool)
        for shown in every_way(pixels):
            found |= torch.tensor([digest(image) in self._private for image in shown], dtype=torch.bool)
        return (found & ~plain).nonzero().squeeze(1)

    def check(self, released: Images) -> None:
        """Refuse to publish images that are members.

        Raises:
            PrivateImagesReleased: some are.
        """
        found = self.private_among(released.pixels)
        if len(found):
            raise PrivateImagesReleased(
                f"{len(found)} of {len(released)} released images are private ones, byte for byte or turned, so "
                "nothing was written; where parameters leave images as they are, take stronger ones; a defense that "
                "shows private images on purpose says shows_members = True"
            )
