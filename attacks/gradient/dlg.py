"""Deep Leakage from Gradients (Zhu et al., arXiv 1906.08935)."""

from dataclasses import dataclass

from leakbench.attacks.attack import attacks
from leakbench.attacks.gradient.matching import GradientMatching, Parts
from leakbench.attacks.gradient.objectives import euclidean
from leakbench.attacks.gradient.optimizers import LBFGS
from leakbench.attacks.shared_gradients import SharedGradients
from leakbench.synth.ranges import Count


@attacks.register("dlg")
@dataclass(frozen=True, kw_only=True)
class DLG(GradientMatching):
    """Search for the images and labels whose gradients equal the shared ones.

    The attacker is an honest but curious server that holds the model and what each client shared. Success: it sees a
    client's images. Images and label logits start from noise, and L-BFGS minimises the sum of squared differences of
    the gradients, without priors. Made for small smooth networks (LeNet with sigmoids), where it is almost exact.

    Args:
        history: of L-BFGS.

    Differs from the paper: the best iterate by the objective is kept; every client has an L-BFGS of its own, run side
    by side; one iteration here is one evaluation of the gradient (the authors' code: 300 calls of up to 20).
    """

    restarts: int = 4  # from one, 6 of 16 images of `identity` were not identified (docs/results/gradients-jpeg-cpu)
    give_up: float = 0.5
    history: Count = 100

    def parts(self, shared: SharedGradients) -> Parts:
        """Squared distance; L-BFGS over images and label logits, no box, no prior."""
        return Parts(
            objective=euclidean,
            optimizer=lambda unknowns: LBFGS(unknowns, history=self.history),
            box=False,
            search_labels=shared.labels is None,
        )
