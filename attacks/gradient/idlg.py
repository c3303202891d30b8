"""Improved Deep Leakage from Gradients (Zhao et al., arXiv 2001.02610)."""

from dataclasses import dataclass

from attacks.gradient.matching import GradientMatching, Parts
from attacks.gradient.objectives import euclidean
from attacks.gradient.optimizers import LBFGS
from attacks.registry import attacks
from attacks.view import SharedGradients


@attacks.register("idlg")
@dataclass(frozen=True, kw_only=True)
class IDLG(GradientMatching):
    """Read the labels off the last layer, then search for the images whose gradients equal the shared ones.

    The attacker and success are those of :class:`attacks.gradient.dlg.DLG`; knowing the label before the search
    makes it easier.

    Args:
        history: of L-BFGS.

    Differs from the paper: batches of more than one image, by the rule of :func:`attacks.gradient.labels.infer_labels`.
    """

    give_up: float = 0.5
    history: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.history < 1:
            raise ValueError(f"history must be >= 1, got {self.history}")

    def parts(self, shared: SharedGradients) -> Parts:
        """Squared distance; L-BFGS over images only."""
        return Parts(objective=euclidean, optimizer=lambda unknowns: LBFGS(unknowns, history=self.history), box=False)
