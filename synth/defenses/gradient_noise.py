"""Noise on what clients share, as people do it: without any guarantee."""

from dataclasses import dataclass

import torch
from torch import Tensor

from leakbench.synth.defense import GradientFilter, Resources
from leakbench.synth.ranges import Positive
from leakbench.synth.registry import defenses


@defenses.register("gradient-noise")
@dataclass(frozen=True, kw_only=True)
class GradientNoise(GradientFilter):
    """Gradients are shared with Gaussian noise on every entry.

    Args:
        sigma: standard deviation of the noise as a share of the root mean square of a gradient's entries, > 0: what
            hides one network's gradients drowns another's.

    Raises:
        ValueError: sigma is not positive.

    Baseline of Zhu et al. (arXiv 1906.08935, section 4.1), whose noise has an absolute scale.
    """

    sigma: Positive = 1.0

    def share(self, gradients: tuple[Tensor, ...], resources: Resources) -> tuple[Tensor, ...]:
        """The gradients with noise."""
        total, count = sum(g.square().sum() for g in gradients), sum(g.numel() for g in gradients)
        scale = self.sigma * (torch.as_tensor(total) / count).sqrt()
        noise = (resources.randomness.normal(*g.shape).to(g.device, g.dtype) for g in gradients)
        return tuple(g + scale * part for g, part in zip(gradients, noise, strict=True))
