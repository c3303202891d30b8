"""Additive Gaussian noise in pixel space, as people do it: without any guarantee."""

from dataclasses import dataclass

import torch

from leakbench.synth.defense import Release, Resources, Synthesizer
from leakbench.synth.images import Images
from leakbench.synth.ranges import Positive
from leakbench.synth.registry import defenses


@defenses.register("noise")
@dataclass(frozen=True, kw_only=True)
class Noise(Synthesizer):
    """Every pixel plus N(0, sigma^2), clipped and rounded to uint8.

    Args:
        sigma: standard deviation as a share of the pixel range, > 0.

    Raises:
        ValueError: sigma is not positive.
    """

    sigma: Positive = 0.2
    relies_on_randomness = True

    def release(self, members: Images, resources: Resources) -> Release:
        """The noisy members, each paired with its source."""
        noise = self.sigma * resources.randomness.normal(*members.pixels.shape).float()
        pixels = ((members.float() + noise).clamp(0, 1) * 255).round().to(torch.uint8)
        return Release(Images(pixels, members.labels, members.classes), sources=torch.arange(len(members))[:, None])
