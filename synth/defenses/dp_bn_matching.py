"""Class-wise statistics with a guarantee: a private teacher, and one noisy look at the members' moments."""

from dataclasses import dataclass

from torch import Tensor, nn

from leakbench.synth.defense import Resources
from leakbench.synth.defenses.differential_privacy import noisy_class_means
from leakbench.synth.defenses.private_inversion import PrivateInversion
from leakbench.synth.images import Images
from leakbench.synth.networks.statistics import image_moments, means_and_variances
from leakbench.synth.ranges import Positive
from leakbench.synth.registry import defenses


@defenses.register("dp-bn-matching")
@dataclass(frozen=True, kw_only=True)
class DPBNMatching(PrivateInversion):
    """The idea of arXiv 2210.03205 with a guarantee for every member.

    The teacher is trained by DP-SGD. Every member's moments at the teacher's group norms, scaled as public images'
    are, are clipped, summed per class, and released once with Gaussian noise; everything after that is computed from
    what is public. Images of a class all have its statistics.

    Args:
        clip: norm of an image's scaled moments, at most, as a multiple of the public images' median.

    The other parameters are those of `private_inversion.PrivateInversion` and
    `inversion.Inversion`.

    Raises:
        ValueError: a parameter is out of range.
    """

    clip: Positive = 1.0

    def statistics(
        self, network: nn.Module, members: Images, labels: Tensor, noise: float, resources: Resources
    ) -> Tensor:
        """The noisy class means of moments, as means and variances."""
        device = next(network.parameters()).device
        known, private = (
            image_moments(network, images.pixels, device=device) for images in (resources.public, members)
        )
        centre, scale = known.mean(0), known.std(0).clamp_min(1e-6)
        bound = self.clip * ((known - centre) / scale).flatten(1).norm(dim=1).median().item()
        vectors = ((private - centre) / scale).flatten(1)
        means = noisy_class_means(
            vectors,
            members.labels,
            len(members.classes),
            clip=bound,
            noise=noise,
            randomness=resources.randomness,
        )
        return means_and_variances(means.view(-1, *centre.shape) * scale + centre)[labels]
