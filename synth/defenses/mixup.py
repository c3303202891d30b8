"""Mixed pairs of members (mixup, arXiv 1710.09412), published."""

from dataclasses import dataclass

import torch
from torch.distributions import Beta
from torch.nn.functional import one_hot

from leakbench.synth.defense import Release, Resources, Synthesizer
from leakbench.synth.images import Images
from leakbench.synth.ranges import Positive
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import seeded, seeded_rng


@defenses.register("mixup")
@dataclass(frozen=True, kw_only=True)
class Mixup(Synthesizer):
    """Every released image is a weighted mean of two members, its soft label that of theirs; no guarantee.

    A weight near 1, or a member mixed with itself, leaves the member as it is: so it shows members.

    Args:
        alpha: of the Beta distribution of the weights, > 0; larger mixes more evenly.

    Raises:
        ValueError: alpha is not positive.

    Differs from the paper: the pairs are drawn once and published, instead of at every step of a training that nobody
    sees.
    """

    alpha: Positive = 1.0
    publishes_soft_labels = True
    shows_members = True

    def release(self, members: Images, resources: Resources) -> Release:
        """As many mixtures as there are members; the source of each is the member that weighs more."""
        other = torch.randperm(len(members), generator=seeded_rng("mixup", resources.seed))
        with seeded(resources.seed):  # distributions know only the global generator
            weight = Beta(self.alpha, self.alpha).sample((len(members),))
        weight = torch.maximum(weight, 1 - weight)
        pictures, labels = members.float(), one_hot(members.labels, len(members.classes)).float()
        share = weight[:, None, None, None]
        pixels = ((share * pictures + (1 - share) * pictures[other]) * 255).round().to(torch.uint8)
        soft = weight[:, None] * labels + (1 - weight[:, None]) * labels[other]
        released = Images(pixels, members.labels, members.classes)
        return Release(released, soft_labels=soft, sources=torch.arange(len(members))[:, None])
