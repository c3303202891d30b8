"""Students that are a linear head with a guarantee on what a public network sees."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import skip_init

from leakbench.synth.defense import Claim, PrivateTrainer, Resources
from leakbench.synth.defenses.differential_privacy import MechanismSpec, check_delta
from leakbench.synth.defenses.private_head import (
    BIAS,
    head_claim,
    noise_of_a_step,
    noisy_softmax_regression,
    with_constant,
)
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import PROBE
from leakbench.synth.networks.linear_probe import PublicFeatures
from leakbench.synth.networks.public import LEAST_SIDE, digests, missing
from leakbench.synth.networks.training import penultimate
from leakbench.synth.ranges import Count, Positive
from leakbench.synth.registry import defenses


@defenses.register("dp-linear-probe")
@dataclass(frozen=True, kw_only=True)
class DPLinearProbe(PrivateTrainer):
    """Nobody gets images: a linear layer on a public network's features learns the members with a guarantee.

    It is trained by noisy gradient descent on all members at every step, and published instead; the network below it
    has seen none of them. It is a student of its own, whatever the suite's are: what public photographs add, T1 then
    shows beside them. Differs from such layers in arXiv 2011.11660 by its batches, which are of everybody.

    Args:
        epsilon: of one student.
        delta: likewise.
        side: pixels of the shorter side that smaller images are scaled up to; more is slower, and better.
        steps: noisy steps of its training.
        learning_rate: of them, with momentum 0.9.

    Raises:
        ValueError: a parameter is out of range, or no public network is at hand.

    The defaults were chosen by looking at photographs of CIFAR-10: on other data they cost no privacy, on those a
    little that is not accounted for.
    """

    epsilon: Positive = 1.0
    delta: float = 1e-5
    side: Count = LEAST_SIDE
    steps: Count = 20
    learning_rate: Positive = 60.0
    architecture = PROBE

    def __post_init__(self) -> None:
        super().__post_init__()
        check_delta(self.delta)

    @property
    def student_claim(self) -> Claim:
        """The (epsilon, delta) of one student."""
        return head_claim(self.epsilon, self.delta, self.steps)

    def spend(self, count: int) -> MechanismSpec:
        """What the training spends, of however many images: the least noise that keeps epsilon."""
        return noise_of_a_step(self.epsilon, self.delta, self.steps), 1.0, self.steps

    def missing(self) -> str:
        """A network trained on public photographs, where none is at hand."""
        return missing()

    def reads(self) -> tuple[str, ...]:
        """The weights of the public network."""
        return digests()

    def prepared(self, network: nn.Module) -> nn.Module:
        """A head of as many classes on public features, in the network's place."""
        last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
        return PrivateProbe(last.out_features, self.side)

    def train(self, network: nn.Module, members: Images, resources: Resources) -> nn.Module:
        """Learn the head from the members."""
        probe = self.prepared(network).to(resources.device)
        assert isinstance(probe, PrivateProbe)
        weights = noisy_softmax_regression(
            with_constant(penultimate(probe, members.pixels, device=resources.device)),
            members.labels,
            len(members.classes),
            noise=self.spend(len(members))[0],
            steps=self.steps,
            learning_rate=self.learning_rate,
            randomness=resources.randomness,
        ).float()
        with torch.no_grad():
            probe.head.weight.copy_(weights[:, :-1] * (1 - BIAS**2) ** 0.5)
            probe.head.bias.copy_(weights[:, -1] * BIAS)
        return probe.eval()


class PrivateProbe(nn.Module):
    """A linear layer on public features of unit norm, its weights still to be set.

    Args:
        classes: outputs.
        side: pixels of the shorter side that smaller images are scaled up to.

    Raises:
        ValueError: no public network is at hand.
    """

    def __init__(self, classes: int, side: int) -> None:
        super().__init__()
        self.features = PublicFeatures(side)
        self.head = skip_init(nn.Linear, self.features.width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, K) logits for images (N, 3, H, W) in [0, 1]."""
        logits: Tensor = self.head(normalize(self.features(images).float()))
        return logits
