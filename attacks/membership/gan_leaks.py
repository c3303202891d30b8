"""Membership from nothing but a release: GAN-Leaks, full black box (Chen et al., arXiv 1909.03935, section 5.2)."""

from dataclasses import dataclass
from typing import Literal

import torch

from leakbench.attacks.attack import attacks
from leakbench.attacks.guess import Scores
from leakbench.attacks.membership.release_attack import ReleaseAttack, nearest_distances
from leakbench.attacks.view import View
from leakbench.metrics.neighbours import nearest
from leakbench.synth.networks.public import public_features

COPY = 1e-12
"""Stands for the squared distance 0 of an exact copy: no other distance is so small, or so large as its inverse."""


@attacks.register("gan-leaks")
@dataclass(frozen=True, kw_only=True)
class GanLeaks(ReleaseAttack):
    """Whoever lies nearer to a released image than to other people's images may have been a member.

    The attacker holds the published images, images of other people, and candidates, and has no model, no labels and no
    idea how the release was made: it works on any folder. A candidate's score is its Euclidean distance to the nearest
    auxiliary image over that to the nearest released image, in logarithms: the first says how hard the candidate is
    to approximate at all (the paper's calibration, section 5.6). Success is telling members from non-members.

    Differs from the paper: distances are compared on a log scale, so that an exact copy scores highest however hard it
    is to approximate; the reference is the auxiliary images themselves, not what a generator makes of them; there is no
    LPIPS term, but features of a network that has seen public photographs may stand for pixels.

    Args:
        space: ``pixels``, or the features of a ``pretrained`` network (`ReleaseAttack`).
    """

    space: Literal["pixels", "pretrained"] = "pixels"

    def run(self, view: View, *, seed: int, device: torch.device) -> Scores:
        """Score every candidate."""
        shown = [images.pixels for images in (view.candidates(), view.release().images, view.auxiliary())]
        if self.space == "pretrained":
            seen = list(map(public_features(device), shown))
            to_release, to_others = (nearest_distances(seen[0], part).square() for part in seen[1:])
        else:
            to_release, to_others = (nearest(shown[0], part).squared_distance for part in shown[1:])
        return Scores(to_others.double().clamp_min(COPY).log() - to_release.double().clamp_min(COPY).log())
