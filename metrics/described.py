"""What pictures are recognised by: hashes, small views, local features; their own size costs no memory."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from leakbench.metrics.fixed_pattern import marked
from leakbench.metrics.local_features import Features, Points, features, gathered, no_features
from leakbench.metrics.shown import Shown

Geometry = Literal["crop", "squeeze"]
GEOMETRIES: tuple[Geometry, ...] = ("crop", "squeeze")
"""How a training makes a picture square: the middle of it, resized; or all of it, squeezed."""
LARGEST_VIEW = 64
"""Pixels a side that pictures are compared at as a whole, at most; their details are compared by local features."""


def to_square(array: NDArray[np.uint8], side: int, geometry: Geometry) -> NDArray[np.uint8]:
    """A picture (H, W, C) as (S, S, C)."""
    if array.shape[:2] == (side, side):
        return array
    image = Image.fromarray(array)
    if geometry == "squeeze":
        return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))
    return np.asarray(ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC))


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
    yield ", turned left", images.rot90(1, (2, 3))
    yield ", turned right", images.rot90(3, (2, 3))
    yield ", mirrored and turned left", images.flip(3).rot90(1, (2, 3))
    yield ", mirrored and turned right", images.flip(3).rot90(3, (2, 3))
    yield ", as a negative", 255 - images
    yield ", red and blue exchanged", images.flip(1)


class One(NamedTuple):
    """One picture: hashes of it in every way of `turned`, square views, and its local features."""

    digests: list[bytes]
    views: dict[Geometry, NDArray[np.uint8]]
    features: Features


def describe(array: NDArray[np.uint8], side: int, geometries: Sequence[Geometry], *, details: bool = True) -> One:
    """What one picture is recognised by.

    Args:
        array: (H, W, 3).
        side: of the views.
        geometries: of the views.
        details: whether by local features as well, which take nine tenths of the time.
    """
    image = torch.from_numpy(np.array(array)).permute(2, 0, 1)
    views = {geometry: to_square(array, side, geometry) for geometry in geometries}
    return One(_digests(image), views, features(image) if details else no_features())


def _digests(image: Tensor) -> list[bytes]:
    return [digest(shown[0]) for _, shown in turned(image[None])]


@dataclass(frozen=True)
class Described:
    """What pictures are recognised by.

    Args:
        digests: of each, in every way of `turned`; as it is first.
        views: uint8 (N, C, S, S), by geometry.
        points: local features.
    """

    digests: list[list[bytes]]
    views: dict[Geometry, Tensor]
    points: Points

    def __len__(self) -> int:
        return len(self.digests)

    def take(self, index: Tensor) -> "Described":
        """The pictures at these positions."""
        views = {geometry: view[index] for geometry, view in self.views.items()}
        return Described([self.digests[i] for i in index.tolist()], views, self.points.take(index.tolist()))

    @cached_property
    def shown(self) -> Shown:
        """What other pictures are looked for in."""
        return Shown(self.points)


def collected(ones: Sequence[One]) -> Described:
    """Pictures that were described one by one."""
    geometries = ones[0].views if ones else {}
    views = {g: torch.from_numpy(np.stack([one.views[g] for one in ones])).permute(0, 3, 1, 2) for g in geometries}
    return Described(
        [one.digests for one in ones],
        {geometry: view.contiguous() for geometry, view in views.items()},
        marked(gathered([one.features for one in ones])),
    )


def described(images: Tensor) -> Described:
    """Images of one size, which are square.

    Args:
        images: uint8 (N, C, S, S).
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # OpenCV lets go of the interpreter
        found = list(pool.map(features, images))
    view = images
    if len(images) and images.shape[-1] > LARGEST_VIEW:
        square = [to_square(image.permute(1, 2, 0).numpy(), LARGEST_VIEW, "crop") for image in images]
        view = torch.from_numpy(np.stack(square)).permute(0, 3, 1, 2).contiguous()
    return Described(list(map(_digests, images)), {"crop": view}, marked(gathered(found)))
