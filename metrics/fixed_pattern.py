"""What lies at the same place in pictures of different things: dead pixels, dust, frames, stamps and date lines.

Two pictures by one camera agree on it, and neither is a copy of the other: of blood smears by one microscope a tenth of
the local features are its dead pixels, on which up to 12 agree.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import binom

from leakbench.metrics.local_features import Points

CELL, DIRECTIONS = 4, 12
"""Pixels a side within which features lie at the same place, and directions that are told apart."""
LEAST = 2
"""Other pictures that have a feature of the fixed pattern, at least."""
CHANCE = 1e-4
"""Share of places at which as many would have a feature if features lay anywhere."""
TWIN = 1 / 3
"""Share of its features above which a picture is another one of the same thing, which says nothing about a pattern."""
POPULATION = 500
"""Pictures that tell what the pattern is, at most: evenly spaced ones."""
AT_ONCE = 256


def marked(points: Points) -> Points:
    """The local features of pictures, with those of the fixed pattern marked.

    Args:
        points: local features of pictures that were taken alike: all private ones, or all of a holdout. With fewer than
            three, nothing is told.
    """
    if not len(points.places):
        return points
    # What a border between cells divides lies within one of the others.
    return replace(points, fixed=_recurring(points, 0.0) | _recurring(points, 0.5))


def _recurring(points: Points, offset: float) -> NDArray[np.bool_]:
    """(F,) which features lie where more pictures of other things have one than would by chance."""
    count = len(points.frames)
    owner = np.repeat(np.arange(count), np.diff(points.ends))
    x, y, turned = np.floor(points.places[:, [0, 1, 3]].T / [[CELL], [CELL], [360 / DIRECTIONS]] + offset).astype(int)
    place = np.unique((y << 32) + (x << 8) + turned % DIRECTIONS, return_inverse=True)[1]
    shape = (count, int(place.max()) + 1)
    has = csr_array((np.ones(len(place), dtype=np.int32), (owner, place)), shape=shape)
    has.data[:] = 1
    population = has[np.linspace(0, count - 1, min(count, POPULATION)).astype(int)]
    others = np.zeros(len(place), dtype=int)
    for start in range(0, count, AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        within = slice(points.ends[rows][0], points.ends[min(start + AT_ONCE, count)])
        others[within] = _others(has[rows], population)[owner[within] - start, place[within]]
    cells = points.frames.prod(1) / CELL**2 * DIRECTIONS
    chance = len(place) / count / cells
    needed: NDArray[np.bool_] = others >= np.maximum(LEAST, binom.isf(CHANCE, population.shape[0], chance) + 1)[owner]
    return needed


def _others(part: csr_array, population: csr_array) -> csr_array:
    """How many of the population (P, places) that show other things have a feature where each (N, places) has."""
    shared = part @ population.T
    shared.data = shared.data > TWIN * np.repeat(part.sum(1), np.diff(shared.indptr))
    return part.multiply(population.sum(0)).tocsr() - part.multiply(shared.astype(int) @ population)
