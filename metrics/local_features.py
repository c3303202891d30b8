"""Local features of pictures: what lies where, whatever was done to the rest.

SIFT by OpenCV, root-normalised (doi 10.1109/CVPR.2012.6248018). `metrics.shown` looks for pictures by them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
SIDE = 128
"""Pixels a side that smaller pictures are scaled up to: SIFT finds little in 32."""
LONGEST = 512
"""Pixels that larger ones are scaled down to on their longer side."""
SCALE = 512
"""Of bytes that hold root-normalised features: no value of theirs is much above a half."""
POINTS, MOST_POINTS = 200, 800
"""Features of a picture of `SIDE` by `SIDE` pixels, at most, in proportion of larger ones; and of any."""
CONTRAST = 0.005
"""Of features, far below the usual 0.04, for soft and dim pictures; at 0.002 the steps of rounding are some."""


class Features(NamedTuple):
    """Local features of one picture: where (x, y, size, degrees), what they look like, and the frame they lie in."""

    places: Floats
    looks: Bytes
    frame: tuple[int, int]


@dataclass(frozen=True)
class Points:
    """Local features of pictures; those of a picture lie between two of `ends`.

    Args:
        places: (F, 4) x and y in pixels of the frame, size in pixels, and direction in degrees from x to y.
        looks: (F, 128), root-normalised, of which `SCALE` is 1.
        ends: (N + 1,).
        frames: (N, 2) width and height of what features were looked for in.
        fixed: (F,) which lie where many of the pictures have one: see `fixed_pattern`.
    """

    places: Floats
    looks: Bytes
    ends: NDArray[np.int64]
    frames: Floats
    fixed: NDArray[np.bool_]

    def take(self, chosen: Sequence[int]) -> "Points":
        """Those of the pictures at these positions."""
        none = np.zeros(0, dtype=int)
        kept = np.concatenate([none, *(np.arange(self.ends[i], self.ends[i + 1]) for i in chosen)])
        ends = np.cumsum([0, *(self.ends[i + 1] - self.ends[i] for i in chosen)])
        return Points(self.places[kept], self.looks[kept], ends, self.frames[list(chosen)], self.fixed[kept])

    def of(self, chosen: Sequence[int]) -> "Points":
        """Those of the pictures at these positions; the others are there, and have none."""
        kept = np.repeat(np.isin(np.arange(len(self.frames)), chosen), np.diff(self.ends))
        return self._kept(kept)

    @property
    def distinctive(self) -> "Points":
        """Those that are not of the fixed pattern."""
        return self._kept(~self.fixed)

    def _kept(self, kept: NDArray[np.bool_]) -> "Points":
        ends = np.concatenate([[0], np.cumsum(kept)])[self.ends]
        return Points(self.places[kept], self.looks[kept], ends, self.frames, self.fixed[kept])


def gathered(found: Sequence[Features]) -> Points:
    """Local features of several pictures."""
    places, looks, frames = zip(no_features(), *found, strict=True)
    ends = np.cumsum([len(where) for where in places])
    frame = np.array(frames[1:], np.float32).reshape(-1, 2)
    return Points(np.concatenate(places), np.concatenate(looks), ends, frame, np.zeros(ends[-1], dtype=bool))


def no_features(frame: tuple[int, int] = (1, 1)) -> Features:
    """Of a picture in which there is nothing to see, or where nobody looked."""
    return Features(np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8), frame)


def features(image: Tensor) -> Features:
    """Local features of one picture, scaled to where its details are as large as those of others.

    Args:
        image: uint8 (C, H, W).
    """
    gray = image.float().mean(0).round().byte().numpy()
    factor = min(max(1.0, SIDE / min(gray.shape)), LONGEST / max(gray.shape))
    if factor != 1:
        how = cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA
        gray = cv2.resize(gray, None, fx=factor, fy=factor, interpolation=how)
    count = min(POINTS * gray.size // SIDE**2, MOST_POINTS)
    detector = cv2.SIFT_create(nfeatures=count, contrastThreshold=CONTRAST)
    keys, looks = detector.detectAndCompute(gray, None)
    frame = (gray.shape[1], gray.shape[0])
    if looks is None:
        return no_features(frame)
    rooted = np.sqrt(looks / np.maximum(looks.sum(1, keepdims=True), 1e-9)) * SCALE
    places = np.array([(*key.pt, key.size, key.angle) for key in keys], np.float32)
    return Features(places, rooted.round().clip(0, 255).astype(np.uint8), frame)
