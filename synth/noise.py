"""Additive Gaussian noise in pixel space, as people do it: without any guarantee."""

from dataclasses import dataclass

import torch
from torch import nn

from synth.registry import defenses
from synth.types import Defense, Images, Release, generator


@defenses.register("noise")
@dataclass(frozen=True, kw_only=True)
class Noise(Defense):
    """Every pixel plus N(0, sigma^2), clipped and rounded to uint8.

    Args:
        sigma: standard deviation as a share of the pixel range, > 0.

    Raises:
        ValueError: sigma is not positive.
    """

    sigma: float = 0.2

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise ValueError(f"noise.sigma must be > 0, got {self.sigma}")

    def release(
        self, members: Images, *, teacher: nn.Module | None, public: Images, seed: int, device: torch.device
    ) -> Release:
        """The noisy members, each paired with its source."""
        noise = torch.randn(members.pixels.shape, generator=generator("noise", seed)) * self.sigma
        pixels = ((members.float() + noise).clamp(0, 1) * 255).round().to(torch.uint8)
        return Release(Images(pixels, members.labels, members.classes), source_index=torch.arange(len(members)))
