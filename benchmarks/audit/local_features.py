"""Copies of a picture or a part of it, whatever was done: turned, cropped, squeezed, stamped, re-encoded, gray.

Local features of both pictures (SIFT by OpenCV, root-normalised: doi 10.1109/CVPR.2012.6248018) are matched by their
nearest neighbours (FAISS), and the matches verified: so many must agree on one affine map (RANSAC) as those of
unrelated pictures never do.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]
SIDE = 128
"""Pixels a side that smaller pictures are scaled up to: SIFT finds little in 32."""
POINTS = 150
"""Features of a picture, at most."""
CONTRAST = 0.02
"""Below SIFT's usual threshold of 0.04: small pictures that were scaled up are soft."""
AGREE = 9
"""Matches that must agree, at different places: of 200 by 200 unrelated photographs of CIFAR-10 the most was 6."""
TOLERANCE = 4.0
"""Pixels of the scaled picture by which a match may miss."""
NEIGHBOURS = 3
TRIED = 5
"""Pictures with the most matches that are verified."""
SMALLEST, LARGEST = 0.1, 10.0
"""Area of what a copy shows, as a multiple of the original's, and of its longer stretch over the shorter."""
FLAT = 200_000
"""Features above which neighbours are looked for in cells, of which `PROBES` are opened."""
PROBES = 16
AT_ONCE = 4096
"""Pictures whose features are in memory while they are looked for."""


@dataclass(frozen=True)
class Match:
    """A picture and another that shows all or a part of it.

    Args:
        ours: position.
        theirs: position.
        agree: matches that agree on the map.
        scale: by which ours was made larger.
        angle: by which it was turned, in degrees.
        mirrored: whether it was mirrored first.
    """

    ours: int
    theirs: int
    agree: int
    scale: float
    angle: float
    mirrored: bool


@dataclass(frozen=True)
class Points:
    """Local features of pictures: where, and what they look like; those of a picture lie between two of `ends`."""

    places: Floats
    looks: Floats
    ends: NDArray[np.int64]


def points(images: Tensor) -> Points:
    """Local features of pictures.

    Args:
        images: uint8 (N, C, H, W).
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # OpenCV lets go of the interpreter
        found = list(pool.map(_points, images))
    places = np.concatenate([places for places, _ in found]) if found else np.zeros((0, 2), np.float32)
    looks = np.concatenate([looks for _, looks in found]) if found else np.zeros((0, 128), np.float32)
    return Points(places, looks, np.cumsum([0, *(len(where) for where, _ in found)]))


def _points(image: Tensor) -> tuple[Floats, Floats]:
    gray = image.float().mean(0).round().byte().numpy()
    factor = SIDE / min(gray.shape)
    if factor > 1:
        gray = cv2.resize(gray, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    detector = cv2.SIFT_create(nfeatures=POINTS, contrastThreshold=CONTRAST)
    keys, looks = detector.detectAndCompute(gray, None)
    if looks is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    rooted = np.sqrt(looks / np.maximum(looks.sum(1, keepdims=True), 1e-9)).astype(np.float32)
    return np.array([key.pt for key in keys], np.float32), rooted


class Shown:
    """Pictures in which others are looked for."""

    def __init__(self, images: Tensor) -> None:
        found = points(images)
        self.places, self.ends, self.index = found.places, found.ends, _index(found.looks)
        self.owner = np.repeat(np.arange(len(images)), np.diff(found.ends))

    def copies(self, images: Tensor) -> list[Match]:
        """The pictures that all or a part of is shown, with the one that agrees best, as they are or mirrored.

        Args:
            images: uint8 (N, C, H, W).
        """
        found: dict[int, Match] = {}
        if not self.index.ntotal:
            return []
        for start in range(0, len(images), AT_ONCE):
            ours = points(images[start : start + AT_ONCE])
            for mirrored, looks in ((False, ours.looks), (True, _mirrored(ours.looks))):
                for picture, theirs, pairs in self._candidates(ours, looks):
                    here = ours.places[ours.ends[picture] :][pairs[:, 0]]
                    there = self.places[self.ends[theirs] :][pairs[:, 1]]
                    match = _verified(start + picture, theirs, here, there, mirrored)
                    if match and (match.ours not in found or match.agree > found[match.ours].agree):
                        found[match.ours] = match
        return list(found.values())

    def _candidates(self, ours: Points, looks: Floats) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
        """Pictures of ours and of theirs with enough matches, and the matches (M, 2): a feature of each."""
        for start in range(0, len(ours.ends) - 1, 256):
            stop = min(start + 256, len(ours.ends) - 1)
            part = looks[ours.ends[start] : ours.ends[stop]]
            if not len(part):
                continue
            _, near = self.index.search(part, min(NEIGHBOURS, self.index.ntotal))
            for picture in range(start, stop):
                own = near[ours.ends[picture] - ours.ends[start] : ours.ends[picture + 1] - ours.ends[start]]
                for theirs, pairs in self._voted(own):
                    yield picture, theirs, pairs

    def _voted(self, near: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
        """The pictures that most features of one picture are near to, those with enough alone."""
        votes: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for feature, neighbours in enumerate(near):
            for neighbour in neighbours[neighbours >= 0]:
                owner = int(self.owner[neighbour])
                votes[owner].append((feature, int(neighbour - self.ends[owner])))
        most = sorted(votes, key=lambda owner: -len(votes[owner]))[:TRIED]
        return [(owner, np.array(votes[owner])) for owner in most if len(votes[owner]) >= AGREE]


def _index(looks: Floats) -> Any:
    """What finds the nearest of these: all of them, or of many those in the nearest cells, a byte for each value."""
    if len(looks) <= FLAT:
        index = faiss.IndexFlatL2(128)
    else:
        cells = 4 * math.isqrt(len(looks))
        index = faiss.index_factory(128, f"IVF{cells},SQ8")
        index.train(looks[:: max(1, len(looks) // (50 * cells))])
        index.nprobe = PROBES
    if len(looks):
        index.add(looks)
    return index


def _mirrored(looks: Floats) -> Floats:
    """What the same features look like in the mirror: rows of the patch exchanged, directions of gradients reversed."""
    patches = looks.reshape(-1, 4, 4, 8)[:, ::-1]
    return np.ascontiguousarray(patches[..., (-np.arange(8)) % 8]).reshape(-1, 128)


def _verified(ours: int, theirs: int, a: Floats, b: Floats, mirrored: bool) -> Match | None:
    """The affine map on which most matches agree, if they are enough and it is one that somebody would make."""
    a = a * np.array([-1 if mirrored else 1, 1], np.float32)
    map_, inliers = cv2.estimateAffine2D(a, b, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE, maxIters=1000)
    if map_ is None:
        return None
    agreeing = inliers[:, 0] > 0
    agree = min(len(np.unique(places[agreeing].round(), axis=0)) for places in (a, b))
    linear = map_[:, :2]
    stretches = np.linalg.svd(linear, compute_uv=False)
    area = float(np.linalg.det(linear))
    if agree < AGREE or not SMALLEST <= area <= LARGEST or stretches[0] > LARGEST * stretches[1]:
        return None
    angle = math.degrees(math.atan2(linear[1, 0], linear[0, 0]))
    return Match(ours, theirs, agree, math.sqrt(area), angle, mirrored)
