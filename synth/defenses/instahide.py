"""Mixtures with random signs (InstaHide, arXiv 2010.02772), published."""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn.functional import one_hot

from leakbench.synth.defense import Release, Resources, Synthesizer
from leakbench.synth.images import Images
from leakbench.synth.randomness import Randomness
from leakbench.synth.registry import defenses


@defenses.register("instahide")
@dataclass(frozen=True, kw_only=True)
class InstaHide(Synthesizer):
    """Two members and some public images are mixed, and every pixel's sign is flipped at random; no guarantee.

    Images are centred at 0 before (section 3), and their signs published with them: the absolute values give the
    mixture away (arXiv 2011.05315).

    Args:
        mixed: images in a mixture (k), two of them members, the others public (cross-dataset InstaHide).
        largest: upper bound of a weight (c1).

    Raises:
        ValueError: fewer than two images in a mixture, or a bound that no weights meet.
    """

    mixed: Annotated[int, Ge(2)] = 4
    largest: float = 0.65
    publishes_soft_labels = True
    reads_public = True
    relies_on_randomness = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 / self.mixed < self.largest <= 1:
            raise ValueError(f"instahide.largest must be in (1/{self.mixed}, 1], got {self.largest}")

    def release(self, members: Images, resources: Resources) -> Release:
        """A mixture for every member; the source of each is the member of the two that weighs more."""
        random, count, public = resources.randomness, len(members), resources.public
        weights = self._weights(count, random)
        own, other = weights[:, :2].max(1).values, weights[:, :2].min(1).values
        partner = random.uniform(count).argsort()
        centred = members.float() * 2 - 1
        mixture = own.view(-1, 1, 1, 1) * centred + other.view(-1, 1, 1, 1) * centred[partner]
        for share in weights[:, 2:].unbind(1):
            drawn = public.take((random.uniform(count) * len(public)).long())
            mixture += share.view(-1, 1, 1, 1) * (drawn.float() * 2 - 1)
        mixture *= (random.uniform(*mixture.shape) < 0.5).float() * 2 - 1
        pixels = ((mixture + 1) / 2 * 255).round().to(torch.uint8)
        labels = one_hot(members.labels, len(members.classes)).float()
        soft = own[:, None] * labels + other[:, None] * labels[partner]
        images = Images(pixels, members.labels, members.classes)
        return Release(images, soft_labels=soft / soft.sum(1, keepdim=True), sources=torch.arange(count)[:, None])

    def _weights(self, count: int, random: Randomness) -> Tensor:
        """(N, k) uniform over the simplex where none is above the bound, by rejection."""
        kept = torch.empty(0, self.mixed)
        while len(kept) < count:
            drawn = -random.uniform(count, self.mixed).log().float()
            drawn /= drawn.sum(1, keepdim=True)
            kept = torch.cat([kept, drawn[drawn.amax(1) <= self.largest]])
        return kept[:count]
