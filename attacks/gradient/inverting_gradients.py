"""Inverting Gradients (Geiping et al., arXiv 2003.14053)."""

from dataclasses import dataclass

from leakbench.attacks.attack import attacks
from leakbench.attacks.gradient.matching import GradientMatching, Parts
from leakbench.attacks.gradient.objectives import cosine
from leakbench.attacks.gradient.optimizers import Adam, step_decay
from leakbench.attacks.gradient.priors import total_variation
from leakbench.attacks.shared_gradients import SharedGradients


@attacks.register("inverting-gradients")
@dataclass(frozen=True, kw_only=True)
class InvertingGradients(GradientMatching):
    """Search for the images whose update points in the direction of the shared one.

    The attacker is the server of a federation: honest, curious, and in possession of the model it sent out and of
    what every client sent back after training on released images. It succeeds if it sees a client's images; privacy
    leaks if those are, or resemble, private ones more than they resemble strangers'.

    Labels are inferred from the last layer. Images start from noise and follow the sign of the gradient of
    1 - cosine(shared, own) + TV with Adam, kept within the pixel range; the step drops tenfold after 3/8, 5/8 and 7/8
    of the iterations.

    Args:
        learning_rate: Adam's, in normalised units.
        tv_weight: of the total variation.

    Differs from the paper: 400 iterations instead of 24,000; best iterate instead of the last; restarts clearly
    behind are given up.
    """

    learning_rate: float = 0.1
    tv_weight: float = 0.01

    def parts(self, shared: SharedGradients) -> Parts:
        """Cosine and total variation; signed Adam with step decay."""
        schedule = step_decay(self.iterations)
        return Parts(
            objective=cosine,
            optimizer=lambda unknowns: Adam(unknowns, self.learning_rate, schedule, signed=True),
            priors=lambda clients: [(self.tv_weight, total_variation)],
        )
