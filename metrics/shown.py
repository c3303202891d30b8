"""Pictures in which all or a part of others is shown: turned, cropped, squeezed, stamped, re-encoded, gray.

Local features of both are matched by their nearest neighbours (among many by FAISS), and the matches verified: so many
must agree on one affine map (RANSAC), in place, direction and size, as those of unrelated pictures never do.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from leakbench.metrics.local_features import Bytes, Floats, Points
from leakbench.metrics.neighbours import nearest_few

Box = tuple[float, float, float, float]
AGREE = 9
"""Matches that must agree, at different places. Of 2,500 by 2,500 photographs of CIFAR-10, 17 pairs have as many, and
all of them show the same things, but one (11) that shares a caption alone."""
TOLERANCE = 4.0
"""Pixels of the scaled picture by which a match may miss."""
TURNED, SCALED = 25.0, 1.6
"""Degrees by which a match may be turned, and the factor by which it may be larger, against the map."""
NEIGHBOURS = 3
TRIED = 50
"""Pictures with the most matches that are verified."""
SMALLEST, LARGEST = 0.05, 20.0
"""Area of what a copy shows, as a multiple of the original's, and of its longer stretch over the shorter."""
FLAT = 100_000
"""Features above which neighbours are looked for in cells, of which `PROBES` are opened. Of 100 changed photographs of
32 pixels among 1,000 others, 48 blends of 50 % are found in cells and 48 among all, 90 and 91 of those of 70 %, 16 and
17 pasted at half size, 97 and 97 under noise of 20 (`speed.recall DIR --side 32 --count 100 --among 1000`)."""
PROBES, SHORTLIST, LEARNED_FROM = 48, 16, 16
"""Cells that are opened; nearest few by four bits for two values, times this many, that are compared byte by byte; and
features of which each cell's centre is learned. 97 % of the nearest three are found, of photographs of 32 and of 256
pixels, in three quarters of the time of comparing all that 16 cells hold, which finds 86 %."""
AT_ONCE = 1 << 17
"""Features that are added to the index at a time."""


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
        ours_part: left, top, right and bottom of what is shown, as shares of our picture's frame.
        theirs_part: the same of theirs.
    """

    ours: int
    theirs: int
    agree: int
    scale: float
    angle: float
    mirrored: bool
    ours_part: Box
    theirs_part: Box


class Shown:
    """Pictures in which others are looked for.

    Args:
        points: their local features.
        neighbours: what finds the nearest of them; made of them by default.
        others: features of other pictures that `neighbours` counts before them: nobody is looked for in those.
    """

    def __init__(self, points: Points, neighbours: "_Neighbours | None" = None, others: int = 0) -> None:
        self.points, self.others = points, others
        self.neighbours = _neighbours(points.looks) if neighbours is None else neighbours
        self.owner = np.repeat(np.arange(len(points.frames)), np.diff(points.ends))

    def hiding(self, points: Points) -> "Shown":
        """Other pictures, which lie hidden among these and are looked for as these are.

        Args:
            points: their local features.
        """
        return Shown(points, self.neighbours.beside(points.looks), len(self.points.looks))

    def copies(self, ours: Points) -> list[Match]:
        """The pictures that all or a part of is shown, with the one that agrees best, as they are or mirrored.

        Args:
            ours: local features of the pictures.
        """
        found: dict[int, Match] = {}
        if not len(self.points.looks):
            return []
        for mirrored in (False, True):
            for picture, theirs, pairs in self._candidates(ours, mirrored):
                match = self._verified(ours, picture, theirs, pairs, mirrored)
                if match and (picture not in found or match.agree > found[picture].agree):
                    found[picture] = match
        return list(found.values())

    def _candidates(self, ours: Points, mirrored: bool) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
        """Pictures of ours and of theirs with enough matches, and the matches (M, 2): a feature of each."""
        for start in range(0, len(ours.ends) - 1, 256):
            stop = min(start + 256, len(ours.ends) - 1)
            part = ours.looks[ours.ends[start] : ours.ends[stop]]
            if not len(part):
                continue
            near = self.neighbours.nearest(_mirrored(part) if mirrored else part) - self.others
            for picture in range(start, stop):
                own = near[ours.ends[picture] - ours.ends[start] : ours.ends[picture + 1] - ours.ends[start]]
                for theirs, pairs in self._voted(own):
                    yield picture, theirs, pairs

    def _voted(self, near: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
        """The pictures that most features of one picture are near to, those with enough alone."""
        votes: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for feature, neighbours in enumerate(near):
            # One vote a picture, by what is nearest there: where few pictures are released, three votes for each raised
            # what agrees by chance from 7 to 10.
            nearest = {int(self.owner[neighbour]): int(neighbour) for neighbour in neighbours[::-1] if neighbour >= 0}
            for owner, neighbour in nearest.items():
                votes[owner].append((feature, neighbour - int(self.points.ends[owner])))
        most = sorted(votes, key=lambda owner: -len(votes[owner]))[:TRIED]
        return [(owner, np.array(votes[owner])) for owner in most if len(votes[owner]) >= AGREE]

    def _verified(
        self, ours: Points, picture: int, theirs: int, pairs: NDArray[np.int64], mirrored: bool
    ) -> Match | None:
        """The affine map on which most matches agree, if they are enough and it is one that somebody would make."""
        a = ours.places[ours.ends[picture] :][pairs[:, 0]]
        b = self.points.places[self.points.ends[theirs] :][pairs[:, 1]]
        frames = ours.frames[picture], self.points.frames[theirs]
        a = a * [-1, 1, 1, -1] + [frames[0][0] - 1, 0, 0, 180] if mirrored else a
        a, b = _consistent(a, b)
        if len(a) < AGREE:
            return None
        here, there = (np.ascontiguousarray(places[:, :2]) for places in (a, b))
        map_, inliers = cv2.estimateAffine2D(
            here, there, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE, maxIters=1000
        )
        if map_ is None or not np.isfinite(map_).all():
            return None
        agreeing = (inliers[:, 0] > 0) & _alike(map_, a, b)
        agree = min(len(np.unique(places[agreeing].round(), axis=0)) for places in (here, there))
        linear = map_[:, :2]
        stretches = np.linalg.svd(linear, compute_uv=False)
        area = float(np.linalg.det(linear))
        if agree < AGREE or not SMALLEST <= area <= LARGEST or stretches[0] > LARGEST * stretches[1]:
            return None
        angle = math.degrees(math.atan2(linear[1, 0], linear[0, 0]))
        part = _part(cv2.invertAffineTransform(map_), frames[1], frames[0])
        part = (1 - part[2], part[1], 1 - part[0], part[3]) if mirrored else part
        return Match(picture, theirs, agree, math.sqrt(area), angle, mirrored, part, _part(map_, *frames))


def _consistent(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """The most matches that are turned and scaled alike, among which RANSAC finds the map of a small part too.

    Weak geometric consistency (doi 10.1007/978-3-540-88682-2_24).
    """
    turned = theirs[:, 3] - ours[:, 3]
    larger = np.log(theirs[:, 2] / ours[:, 2])
    apart = np.abs((turned[:, None] - turned + 180) % 360 - 180)
    together = (apart <= TURNED) & (np.abs(larger[:, None] - larger) <= math.log(SCALED))
    most = together[together.sum(1).argmax()]
    return ours[most], theirs[most]


def _alike(map_: NDArray[np.float64], ours: Floats, theirs: Floats) -> NDArray[np.bool_]:
    """Which matches (M, 4) are turned and scaled as the map turns and scales: of chance ones few are."""
    linear = map_[:, :2]
    directions = np.stack([np.cos(np.radians(ours[:, 3])), np.sin(np.radians(ours[:, 3]))], 1) @ linear.T
    off = np.degrees(np.arctan2(directions[:, 1], directions[:, 0])) - theirs[:, 3]
    larger = theirs[:, 2] / (ours[:, 2] * math.sqrt(max(abs(np.linalg.det(linear)), 1e-9)))
    near: NDArray[np.bool_] = (np.abs((off + 180) % 360 - 180) <= TURNED) & (np.abs(np.log(larger)) <= math.log(SCALED))
    return near


def _part(map_: NDArray[np.float64], whole: Floats, within: Floats) -> Box:
    """Where all of a frame comes to lie within another: left, top, right, bottom, as shares of it."""
    corners = np.array([(x * whole[0], y * whole[1], 1) for x in (0, 1) for y in (0, 1)]) @ map_.T
    least, most = np.clip([corners.min(0), corners.max(0)] / within, 0, 1).tolist()
    return least[0], least[1], most[0], most[1]


class _Neighbours(Protocol):
    """Local features whose nearest are found."""

    def nearest(self, queries: Bytes) -> NDArray[np.int64]:
        """Positions (Q, K) of the nearest of each; below 0 where there are fewer."""

    def beside(self, looks: Bytes) -> "_Neighbours":
        """The same features with others behind them."""


class _All:
    """Neighbours among all."""

    def __init__(self, looks: Bytes) -> None:
        self.looks = torch.tensor(looks)

    def nearest(self, queries: Bytes) -> NDArray[np.int64]:
        return np.asarray(nearest_few(torch.tensor(queries), self.looks, NEIGHBOURS).numpy())

    def beside(self, looks: Bytes) -> "_All":
        return _All(np.concatenate([self.looks.numpy(), looks]))


class _InCells:
    """Neighbours among those in the nearest cells."""

    def __init__(self, index: Any) -> None:
        self.index = index

    def nearest(self, queries: Bytes) -> NDArray[np.int64]:
        return np.asarray(self.index.search(queries.astype(np.float32), NEIGHBOURS)[1])

    def beside(self, looks: Bytes) -> "_InCells":
        index = faiss.clone_index(self.index)
        _fill(index, looks)
        return _InCells(index)


def _neighbours(looks: Bytes) -> _Neighbours:
    """The nearest of these: among all, or of many among those in the nearest cells."""
    if len(looks) <= FLAT:
        return _All(looks)
    cells = 4 * math.isqrt(len(looks))
    index = faiss.index_factory(128, f"IVF{cells},PQ64x4fs,Refine(SQ8_direct)")
    index.k_factor, in_cells = SHORTLIST, faiss.extract_index_ivf(index)
    in_cells.cp.min_points_per_centroid, in_cells.nprobe = LEARNED_FROM, PROBES
    index.train(looks[:: max(1, len(looks) // (LEARNED_FROM * cells))].astype(np.float32))
    _fill(index, looks)
    return _InCells(index)


def _fill(index: Any, looks: Bytes) -> None:
    for start in range(0, len(looks), AT_ONCE):
        index.add(looks[start : start + AT_ONCE].astype(np.float32))


def _mirrored(looks: Bytes) -> Bytes:
    """What the same features look like in the mirror: rows of the patch exchanged, directions of gradients reversed."""
    patches = looks.reshape(-1, 4, 4, 8)[:, ::-1]
    return np.ascontiguousarray(patches[..., (-np.arange(8)) % 8]).reshape(-1, 128)
