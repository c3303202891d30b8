"""How a network's weights descend: SGD, its rate's schedule, and the moving average that may be returned instead."""

from math import cos, pi
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Schedule = Literal["one-cycle", "cosine", "smoothed-cosine"]
"""Linear up for a fifth of the steps and down; a cosine to 0; the first half of it, stretched (arXiv 2404.13733)."""


def rate(schedule: Schedule, step: int, steps: int) -> float:
    """Share of the peak rate at a step in 0..steps-1."""
    if schedule == "one-cycle":
        warm = max(1, steps // 5)
        return min((step + 1) / warm, max(steps - step, 1) / max(steps - warm, 1))
    return (1 + cos(pi * step / (steps if schedule == "cosine" else 2 * steps))) / 2


class Descent:
    """SGD with Nesterov momentum of a network in training.

    Args:
        network: whose parameters move.
        learning_rate: peak rate.
        momentum: Nesterov momentum.
        weight_decay: L2 on all parameters.
        schedule: of the rate.
        steps: in all.
        ema: share of the moving average of weights that stays at a step; 0 for none.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float,
        momentum: float,
        weight_decay: float,
        schedule: Schedule,
        steps: int,
        ema: float,
    ) -> None:
        self._network = network
        self._optimizer = torch.optim.SGD(
            network.parameters(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay, nesterov=True
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, lambda step: rate(schedule, step, steps))
        self._average = (
            AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(ema), use_buffers=True) if ema else None
        )

    def step(self, loss: Tensor) -> None:
        """One step down."""
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        self._schedule.step()
        if self._average is not None:
            self._average.update_parameters(self._network)

    def settle(self) -> None:
        """Give the network the moving average of its weights, if there is one."""
        if self._average is not None:
            self._network.load_state_dict(self._average.module.state_dict())
