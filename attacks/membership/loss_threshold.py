"""Membership by the loss of a student (Yeom et al., arXiv 1709.01604, adversary 1)."""

from dataclasses import dataclass

import torch
from torch.nn.functional import log_softmax

from leakbench.attacks.attack import Attack, attacks
from leakbench.attacks.guess import Scores
from leakbench.attacks.view import Access, View
from leakbench.synth.networks.training import predict


@attacks.register("loss-threshold")
@dataclass(frozen=True, kw_only=True)
class LossThreshold(Attack):
    """Whom the student is sure of may have been a member.

    The attacker holds a student of the release and candidates, and asks the student for each. A candidate's score is
    the logarithm of the probability that the student gives to its label. Success is telling members from non-members;
    at low false positive rates it finds nobody who is not merely easy, and stands here for comparison.
    """

    family = "membership"
    needs = frozenset({Access.MODEL, Access.CANDIDATES})
    goal = "members"

    def run(self, view: View, *, seed: int, device: torch.device) -> Scores:
        """Score every candidate."""
        candidates = view.candidates()
        logits = predict(view.model().network, candidates.pixels, device=device).double()
        return Scores(log_softmax(logits, 1).gather(1, candidates.labels[:, None]).squeeze(1))
