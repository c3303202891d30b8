"""Directions in which other people's images differ alike, so that what sets one person apart is not drowned."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Whitening:
    """From vectors to components that are uncorrelated, and of variance 1, among other people's.

    Args:
        centre: (D,) other people's mean.
        axes: (D, J) to the components.
    """

    centre: Tensor
    axes: Tensor

    @classmethod
    def of(cls, vectors: Tensor, *, ridge: float) -> "Whitening":
        """All directions, by the inverse of a Cholesky factor of the covariance.

        Args:
            vectors: (N, D) of other people.
            ridge: > 0, share of the mean variance that is added to every direction's, so that none is blown up.
        """
        centre, covariance = _moments(vectors)
        variance = covariance.diagonal().mean().clamp_min(1e-12)
        held = covariance + ridge * variance * torch.eye(len(centre), dtype=torch.float64)
        return cls(centre, torch.linalg.inv(torch.linalg.cholesky(held)).T)

    @classmethod
    def leading(cls, vectors: Tensor, components: int) -> "Whitening":
        """The directions in which other people differ most.

        Args:
            vectors: (N, D) of other people.
            components: J; fewer where people, or directions, are fewer.
        """
        centre, covariance = _moments(vectors)
        spread, axes = torch.linalg.eigh(covariance)
        kept = slice(-min(components, len(vectors) - 1, len(spread)), None)
        scale = spread[kept].clamp_min(1e-9 * float(spread[-1])).sqrt().clamp_min(1e-12)
        return cls(centre, axes[:, kept] / scale)

    def __call__(self, vectors: Tensor) -> Tensor:
        """(N, J) float64 components of vectors (N, D)."""
        return (vectors.double() - self.centre) @ self.axes


def _moments(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance, float64."""
    centred = vectors.double() - vectors.double().mean(0)
    return vectors.double().mean(0), centred.T @ centred / max(1, len(vectors) - 1)
