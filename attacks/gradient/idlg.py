"""Improved Deep Leakage from Gradients (Zhao et al., arXiv 2001.02610)."""

from dataclasses import dataclass, replace

from leakbench.attacks.attack import attacks
from leakbench.attacks.gradient.dlg import DLG
from leakbench.attacks.gradient.matching import Parts
from leakbench.attacks.shared_gradients import SharedGradients


@attacks.register("idlg")
@dataclass(frozen=True, kw_only=True)
class IDLG(DLG):
    """Read the labels off the last layer, then search for the images whose gradients equal the shared ones.

    The attacker and success are those of `dlg.DLG`; knowing the label before the search
    makes it easier.

    Differs from the paper: batches of more than one image, by the rule of `labels.infer_labels`.
    """

    def parts(self, shared: SharedGradients) -> Parts:
        """Those of DLG, with labels inferred beforehand."""
        return replace(super().parts(shared), search_labels=False)
