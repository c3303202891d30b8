"""Statistics drawn from a noisy model of the members' statistics: sampling with a guarantee."""

from dataclasses import dataclass

import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from leakbench.synth.defense import Resources
from leakbench.synth.defenses.differential_privacy import noisy_class_means
from leakbench.synth.defenses.private_inversion import PrivateInversion
from leakbench.synth.images import Images
from leakbench.synth.networks.statistics import LEAST_VARIANCE, from_vectors, image_moments, to_vectors
from leakbench.synth.ranges import Count, Positive
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import seeded_rng


@defenses.register("dp-statistic-sampling")
@dataclass(frozen=True, kw_only=True)
class DPStatisticSampling(PrivateInversion):
    """`statistic-sampling` with a guarantee for every member.

    The teacher is trained by DP-SGD; the directions that statistics are projected to come from public images. Of every
    member's projected vector, clipped, the vector itself and its outer product are summed per class and released once
    with Gaussian noise. Each released image gets statistics of its own, drawn from the Gaussian of this mean and
    covariance.

    Args:
        components: principal components of public images' statistics that members' are projected to.
        clip: norm of a projected vector, at most, as a multiple of the public images' median.
        temperature: of the standard deviations that are drawn from.

    The other parameters are those of `private_inversion.PrivateInversion` and
    `inversion.Inversion`.

    Raises:
        ValueError: a parameter is out of range.
    """

    components: Count = 16
    clip: Positive = 1.0
    temperature: Positive = 1.0

    def statistics(
        self, network: nn.Module, members: Images, labels: Tensor, noise: float, resources: Resources
    ) -> Tensor:
        """A draw for every image from its class's noisy Gaussian, as means and variances."""
        device = next(network.parameters()).device
        known, private = (
            to_vectors(image_moments(network, images.pixels, device=device)) for images in (resources.public, members)
        )
        centre, scale = known.mean(0), known.std(0).clamp_min(LEAST_VARIANCE)
        basis = PCA(n_components=min(self.components, *known.shape), svd_solver="covariance_eigh")
        seen = torch.from_numpy(basis.fit_transform(((known - centre) / scale).numpy()))
        projected = torch.from_numpy(basis.transform(((private - centre) / scale).numpy()))
        drawn = self._drawn(projected, members, seen.norm(dim=1).median().item(), labels, noise, resources)
        restored = torch.from_numpy(basis.inverse_transform(drawn.numpy())) * scale + centre
        return from_vectors(restored)

    def _drawn(
        self, projected: Tensor, members: Images, typical: float, labels: Tensor, noise: float, resources: Resources
    ) -> Tensor:
        """(N, J) from the classes' noisy means and covariances."""
        bound, width = self.clip * typical, projected.shape[1]
        short = projected * (bound / projected.norm(dim=1, keepdim=True).clamp_min(bound)) / bound
        outer = (short[:, :, None] * short[:, None, :]).flatten(1)
        both = torch.cat([short, outer], 1)  # no longer than the root of 2
        means = noisy_class_means(
            both, members.labels, len(members.classes), clip=2**0.5, noise=noise, randomness=resources.randomness
        )
        first, second = means[:, :width], means[:, width:].view(-1, width, width)
        second = (second + second.mT) / 2
        values, directions = torch.linalg.eigh(second - first[:, :, None] * first[:, None, :])
        roots = directions * values.clamp_min(LEAST_VARIANCE).sqrt()[:, None]
        rng = seeded_rng("private statistics", resources.seed)
        normal = torch.randn(len(labels), width, 1, generator=rng, dtype=projected.dtype)
        drawn: Tensor = first[labels] + self.temperature * (roots[labels] @ normal).squeeze(2)
        return bound * drawn
