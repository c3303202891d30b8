"""What clients of a federation share of a round."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

LayerStatistics = tuple[tuple[Tensor, Tensor], ...]
"""Per batch-norm layer the means (V, C) and the variances (V, C) of its inputs, of V clients."""


@dataclass(frozen=True, kw_only=True)
class SharedGradients:
    """What V clients shared of one round, each with B images of its own, all starting from the same network.

    Args:
        network: the network they started from, in the mode it was in (a copy of the attacker's own).
        gradients: one tensor (V, *shape) per parameter, in the order of ``network.parameters()``: what the client's
            parameters lost, divided by the learning rate. For one local step that is the gradient of the mean loss.
        image_shape: (C, H, W) of a client's image.
        classes: K.
        batch: B, images of a client.
        local_steps: steps of gradient descent that a client took on its whole batch.
        learning_rate: of those steps.
        statistics: per batch-norm layer the mean (V, C) and the variance (V, C) of its inputs over a client's images,
            where clients send them.
        running: the same of the running ones after the round, where clients return their whole state; those before it
            are the network's.
        labels: (V, B), where the attacker knows them.
    """

    network: nn.Module
    gradients: tuple[Tensor, ...]
    image_shape: tuple[int, int, int]
    classes: int
    batch: int = 1
    local_steps: int = 1
    learning_rate: float = 1.0
    statistics: LayerStatistics | None = None
    running: LayerStatistics | None = None
    labels: Tensor | None = None

    def to(self, device: torch.device) -> "SharedGradients":
        """The same on another device."""

        def moved(statistics: LayerStatistics | None) -> LayerStatistics | None:
            return statistics and tuple((mean.to(device), variance.to(device)) for mean, variance in statistics)

        return replace(
            self,
            network=self.network.to(device),
            gradients=tuple(g.to(device) for g in self.gradients),
            statistics=moved(self.statistics),
            running=moved(self.running),
            labels=None if self.labels is None else self.labels.to(device),
        )
