"""Membership by where a release is denser than other people's images are (DOMIAS, arXiv 2302.12580, equation 2)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import gaussian_kde
from sklearn.decomposition import PCA
from torch import Tensor

from leakbench.attacks.attack import attacks
from leakbench.attacks.guess import Scores
from leakbench.attacks.membership.release_attack import ReleaseAttack
from leakbench.attacks.view import View
from leakbench.synth.images import Images
from leakbench.synth.networks.public import public_features
from leakbench.synth.ranges import Count, Positive

Describe = Callable[[Images], NDArray[np.float32]]


@attacks.register("density-ratio")
@dataclass(frozen=True, kw_only=True)
class DensityRatio(ReleaseAttack):
    """Where the release is denser than the population, its generator may have overfitted to a member.

    The attacker holds the published images, images of other people, and candidates. A candidate's score is the
    logarithm of the density of the release at it over that of other people's images, both estimated with Gaussian
    kernels in the leading principal components of the latter. Success is telling members from non-members.

    Args:
        components: principal components.
        bandwidth: of the kernels, as a share of the images' standard deviations.
        space: components of ``pixels``, or of the features of a ``pretrained`` network (`ReleaseAttack`).

    Raises:
        NoDensity: there are too few released or auxiliary images, or they are too alike.

    Differs from the paper: kernel estimates for both densities, as in its experiments on small data, of components
    instead of the representation of an autoencoder.
    """

    components: Count = 16
    bandwidth: Positive = 0.3
    space: Literal["pixels", "pretrained"] = "pixels"

    def run(self, view: View, *, seed: int, device: torch.device) -> Scores:
        """Score every candidate."""
        own = view.auxiliary()
        described = partial(_described, public_features(device) if self.space == "pretrained" else None)
        basis = PCA(n_components=min(self.components, len(own) - 1), whiten=True, random_state=0).fit(described(own))
        candidates, released, others = (
            _transformed(basis, images, described) for images in (view.candidates(), view.release().images, own)
        )
        inside, outside = (self._density(part, candidates) for part in (released, others))
        floor = torch.finfo(torch.float64).min / 4  # no kernel reaches an outlier: it is as unlikely as can be
        return Scores(torch.from_numpy(inside).clamp_min(floor) - torch.from_numpy(outside).clamp_min(floor))

    def _density(self, of: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) logarithms of the density of (J, M) points at (J, N) others."""
        try:
            return np.asarray(gaussian_kde(of, bw_method=self.bandwidth).logpdf(at))
        except (np.linalg.LinAlgError, ValueError) as error:
            raise NoDensity(f"{of.shape[1]} images are too few, or too alike, for {len(of)} components") from error


class NoDensity(ValueError):
    """Images have no density: there are fewer than components, or they lie in fewer dimensions."""


def _transformed(basis: PCA, images: Images, described: Describe) -> NDArray[np.float64]:
    """(J, N) components, computed a part at a time: in double precision all images at once need gigabytes."""
    parts = [basis.transform(described(images.take(part))) for part in torch.arange(len(images)).split(4096)]
    return np.concatenate(parts).T.astype(np.float64)


def _described(features: Callable[[Tensor], Tensor] | None, images: Images) -> NDArray[np.float32]:
    """(N, D) pixels, or what a network feeds its last layer."""
    if features is None:
        return images.float().flatten(1).numpy()
    return features(images.pixels).numpy()
