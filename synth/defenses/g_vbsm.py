"""Generalized matching of various backbones and statistics (G-VBSM, arXiv 2311.17950)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div

from leakbench.synth.defenses.condensation import Matcher
from leakbench.synth.defenses.generalized_matching import GeneralizedMatching, Remembered, member_statistics
from leakbench.synth.defenses.inversion import Pass
from leakbench.synth.defenses.matching import Matching, batch_statistics, matching_loss
from leakbench.synth.images import Images
from leakbench.synth.networks.statistics import Moments
from leakbench.synth.ranges import Count, NotNegative, Positive
from leakbench.synth.registry import defenses


@defenses.register("g-vbsm")
@dataclass(frozen=True, kw_only=True)
class GVBSM(GeneralizedMatching):
    """Noise optimised until a batch has the members' statistics in the layers of several networks, one a step.

    Of every batch-norm layer's input the channels' means and variances are compared, of every convolution's input those
    of its channels and of its 4 by 4 pixel patches (generalized statistical matching), smoothed over steps and batches;
    the networks take turns (generalized backbone matching); and the eigenvalues of each class's Gram matrix of images
    are drawn towards each other (data densification).

    Args:
        density_weight: of the data densification.
        temperature: that its eigenvalues are softened by.

    The other parameters are those of `generalized_matching.GeneralizedMatching`, `condensation.Condensation` and
    `inversion.Inversion`, with the authors' values for CIFAR-10. Differs from their code: batch-norm layers' statistics
    are the members' own as well, not running averages; no layer is left out at random; images are rolled, which their
    padded crops add a black border to; a batch holds the classes in turn; the networks are those of the registry.

    Raises:
        ValueError: a parameter is out of range, or the teacher is missing.
    """

    density_weight: NotNegative = 1.0
    temperature: Positive = 4.0
    steps: Count = 4000
    jitter: int = 32

    def matcher(self, networks: list[nn.Module], members: Images, device: torch.device) -> Matcher:
        """All members' statistics in every network."""
        matchings = [self._matching(network, members, device) for network in networks]
        return lambda labels: matchings

    def _matching(self, network: nn.Module, members: Images, device: torch.device) -> Matching:
        wanted, _ = member_statistics(network, members, device)
        remembered = Remembered(self.momentum)

        def loss(moments: Moments) -> Tensor:
            found = remembered(batch_statistics(moments))
            return matching_loss(found, wanted, first=self.first_weight, leading=2)

        return Matching(network, loss, convolutions=True)

    def also(self, labels: Tensor) -> Callable[[Pass], Tensor] | None:
        """Data densification of each class in the batch."""
        if not self.density_weight:
            return None
        classes = [(labels == label).nonzero().squeeze(1) for label in labels.unique()]

        def term(now: Pass) -> Tensor:
            each = [density(now.seen[who].flatten(1), self.temperature) for who in classes]
            return self.density_weight * torch.stack(each).sum()

        return term


def density(images: Tensor, temperature: float) -> Tensor:
    """How unlike the eigenvalues of images' Gram matrix are, against their softened selves, in nats.

    Args:
        images: (N, D).
        temperature: of the softened ones; no gradient flows through them.
    """
    eigenvalues = torch.linalg.eigvalsh(images @ images.T)
    return kl_div(eigenvalues.log_softmax(0), (eigenvalues / temperature).softmax(0).detach(), reduction="sum")
