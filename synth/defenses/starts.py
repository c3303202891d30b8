"""What inversion starts from: noise, public images, or the members themselves."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from leakbench.synth.defense import Resources
from leakbench.synth.defenses.inversion import Inversion
from leakbench.synth.images import Images


class Start(NamedTuple):
    """What a batch starts from: uint8 (N, C, H, W), None for noise; and (N, 1) members it shows, else (N, 0)."""

    pixels: Tensor | None
    shown: Tensor


@dataclass(frozen=True, kw_only=True)
class StartedInversion(Inversion):
    """An inversion that may start from images.

    Args:
        start: of the inversion: ``noise``; ``public`` images, or ``members`` of the same class, which the release may
            then show.
    """

    start: Literal["noise", "public", "members"] = "noise"

    @property
    def shows_members(self) -> bool:  # type: ignore[override]
        """Whether inversion starts from private images."""
        return self.start == "members"

    @property
    def reads_public(self) -> bool:  # type: ignore[override]
        """Whether it starts from public ones."""
        return self.start == "public"

    def begin(self, labels: Tensor, members: Images, resources: Resources, rng: torch.Generator) -> Start:
        """What images of these labels (N,) start from: members of the class, or public images whatever they show."""
        nobody = torch.empty(len(labels), 0, dtype=torch.int64)
        if self.start == "noise":
            return Start(None, nobody)
        if self.start == "public":
            public = resources.public.pixels
            return Start(public[torch.randint(len(public), (len(labels),), generator=rng)], nobody)
        of_class = {int(label): (members.labels == label).nonzero().squeeze(1) for label in labels.unique()}
        parts = [of_class[int(label)] for label in labels]
        shown = torch.stack([part[torch.randint(len(part), (1,), generator=rng)] for part in parts])
        return Start(members.pixels[shown.squeeze(1)], shown)
