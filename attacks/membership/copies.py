"""Membership by copies: candidates that the release shows, whole or in part, whatever was done to them."""

from dataclasses import dataclass

import torch

from leakbench.attacks.attack import Attack, attacks
from leakbench.attacks.guess import Scores
from leakbench.attacks.view import Access, View
from leakbench.metrics.copies import find_copies
from leakbench.metrics.described import described


@attacks.register("copies")
@dataclass(frozen=True, kw_only=True)
class Copies(Attack):
    """Whoever is shown by a released image, cropped, turned, stamped or re-encoded, was a member.

    The attacker holds the published images and candidates, and looks for each candidate as `audit` looks for private
    pictures: by hash, in pixels, in frequencies, and by local features that agree on one affine map. A candidate's
    score is how sure the best copy of it is: 2 for an exact one, 0 where there is none. Success is telling members from
    non-members; where few are copied, what shows it is how many of them come before every other.
    """

    family = "membership"
    needs = frozenset({Access.RELEASE, Access.CANDIDATES})
    goal = "members"

    def run(self, view: View, *, seed: int, device: torch.device) -> Scores:
        """Score every candidate."""
        candidates = described(view.candidates().pixels)
        found = find_copies(candidates, described(view.release().images.pixels))
        scores = torch.zeros(len(candidates), dtype=torch.float64)
        for copy in found:
            scores[copy.private] = copy.sure
        return Scores(scores, notes={"copies": float(len(found))})
