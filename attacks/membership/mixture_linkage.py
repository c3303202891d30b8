"""Linkage of mixtures: who was mixed into a released image, whatever signs its pixels were given."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize, one_hot

from leakbench.attacks.attack import Attack, attacks
from leakbench.attacks.guess import Links, Scores
from leakbench.attacks.membership.whitening import Whitening
from leakbench.attacks.view import Access, View
from leakbench.synth.defense import Release
from leakbench.synth.images import Images
from leakbench.synth.ranges import Count
from leakbench.synth.seeds import seeded_rng

SIDE = 32
"""Squares are averaged to this many pixels a side, where there are more."""
RIDGE = 0.02
"""Of 2,000 CIFAR-10 members behind InstaHide, the source is first of its class for 84 % with 0.02, 80 with 0.3, 70 with
3; with absolute values instead of squares 74, and without whitening 44."""
NEVER = -1e3
"""Link with a candidate of a class that is not in the mixture: in standard deviations, lower than any."""
KNOWN = 10_000
"""Other people's images, at most, that the whitening is measured on."""
CHUNK = 500
"""Released images that are compared with all candidates at once."""


@attacks.register("mixture-linkage")
@dataclass(frozen=True, kw_only=True)
class MixtureLinkage(Attack):
    """Whose squared pixels are in those of a released mixture?

    The attacker holds the published images and their labels, candidates, and images of other people, and runs nothing.
    Pixels are centred at 0 and squared, which undoes every sign (InstaHide's are all that hides its mixtures), and the
    square of a sum of images is the sum of their squares, weighted, plus what averages out. Squares are whitened as
    other people's are, so that no candidate comes first for being bright. A candidate's link with a mixture is the
    cosine of both, where the mixture's labels, soft or hard, allow for the candidate's class; its membership score is
    the best of its links, each in standard deviations of all links of that mixture. Success is ranking a source first
    among the candidates of its class, or telling members from non-members. Works on any release.

    Args:
        links: released images whose candidates are ranked, drawn at random.

    Carlini et al. (arXiv 2011.05315, section 4.1) compare absolute values by a network that they train on pairs; this
    is one matrix product.
    """

    links: Count = 500

    family = "membership"
    needs = frozenset({Access.RELEASE, Access.AUXILIARY, Access.CANDIDATES})
    goal = "members"

    def run(self, view: View, *, seed: int, device: torch.device) -> Scores:
        """Compare every released image with every candidate."""
        release, candidates, own = view.release(), view.candidates(), view.auxiliary()
        known = torch.randperm(len(own), generator=seeded_rng("mixtures", seed))[:KNOWN]
        whitening = Whitening.of(squares(own.pixels[known]), ridge=RIDGE)
        people = directions(candidates.pixels, whitening)
        best = torch.full((len(candidates),), NEVER)
        chosen = torch.randperm(len(release.images), generator=seeded_rng("links", seed))[: self.links].sort().values
        links = torch.zeros(len(chosen), len(candidates))
        for part, found in self._compared(release, candidates, whitening, people):
            best = torch.maximum(best, found.amax(0))
            wanted = (chosen >= part.start) & (chosen < part.stop)
            links[wanted] = found[chosen[wanted] - part.start]
        return Scores(best.double(), Links(chosen, links))

    @staticmethod
    def _compared(
        release: Release, candidates: Images, whitening: Whitening, people: Tensor
    ) -> Iterator[tuple[slice, Tensor]]:
        """Slices of the release, and their (R, N) links in standard deviations; NEVER where labels differ."""
        shares = class_shares(release)
        for start in range(0, len(release.images), CHUNK):
            part = slice(start, min(start + CHUNK, len(release.images)))
            links = directions(release.images.pixels[part], whitening) @ people.T
            links = (links - links.mean(1, keepdim=True)) / links.std(1, keepdim=True).clamp_min(1e-9)
            yield part, links.masked_fill(shares[part][:, candidates.labels] <= 0, NEVER)


def directions(pixels: Tensor, whitening: Whitening) -> Tensor:
    """(N, D) whitened squares, each of length 1."""
    return torch.cat([normalize(whitening(squares(part))).float() for part in pixels.split(CHUNK)])


def squares(pixels: Tensor) -> Tensor:
    """(N, D) squares of uint8 images (N, C, H, W) centred at 0, averaged to at most 32 pixels a side."""
    height, width = (min(SIDE, side) for side in pixels.shape[2:])
    parts = [adaptive_avg_pool2d((part.float() / 127.5 - 1).square(), (height, width)) for part in pixels.split(1000)]
    return torch.cat(parts).flatten(1)


def class_shares(release: Release) -> Tensor:
    """(N, K) how much of each class its labels say is in each released image."""
    if release.soft_labels is not None:
        return release.soft_labels
    return one_hot(release.images.labels, len(release.images.classes)).float()
