"""The two defenses that are controls: everything leaks, nothing leaks."""

from dataclasses import dataclass

import torch
from torch import nn

from synth.registry import defenses
from synth.types import Defense, Images, Release


@defenses.register("identity")
@dataclass(frozen=True, kw_only=True)
class Identity(Defense):
    """No defense: the members are the release. Every attack must succeed on it."""


@defenses.register("disjoint")
@dataclass(frozen=True, kw_only=True)
class Disjoint(Defense):
    """A release of other people's images. Nothing about the members can leak from it."""

    def release(
        self, members: Images, *, teacher: nn.Module | None, public: Images, seed: int, device: torch.device
    ) -> Release:
        """As many public images as there are members (or all, if there are fewer)."""
        return Release(public.take(torch.arange(min(len(members), len(public)))))
