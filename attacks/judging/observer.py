"""A network through which the judge compares images: by what it feeds its last layer, and by its statistics."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from leakbench.synth.images import Images
from leakbench.synth.networks.statistics import image_moments, normalisations, to_vectors
from leakbench.synth.networks.training import penultimate

Space = Literal["features", "statistics"]
LEAST_SPREAD = 1e-6
"""Smallest standard deviation that is divided by."""


@dataclass(frozen=True)
class Observer:
    """A network, and the people whom images are compared with through it.

    Args:
        network: with a linear last layer.
        people: candidates.
        device: where to compute.
    """

    network: nn.Module
    people: Images
    device: torch.device

    @cached_property
    def has_statistics(self) -> bool:
        """Whether the network has normalisation layers, whose inputs' statistics can be compared."""
        return bool(normalisations(self.network))

    def similarities(self, pixels: Tensor, space: Space) -> Tensor:
        """(R, N) cosines of images and people, of vectors centred and scaled by people's mean and spread.

        Args:
            pixels: uint8 (R, C, H, W).
            space: ``features``: what the network feeds its last layer. ``statistics``: means and log-variances of the
                inputs of its normalisation layers.
        """
        known = self._people(space)
        centre, spread = known.mean(0), known.std(0, correction=0).clamp_min(LEAST_SPREAD)
        seen, theirs = (normalize((part - centre) / spread, dim=1) for part in (self._seen(pixels, space), known))
        return seen @ theirs.T

    def among(self, people: Images) -> "Observer":
        """The same network among other people."""
        return replace(self, people=people)

    def _people(self, space: Space) -> Tensor:
        return self._features if space == "features" else self._statistics

    @cached_property
    def _features(self) -> Tensor:
        return self._seen(self.people.pixels, "features")

    @cached_property
    def _statistics(self) -> Tensor:
        return self._seen(self.people.pixels, "statistics")

    def _seen(self, pixels: Tensor, space: Space) -> Tensor:
        if space == "features":
            return penultimate(self.network, pixels, device=self.device).double()
        return to_vectors(image_moments(self.network, pixels, device=self.device))
