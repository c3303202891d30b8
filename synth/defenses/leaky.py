"""A synthesiser that leaks on purpose: a graded control of how little an audit still finds."""

import io
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Gt, Le
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from leakbench.synth.defense import Release, Resources, Synthesizer
from leakbench.synth.images import Images, concatenate
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import seeded_rng

QUALITY = 90
"""JPEG quality of the re-encoded copies."""


@defenses.register("leaky")
@dataclass(frozen=True, kw_only=True)
class Leaky(Synthesizer):
    """Other people's images, a share of them replaced by copies of members that nobody would notice.

    Args:
        leaked: share of the released images that are copies of members, in (0, 1].
        copies: ``noise``: every channel of every pixel up or down by 1 of 255, or as it is. ``flip``: mirrored.
            ``jpeg``: re-encoded at quality 90.

    Raises:
        ValueError: the share leaked is out of range.
    """

    leaked: Annotated[float, Gt(0), Le(1)] = 0.01
    copies: Literal["noise", "flip", "jpeg"] = "noise"
    reads_public = True
    reads_public_labels = True
    shows_members = True

    def release(self, members: Images, resources: Resources) -> Release:
        """As many images as there are members, or as public ones, if they are fewer; shuffled, with their sources."""
        rng, public = seeded_rng("leaky", resources.seed), resources.public
        size = min(len(members), len(public))
        count = max(1, round(self.leaked * size))
        chosen = torch.randperm(len(members), generator=rng)[:count]
        leaked = members.take(chosen)
        copied = Images(self._copy(leaked.pixels, rng), leaked.labels, leaked.classes)
        others = public.take(torch.randperm(len(public), generator=rng)[: size - count])
        order = torch.randperm(size, generator=rng)
        sources = torch.cat([chosen, chosen.new_full((size - count,), -1)])[order]
        return Release(concatenate(copied, others).take(order), sources=sources[:, None])

    def _copy(self, pixels: Tensor, rng: torch.Generator) -> Tensor:
        if self.copies == "flip":
            return pixels.flip(3)
        if self.copies == "jpeg":
            return torch.stack([_encoded(image) for image in pixels])
        shift = torch.randint(-1, 2, pixels.shape, generator=rng)
        return (pixels.int() + shift).clamp(0, 255).to(torch.uint8)


def _encoded(pixels: Tensor) -> Tensor:
    buffer = io.BytesIO()
    to_pil_image(pixels).save(buffer, "JPEG", quality=QUALITY)
    return pil_to_tensor(Image.open(buffer))  # type: ignore[no-any-return]
