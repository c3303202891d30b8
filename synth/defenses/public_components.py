"""Whitened principal components of public images, in which anybody's are seen: they tell of no member."""

from collections.abc import Callable

import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from leakbench.metrics.chunks import in_chunks
from leakbench.synth.images import Images
from leakbench.synth.networks.statistics import LEAST_VARIANCE, image_moments

PUBLIC = 2000
"""Public images that the components are found on, at most: a large network has 42,000 statistics of each."""
LEAST_SHARE = 1e-8
"""Of the largest component's variance: others hold rounding alone, which whitening would blow up."""
CHUNK = 512
"""Images whose statistics are held together."""


class PublicComponents:
    """Whitened principal components of public vectors.

    Args:
        known: (N, D) of public images.
        components: at most.

    Raises:
        ValueError: all are alike.

    Attributes:
        bound: median norm of the public vectors, as they are seen.
    """

    def __init__(self, known: Tensor, components: int) -> None:
        count = min(components, len(known) - 1, known.shape[1])
        if count < 1 or not (known != known[0]).any():
            raise ValueError("the public images must be two different ones at least: they are the scale of all others")
        solver = "covariance_eigh" if len(known) >= known.shape[1] else "auto"
        plain = PCA(count, svd_solver=solver, random_state=0).fit(known.double().numpy())
        there = plain.explained_variance_ > LEAST_SHARE * plain.explained_variance_[0]
        self._centre = torch.from_numpy(plain.mean_)
        self._scales = torch.from_numpy(plain.explained_variance_[there]).sqrt()
        self._directions = torch.from_numpy(plain.components_[there])
        self.bound = self.seen(known).norm(dim=1).median().item()

    def seen(self, vectors: Tensor) -> Tensor:
        """(N, J) float64 of J components that there are, for anybody's vectors (N, D)."""
        projected: Tensor = (vectors.double() - self._centre) @ (self._directions.T / self._scales)
        return projected

    def restored(self, projected: Tensor) -> Tensor:
        """(N, D) the vectors that are seen so."""
        return (projected * self._scales) @ self._directions + self._centre


class PublicStatistics:
    """Public images' components of statistics, in which anybody's images are seen.

    Args:
        network: with normalisation layers, whose inputs have statistics.
        public: images; two different ones at least.
        components: at most.
        vectors: from moments (N, 2, channels) to vectors (N, D).
        device: where to compute.

    Raises:
        ValueError: all public images are alike.

    Attributes:
        bound: median norm of the public images' projected vectors.
    """

    def __init__(
        self,
        network: nn.Module,
        public: Images,
        components: int,
        vectors: Callable[[Tensor], Tensor],
        device: torch.device,
    ) -> None:
        self._network, self._vectors, self._device = network, vectors, device
        some = torch.linspace(0, len(public) - 1, min(PUBLIC, len(public))).long()
        known = vectors(image_moments(network, public.pixels[some], device=device))
        self._centre, self._scale = known.mean(0), known.std(0).clamp_min(LEAST_VARIANCE)
        self._components = PublicComponents((known - self._centre) / self._scale, components)
        self.bound = self._components.bound

    def seen(self, images: Images) -> Tensor:
        """(N, J) float64 of anybody's images; memory does not grow with their number."""

        def of(part: slice) -> Tensor:
            vectors = self._vectors(image_moments(self._network, images.pixels[part], device=self._device))
            return self._components.seen((vectors - self._centre) / self._scale)

        return torch.cat(in_chunks(of, len(images), CHUNK))

    def restored(self, projected: Tensor) -> Tensor:
        """(N, D) the vectors that are seen so."""
        return self._components.restored(projected) * self._scale + self._centre
