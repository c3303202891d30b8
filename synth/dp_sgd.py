"""Students that are trained on the members with a guarantee, by DP-SGD."""

from dataclasses import dataclass

from synth.differential_privacy import PrivateTraining, promised
from synth.registry import defenses
from synth.types import Defense


@defenses.register("dp-sgd")
@dataclass(frozen=True, kw_only=True)
class DPSGD(PrivateTraining, Defense):
    """Nobody gets images: networks are trained on the members by DP-SGD (arXiv 1607.00133) and published instead.

    What stands as its release are the members themselves, which only whoever trains sees: of attacks, those on students
    apply and no others. Batch norm becomes group norm. Several students of the same members add up; the claim is that
    of each.

    The parameters are those of :class:`synth.differential_privacy.PrivateTraining`.
    """

    epsilon: float = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        claim = promised(self.epsilon, self.delta, "DP-SGD of each student, Opacus's PRV accountant")
        object.__setattr__(self, "claim", claim)
