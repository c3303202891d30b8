"""Sharing only the largest entries of gradients."""

from dataclasses import dataclass

import torch
from torch import Tensor

from leakbench.synth.defense import GradientFilter, Resources
from leakbench.synth.ranges import ProperShare
from leakbench.synth.registry import defenses


@defenses.register("gradient-pruning")
@dataclass(frozen=True, kw_only=True)
class GradientPruning(GradientFilter):
    """The members are the release; of each parameter's gradient the smallest entries are set to 0 before it is shared.

    Args:
        pruned: share of the entries that go, in (0, 1).

    Raises:
        ValueError: the share is out of range.

    Baseline of Zhu et al. (arXiv 1906.08935, section 4.2).
    """

    pruned: ProperShare = 0.9

    def share(self, gradients: tuple[Tensor, ...], resources: Resources) -> tuple[Tensor, ...]:
        """The gradients without their small entries."""
        return tuple(map(self._pruned, gradients))

    def _pruned(self, gradient: Tensor) -> Tensor:
        kept = max(1, round((1 - self.pruned) * gradient.numel()))
        index = gradient.abs().flatten().topk(kept).indices
        return torch.zeros_like(gradient).flatten().scatter(0, index, gradient.flatten()[index]).view_as(gradient)
