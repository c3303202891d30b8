"""A few levels of every color are all that is left: a defense in one file."""

from dataclasses import dataclass

import torch

from leakbench import Images, Release, Synthesizer, register_defense


@register_defense("posterize")
@dataclass(frozen=True, kw_only=True)
class Posterize(Synthesizer):
    """Every channel is rounded to a few levels; no guarantee.

    Args:
        levels: how many, 2 to 256.
    """

    levels: int = 4

    def release(self, members, resources):
        """The rounded members."""
        step = 255 / (self.levels - 1)
        pixels = ((members.pixels / step).round() * step).round().to(torch.uint8)
        return Release(Images(pixels, members.labels, members.classes), sources=torch.arange(len(members))[:, None])
