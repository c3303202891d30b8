"""Class-wise statistics with a guarantee: a private teacher, and one noisy look at the members' moments."""

from dataclasses import dataclass

from torch import Tensor, nn

from leakbench.synth.defense import Resources
from leakbench.synth.defenses.differential_privacy import noisy_class_means
from leakbench.synth.defenses.private_inversion import PrivateInversion
from leakbench.synth.defenses.public_components import PublicStatistics
from leakbench.synth.images import Images
from leakbench.synth.networks.statistics import means_and_variances
from leakbench.synth.ranges import Count, Positive
from leakbench.synth.registry import defenses


@defenses.register("dp-bn-matching")
@dataclass(frozen=True, kw_only=True)
class DPBNMatching(PrivateInversion):
    """The idea of arXiv 2210.03205 with a guarantee for every member.

    Every member's moments at the teacher's normalisation layers, projected to principal components of public images'
    (arXiv 2210.03205 has neither noise nor components), are clipped, summed per class, and released once with Gaussian
    noise; everything after that is computed from what is public. Images of a class all have its statistics.

    Args:
        components: principal components of public images' moments that members' are projected to.
        clip: norm of a projected vector, at most, as a multiple of the public images' median.

    The other parameters are those of `private_inversion.PrivateInversion` and
    `inversion.Inversion`.

    Raises:
        ValueError: a parameter is out of range.
    """

    components: Count = 64
    clip: Positive = 1.0

    def statistics(
        self, network: nn.Module, members: Images, labels: Tensor, noise: float, resources: Resources
    ) -> Tensor:
        """The noisy class means of moments, as means and variances."""
        device = next(network.parameters()).device
        space = PublicStatistics(network, resources.public, self.components, lambda m: m.flatten(1), device)
        means = noisy_class_means(
            space.seen(members),
            members.labels,
            len(members.classes),
            clip=self.clip * space.bound,
            noise=noise,
            randomness=resources.randomness,
        )
        return means_and_variances(space.restored(means).unflatten(1, (2, -1)))[labels]
