"""GradInversion (Yin et al., See through Gradients, arXiv 2104.07586)."""

from dataclasses import dataclass

from torch import Tensor, nn

from leakbench.attacks.attack import attacks
from leakbench.attacks.gradient.matching import GradientMatching, Parts
from leakbench.attacks.gradient.objectives import relative
from leakbench.attacks.gradient.optimizers import Adam, warm_cosine
from leakbench.attacks.gradient.priors import BatchNormPrior, Prior, group_consistency, magnitude, total_variation
from leakbench.attacks.shared_gradients import SharedGradients


@attacks.register("gradinversion")
@dataclass(frozen=True, kw_only=True)
class GradInversion(GradientMatching):
    """Match gradients and batch-norm statistics of a batch at once, with several searches held together.

    The attacker is an honest but curious server that holds the model with its running statistics (or the clients'
    own, where they send them, or return their running ones: `inferred_statistics`) and what each client shared.
    Success: it sees a client's images.

    Squared distance of the gradients, batch-norm prior with the first layer weighted tenfold, total variation, L2
    norm, and the distance of each restart to the mean of all; Adam with warm-up and cosine decay, noise on the
    gradient, pixels in their range. On networks without batch norm that prior is absent.

    Args:
        learning_rate: Adam's, in normalised units.
        gradient_weight: of the squared distance, relative to the shared gradient's squared length.
        bn_weight: of the batch-norm prior where clients' statistics are known; a hundredth of it for the network's
            running statistics, which describe the training set and not these images.
        tv_weight: of the total variation.
        l2_weight: of the L2 norm.
        group_weight: of the group consistency.
        langevin: noise on the gradient, in units of its root mean square.

    Differs from the paper: relative distance and noise, so that one set of constants serves all networks; no
    registration before the consensus; labels by `labels.infer_labels`, which repeats them where
    needed; the best restart by the objective is returned.
    """

    iterations: int = 800
    restarts: int = 4
    give_up: float = 0.0
    learning_rate: float = 0.1
    gradient_weight: float = 1.0
    bn_weight: float = 0.1
    tv_weight: float = 1e-2
    l2_weight: float = 1e-6
    group_weight: float = 1e-2
    langevin: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.give_up and self.restarts > 1:
            raise ValueError("gradinversion.give_up must be 0: its restarts hold each other together")

    def parts(self, shared: SharedGradients) -> Parts:
        """Squared distance; batch-norm prior, total variation, L2 and group consistency; Adam, warm cosine."""

        def objective(own: list[Tensor], theirs: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            value, gradient = relative(own, theirs)
            return self.gradient_weight * value, [g.mul_(self.gradient_weight) for g in gradient]

        def priors(clients: Tensor) -> list[tuple[float, Prior]]:
            chosen: list[tuple[float, Prior]] = [(self.tv_weight, total_variation), (self.l2_weight, magnitude)]
            if self.restarts > 1:
                chosen.append((self.group_weight, group_consistency(self.restarts)))
            if any(isinstance(layer, nn.BatchNorm2d) for layer in shared.network.modules()):
                trust = 1.0 if shared.statistics is not None else 0.01
                chosen.append((trust * self.bn_weight, BatchNormPrior(shared, clients)))
            return chosen

        schedule = warm_cosine(self.iterations)
        return Parts(
            objective=objective,  # type: ignore[arg-type]
            optimizer=lambda unknowns: Adam(unknowns, self.learning_rate, schedule, signed=False),
            priors=priors,
            noise=self.langevin,
        )
