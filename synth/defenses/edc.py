"""Elucidated dataset condensation (EDC, arXiv 2404.13733)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax, one_hot, softmax

from leakbench.synth.defenses.condensation import Matcher
from leakbench.synth.defenses.generalized_matching import (
    GeneralizedMatching,
    Remembered,
    image_statistics,
    member_statistics,
)
from leakbench.synth.defenses.inversion import Pass
from leakbench.synth.defenses.matching import Matching, Statistics, batch_statistics, matching_loss
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import MEAN, STD
from leakbench.synth.networks.statistics import Moments
from leakbench.synth.networks.training import autocast
from leakbench.synth.ranges import Count, NotNegative, Share
from leakbench.synth.registry import defenses

TEMPERATURE, SMOOTHING = 4.0, 0.99
"""Temperature of the answers that flatness compares, and what the images' moving average keeps of a step."""


@defenses.register("edc")
@dataclass(frozen=True, kw_only=True)
class EDC(GeneralizedMatching):
    """Members optimised until a batch has their statistics in several networks, half of all and half of each class.

    As in `g-vbsm` several networks take turns, and convolutions' inputs are compared too; but half of the loss compares
    each class's statistics, means over its images of each image's own (soft category-aware matching), and images start
    from members of their class, whom the release then shows. With `start=noise` it shows nobody.

    Args:
        class_share: of the matching loss that is the classes' own; the rest is that of all members together.
        flatness_weight: of what keeps a network's answers near those on the images' moving average (flat
            regularization), by a Kullback-Leibler divergence.

    The other parameters are those of `generalized_matching.GeneralizedMatching`, `condensation.Condensation` and
    `inversion.Inversion`, with the authors' values for CIFAR-10, where flatness is off. Differs from their code:
    batch-norm layers' statistics are the members' own as well, not running averages; a batch holds the classes in turn;
    the networks are those of the registry. Their students ask all networks; here the teacher alone answers.

    Raises:
        ValueError: a parameter is out of range, the teacher is missing, or a batch cannot hold all classes.
    """

    class_share: Share = 0.5
    flatness_weight: NotNegative = 0.0
    start: Literal["noise", "public", "members"] = "members"
    steps: Count = 75
    crop: Share = 0.08

    def matcher(self, networks: list[nn.Module], members: Images, device: torch.device) -> Matcher:
        """All members' statistics, and those of the classes in the batch."""
        if (classes := len(members.labels.unique())) > self.batch_size:
            raise ValueError(f"edc.batch_size={self.batch_size} must be {classes} at least: an image of every class")
        known = [member_statistics(network, members, device) for network in networks]
        memories = [(Remembered(self.momentum), Remembered(self.momentum)) for _ in networks]

        def wanted(labels: Tensor) -> list[Matching]:
            present, position = labels.unique(return_inverse=True)
            weights = one_hot(position).T.float()
            weights /= weights.sum(1, keepdim=True)
            return [
                Matching(network, self._loss(overall, _rows(classes, present), weights, memory), convolutions=True)
                for network, (overall, classes), memory in zip(networks, known, memories, strict=True)
            ]

        return wanted

    def _loss(
        self, overall: Statistics, classes: Statistics, weights: Tensor, memory: tuple[Remembered, Remembered]
    ) -> Callable[[Moments], Tensor]:
        def loss(moments: Moments) -> Tensor:
            of_all, of_each = (batch_statistics(moments), image_statistics(moments, weights))
            whole = matching_loss(memory[0](of_all), overall, first=self.first_weight, leading=2)
            each = matching_loss(memory[1](of_each), classes, first=self.first_weight, leading=2)
            return (1 - self.class_share) * whole + self.class_share * each

        return loss

    def also(self, labels: Tensor) -> Callable[[Pass], Tensor] | None:
        """Flat regularization."""
        return Flatness(self.flatness_weight) if self.flatness_weight else None


class Flatness:
    """How far a network's answers are from those on the images' moving average, both seen alike; weighted.

    Args:
        weight: of the divergence, in nats an image.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self._average: Tensor | None = None

    def __call__(self, now: Pass) -> Tensor:
        """The term, after which the average moves."""
        images = now.images.detach()
        average = images.clone() if self._average is None else self._average
        with torch.no_grad(), autocast(images.device):
            wanted = now.network(now.view(average) * STD + MEAN).float()
        self._average = torch.lerp(images, average, SMOOTHING)
        guess = log_softmax(now.logits / TEMPERATURE, 1)
        return self.weight * kl_div(guess, softmax(wanted / TEMPERATURE, 1), reduction="batchmean")


def _rows(statistics: Statistics, which: Tensor) -> Statistics:
    """Those of some classes."""
    return [(mean[which], variance[which]) for mean, variance in statistics]
