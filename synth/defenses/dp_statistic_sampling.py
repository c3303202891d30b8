"""Statistics drawn from a noisy model of the members' statistics: sampling with a guarantee."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from leakbench.synth.defense import Resources
from leakbench.synth.defenses.differential_privacy import noisy_class_means
from leakbench.synth.defenses.private_inversion import PrivateInversion
from leakbench.synth.defenses.public_components import PublicStatistics
from leakbench.synth.images import Images
from leakbench.synth.networks.statistics import LEAST_VARIANCE, from_vectors, to_vectors
from leakbench.synth.randomness import Randomness
from leakbench.synth.ranges import Count, Positive
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import seeded_rng


@defenses.register("dp-statistic-sampling")
@dataclass(frozen=True, kw_only=True)
class DPStatisticSampling(PrivateInversion):
    """`statistic-sampling` with a guarantee for every member.

    Every member's vector of means and log-variances at the teacher's normalisation layers is projected to principal
    components of public images' and clipped. The vectors are summed per class, their outer products per class or over
    all (arXiv 2210.03205 has neither; sums of both, once, with one Gaussian mechanism, are from SPS, openreview
    VgVeQpagf7, which projects at random and matches Gaussians), and released with Gaussian noise. Each released image
    gets statistics of its own, drawn from the Gaussian of its class's mean and this covariance.

    Args:
        components: principal components of public images' statistics that members' are projected to.
        covariance: whose outer products are summed: of each ``class``, or ``shared`` by all, which has as much less
            noise as there are classes.
        clip: norm of a projected vector, at most, as a multiple of the public images' median.
        temperature: of the standard deviations that are drawn from.

    The other parameters are those of `private_inversion.PrivateInversion` and
    `inversion.Inversion`.

    Raises:
        ValueError: a parameter is out of range.
    """

    components: Count = 16
    covariance: Literal["class", "shared"] = "class"
    clip: Positive = 1.0
    temperature: Positive = 1.0

    def statistics(
        self, network: nn.Module, members: Images, labels: Tensor, noise: float, resources: Resources
    ) -> Tensor:
        """A draw for every image from its class's noisy Gaussian, as means and variances."""
        device = next(network.parameters()).device
        space = PublicStatistics(network, resources.public, self.components, to_vectors, device)
        bound = self.clip * space.bound
        means, covariances = self._gaussians(space.seen(members) / bound, members, noise, resources.randomness)
        values, directions = torch.linalg.eigh(covariances)
        roots = directions * values.clamp_min(LEAST_VARIANCE).sqrt()[:, None]
        rng = seeded_rng("private statistics", resources.seed)
        normal = torch.randn(len(labels), means.shape[1], 1, generator=rng, dtype=means.dtype)
        drawn = means[labels] + self.temperature * (roots[labels] @ normal).squeeze(2)
        return from_vectors(space.restored(bound * drawn))

    def _gaussians(
        self, projected: Tensor, members: Images, noise: float, randomness: Randomness
    ) -> tuple[Tensor, Tensor]:
        """Noisy means (K, J) and covariances (K, J, J) of vectors that are clipped to a norm of 1.

        Two looks with the root of 2 as much noise are one with the noise that is left.
        """
        short = projected / projected.norm(dim=1, keepdim=True).clamp_min(1)
        outer = (short[:, :, None] * short[:, None, :]).flatten(1)
        count, shared = len(members.classes), self.covariance == "shared"
        alike = torch.zeros_like(members.labels) if shared else members.labels
        each = 2**0.5 * noise
        means = noisy_class_means(short, members.labels, count, clip=1.0, noise=each, randomness=randomness)
        second = noisy_class_means(outer, alike, 1 if shared else count, clip=1.0, noise=each, randomness=randomness)
        second = second.view(-1, *2 * (short.shape[1],))
        second = (second + second.mT) / 2
        between = means[:, :, None] * means[:, None, :]
        if shared:  # classes are about as large as each other: sizes would cost a look of their own
            between = between.mean(0, keepdim=True)
        return means, (second - between).expand(count, -1, -1)
