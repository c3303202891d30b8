"""Improved Deep Leakage from Gradients (Zhao et al., arXiv 2001.02610)."""

from dataclasses import dataclass, replace

from attacks.gradient.dlg import DLG
from attacks.gradient.matching import Parts
from attacks.registry import attacks
from attacks.view import SharedGradients


@attacks.register("idlg")
@dataclass(frozen=True, kw_only=True)
class IDLG(DLG):
    """Read the labels off the last layer, then search for the images whose gradients equal the shared ones.

    The attacker and success are those of :class:`attacks.gradient.dlg.DLG`; knowing the label before the search
    makes it easier.

    Differs from the paper: batches of more than one image, by the rule of :func:`attacks.gradient.labels.infer_labels`.
    """

    def parts(self, shared: SharedGradients) -> Parts:
        """Those of DLG, with labels inferred beforehand."""
        return replace(super().parts(shared), search_labels=False)
