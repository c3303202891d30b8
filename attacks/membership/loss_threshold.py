"""Membership by the loss of a student (Yeom et al., arXiv 1709.01604, adversary 1)."""

from dataclasses import dataclass

import torch
from torch.nn.functional import log_softmax

from leakbench.attacks.attack import attacks
from leakbench.attacks.guess import Scores
from leakbench.attacks.membership.model_attack import ModelAttack, OfSoftLabels, OfTheTeacher, instead_of_model
from leakbench.attacks.view import Access, View
from leakbench.synth.networks.training import predict


@attacks.register("loss-threshold")
@dataclass(frozen=True, kw_only=True)
class LossThreshold(ModelAttack):
    """Whom the student is sure of may have been a member.

    The attacker holds a student of the release and candidates, and asks the student for each. A candidate's score is
    the logarithm of the probability that the student gives to its label. Success is telling members from non-members;
    at low false positive rates it finds nobody who is not merely easy, and stands here for comparison.
    """

    needs = frozenset({Access.MODEL, Access.CANDIDATES})

    def run(self, view: View, *, seed: int, device: torch.device) -> Scores:
        """Score every candidate."""
        candidates = view.candidates()
        logits = predict(self.attacked(view).network, candidates.pixels, device=device).double()
        return Scores(log_softmax(logits, 1).gather(1, candidates.labels[:, None]).squeeze(1))


@attacks.register("loss-threshold-soft")
@dataclass(frozen=True, kw_only=True)
class LossThresholdSoft(OfSoftLabels, LossThreshold):
    """The same where the student learned the release's soft labels, in which a teacher may remember members."""

    needs = instead_of_model(LossThreshold.needs, Access.SOFT_MODEL)


@attacks.register("loss-threshold-teacher")
@dataclass(frozen=True, kw_only=True)
class LossThresholdTeacher(OfTheTeacher, LossThreshold):
    """The same of the teacher that was published beside the release, and has seen the members themselves."""

    needs = instead_of_model(LossThreshold.needs, Access.TEACHER)
