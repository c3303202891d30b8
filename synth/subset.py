"""A few real images: what any synthetic release must beat."""

from dataclasses import dataclass

import torch
from torch import nn

from synth.registry import defenses
from synth.types import Defense, Images, Release, classes_in_turn, generator


@defenses.register("subset")
@dataclass(frozen=True, kw_only=True)
class Subset(Defense):
    """Some of the members as they are, the classes in turn: gives away whom it shows, and nobody else.

    Args:
        images: how many; all, if there are fewer.

    Raises:
        ValueError: fewer than one.
    """

    images: int = 1000

    def __post_init__(self) -> None:
        if self.images < 1:
            raise ValueError(f"subset.images must be >= 1, got {self.images}")

    def release(
        self, members: Images, *, teacher: nn.Module | None, public: Images, seed: int, device: torch.device
    ) -> Release:
        """The members that were drawn."""
        chosen = classes_in_turn(members.labels, generator("subset", seed))[: self.images]
        return Release(members.take(chosen), source_index=chosen)
