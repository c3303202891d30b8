"""What every release must be, whoever made it."""

import torch
from torch import Tensor

from leakbench.synth.defense import Release, Synthesizer
from leakbench.synth.images import Images


class ContractViolation(ValueError):
    """The one thing to change, as a sentence."""


def check_release(defense: Synthesizer, release: Release, members: Images) -> None:
    """Check what a synthesizer returned, before anything of it is kept.

    Args:
        defense: that made it.
        release: what it returned.
        members: what it was made from.

    Raises:
        ContractViolation: the first thing that is wrong.
    """
    if not isinstance(release, Release):
        raise ContractViolation(f"release must return a Release, got {type(release).__name__}")
    shape, wanted = release.images.pixels.shape, members.pixels.shape
    if not len(release.images):
        raise ContractViolation("release must return at least one image")
    if shape[1:] != wanted[1:]:
        raise ContractViolation(
            f"released images must be as large as the members, {tuple(wanted[1:])}, got {tuple(shape[1:])}"
        )
    if release.images.classes != members.classes:
        raise ContractViolation("released images must name the members' classes, all of them and in their order")
    soft = release.soft_labels
    if (soft is not None) != defense.publishes_soft_labels:
        raise ContractViolation("publishes_soft_labels must say whether release returns soft_labels")
    if soft is not None:
        _check_soft(soft, len(release.images), len(members.classes))
    if release.sources is not None:
        _check_sources(release.sources, len(release.images), len(members))


def _check_soft(soft: Tensor, count: int, classes: int) -> None:
    if soft.shape != (count, classes):
        raise ContractViolation(
            f"soft_labels must be one row per image and one column per class, got {tuple(soft.shape)}"
        )
    if not torch.isfinite(soft).all() or (soft < 0).any():
        raise ContractViolation("soft_labels must be probabilities: finite and not negative")
    if not torch.allclose(soft.sum(1), torch.ones(count), atol=1e-3):
        raise ContractViolation("soft_labels must be probabilities: each row with sum 1")


def _check_sources(sources: Tensor, count: int, members: int) -> None:
    if sources.dtype != torch.int64 or sources.ndim != 2 or len(sources) != count or not sources.shape[1]:
        raise ContractViolation("sources must be int64 (N, k): a row for each released image, also where k is 1")
    if sources.min() < -1 or sources.max() >= members:
        raise ContractViolation("sources must hold positions among the members, or -1 for nobody")
