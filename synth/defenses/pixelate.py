"""Pixelation (mosaic), as people do it: without any guarantee."""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from leakbench.synth.defense import Release, Resources, Synthesizer
from leakbench.synth.images import Images
from leakbench.synth.registry import defenses


@defenses.register("pixelate")
@dataclass(frozen=True, kw_only=True)
class Pixelate(Synthesizer):
    """Every image as a mosaic of blocks of their mean colour.

    Args:
        block: side of a block in pixels, >= 2.

    Raises:
        ValueError: block is below 2.
    """

    block: Annotated[int, Ge(2)] = 8

    def release(self, members: Images, resources: Resources) -> Release:
        """The pixelated members, each paired with its source."""
        size = members.pixels.shape[-2:]
        rows, columns = (max(1, side // self.block) for side in size)
        mosaic = interpolate(adaptive_avg_pool2d(members.float(), (rows, columns)), size=size, mode="nearest")
        pixels = (mosaic * 255).round().to(torch.uint8)
        return Release(Images(pixels, members.labels, members.classes), sources=torch.arange(len(members))[:, None])
