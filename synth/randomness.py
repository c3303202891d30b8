"""Random numbers behind a guarantee: from the operating system, or from a seed where repeating counts for more."""

import os
from typing import Protocol

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from leakbench.synth.seeds import seeded_rng


class Randomness(Protocol):
    """Where the noise of a mechanism, and the choice of whom it looks at, come from."""

    known: bool
    """Whether somebody else can draw the same numbers: then what rests on them is no guarantee."""

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, float64."""
        ...

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in (0, 1), float64."""
        ...


class SystemRandomness:
    """Numbers from the operating system's generator: nobody can draw them again.

    Normal numbers come by inversion, of 52 random bits and a sign: symmetric, and none is farther out than 8.3 standard
    deviations (beyond lies a probability of 1e-16). Floating point is not hidden (Mironov, CCS 2012).
    """

    known = False

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, float64."""
        bits = _bits(shape)
        tail = ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-53  # in (0, 1/2)
        return torch.from_numpy(np.where(bits & np.uint64(1), ndtri(tail), -ndtri(tail)))

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in (0, 1), float64."""
        return torch.from_numpy(((_bits(shape) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52)


class SeededRandomness:
    """Numbers that follow from names, as everything in a suite does: for experiments.

    Args:
        names: anything with a stable ``str``; order counts.
    """

    known = True

    def __init__(self, *names: object) -> None:
        self._rng = seeded_rng("randomness", *names)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, float64."""
        return torch.randn(shape, generator=self._rng, dtype=torch.float64)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in (0, 1), float64."""
        return torch.rand(shape, generator=self._rng, dtype=torch.float64)


def _bits(shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """64 random bits for each number."""
    return np.frombuffer(os.urandom(8 * int(np.prod(shape, dtype=np.int64))), np.uint64).reshape(shape)
