"""Students that are trained on the members with a guarantee, by DP-SGD."""

from dataclasses import dataclass

from leakbench.synth.defense import Claim, PrivateTrainer
from leakbench.synth.defenses.differential_privacy import PrivateTraining, dp_claim
from leakbench.synth.registry import defenses


@defenses.register("dp-sgd")
@dataclass(frozen=True, kw_only=True)
class DPSGD(PrivateTraining, PrivateTrainer):
    """Nobody gets images: networks are trained on the members by DP-SGD (arXiv 1607.00133) and published instead.

    Of attacks, those on students apply and no others. Batch norm becomes group norm. Several students of the same
    members add up; the claim is that of each.

    The parameters are those of `differential_privacy.PrivateTraining`.
    """

    epsilon: float = 8.0

    @property
    def student_claim(self) -> Claim:
        """The (epsilon, delta) of one student."""
        return dp_claim(self.epsilon, self.delta, "DP-SGD of each student, Opacus's PRV accountant")
