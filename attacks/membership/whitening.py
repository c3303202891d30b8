"""Directions in which other people's images differ alike, so that what sets one person apart is not drowned."""

from dataclasses import dataclass

import torch
from sklearn.decomposition import PCA
from torch import Tensor

NOTHING = 1e-9
"""Variance, as a share of the largest, that is rounding alone."""


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
        centre, covariance = vectors.double().mean(0), torch.cov(vectors.double().T)
        variance = covariance.diagonal().mean().clamp_min(1e-12)
        held = covariance + ridge * variance * torch.eye(len(centre), dtype=torch.float64)
        return cls(centre, torch.linalg.inv(torch.linalg.cholesky(held)).T)

    @classmethod
    def leading(cls, vectors: Tensor, components: int) -> "Whitening":
        """The directions in which other people differ most.

        Args:
            vectors: (N, D) of other people.
            components: J, in the order of how much people differ in them; fewer where they differ in fewer.
        """
        solver = "covariance_eigh" if len(vectors) > vectors.shape[1] else "full"  # no covariance of 40,000 statistics
        fitted = PCA(min(components, *vectors.shape), svd_solver=solver).fit(vectors.double().numpy())
        variance, axes = (torch.from_numpy(found) for found in (fitted.explained_variance_, fitted.components_))
        kept = variance > NOTHING * variance[0]
        return cls(torch.from_numpy(fitted.mean_), axes[kept].T / variance[kept].sqrt())

    def __call__(self, vectors: Tensor) -> Tensor:
        """(N, J) float64 components of vectors (N, D)."""
        return (vectors.double() - self.centre) @ self.axes
