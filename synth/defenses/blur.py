"""Gaussian blur, as people do it: without any guarantee."""

from dataclasses import dataclass

import torch
from torchvision.transforms.functional import gaussian_blur

from leakbench.synth.defense import Release, Resources, Synthesizer
from leakbench.synth.images import Images
from leakbench.synth.ranges import Positive
from leakbench.synth.registry import defenses


@defenses.register("blur")
@dataclass(frozen=True, kw_only=True)
class Blur(Synthesizer):
    """Every image blurred with a Gaussian, by torchvision.

    Args:
        sigma: standard deviation in pixels, > 0; the window covers 3 sigma on each side.

    Raises:
        ValueError: sigma is not positive.
    """

    sigma: Positive = 2.0

    def release(self, members: Images, resources: Resources) -> Release:
        """The blurred members, each paired with its source."""
        reach = min(round(3 * self.sigma), members.side - 1)
        pixels = torch.cat([gaussian_blur(part, 2 * reach + 1, self.sigma) for part in members.pixels.split(1024)])
        return Release(Images(pixels, members.labels, members.classes), sources=torch.arange(len(members))[:, None])
