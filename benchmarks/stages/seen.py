"""What members and strangers look like to those who compare a release with them, made once for all releases."""

import torch
from torch import Tensor

from leakbench.metrics.described import Described, described
from leakbench.metrics.features import Features
from leakbench.metrics.fidelity import MOST
from leakbench.synth.images import Images, Split
from leakbench.synth.networks.public import public_features

LOOKED_FOR = 200
"""Private images, and as many strangers, that copies are looked for of, at most."""


def looked_for(parts: Split) -> dict[str, Described]:
    """The first members, and as many strangers, that copies are looked for of; their order is random."""
    return {name: described(images.pixels[:LOOKED_FOR]) for name, images in _who(parts).items()}


def seen_publicly(parts: Split, device: torch.device) -> dict[str, Features]:
    """Features of members and strangers by a public network: as many of both, so that distances to them compare."""
    features, count = public_features(device), min(MOST, len(parts.members), len(parts.holdout))
    return {name: features(from_all_over(images, count)).double().numpy() for name, images in _who(parts).items()}


def from_all_over(images: Images, count: int) -> Tensor:
    """Pixels of so many images, or of all, evenly spaced: of a release of the members those of the same ones."""
    return images.pixels[torch.linspace(0, len(images) - 1, min(count, len(images))).long()]


def _who(parts: Split) -> dict[str, Images]:
    return {"private": parts.members, "stranger": parts.holdout}
