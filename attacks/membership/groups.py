"""Released images that share their private images, and how candidates are ranked by what explains a group."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from leakbench.attacks.guess import Links
from leakbench.synth.defense import Release
from leakbench.synth.images import round_robin_by_class
from leakbench.synth.seeds import seeded_rng

Group = tuple[Tensor, int]
"""Positions of released images that share their private images, and their class."""


def images_behind(release: Release, *, unsaid: int | None = 1) -> int | None:
    """How many private images stand behind one statistic, as release.json says; None for a whole class.

    Args:
        release: as it is published.
        unsaid: what to take where it does not say.
    """
    told = release.about.get("parameters", {}).get("images_per_statistic", unsaid)
    return None if told in ("class", None) else int(told)


def groups_of(release: Release, size: int | None) -> list[Group]:
    """The released images that share their private images: those of a class in the order in which they were published.

    A release made from groups of k is published k images to a group, one group after the other; one made from whole
    classes (None) is one group a class.
    """
    found = []
    for label in release.images.labels.unique().tolist():
        positions = (release.images.labels == label).nonzero().squeeze(1)
        parts = [positions] if size is None else [p for p in positions.split(size) if len(p) == size]
        found += [(part, label) for part in parts]
    return found


def whole_groups(labels: Tensor, count: int, size: int | None, rng: torch.Generator) -> Tensor:
    """About `count` positions, of every class as many whole groups of `size` (None: the class is one) as that makes.

    An incomplete group would say less of its images than the others do. At least one group a class, if it has as many.
    """
    order = round_robin_by_class(labels, rng)
    per_class = max(size or 1, count // len(labels.unique()) // (size or 1) * (size or 1))
    return torch.cat([order[labels[order] == label][:per_class] for label in labels.unique()])


def ranked(
    groups: list[Group],
    labels: Tensor,
    size: int | None,
    evidence: Callable[[Tensor, Tensor, int, int], Tensor],
    *,
    count: int,
    seed: int,
) -> tuple[Tensor, Links]:
    """Membership scores and links of candidates, from the evidence of every group for those of its class.

    Args:
        groups: of released images.
        labels: (N,) of the candidates.
        size: private images behind a group; None for a whole class.
        evidence: from positions of groups (G,) and of candidates (M,) of one class, the class and the size, to (G, M)
            log-likelihood ratios.
        count: groups that are linked, drawn at random.
        seed: of the draw.

    Returns:
        (N,) the logarithm of the mean of a candidate's ratios, and the links of the groups that were drawn, each named
        by its first image; candidates of other classes come last.
    """
    classes = torch.tensor([label for _, label in groups])
    chosen = torch.randperm(len(groups), generator=seeded_rng("links", seed))[:count]
    values = torch.zeros(len(labels), dtype=torch.float64)
    links = torch.zeros(len(chosen), len(labels))
    for label in classes.unique().tolist():
        these, who = (classes == label).nonzero().squeeze(1), (labels == label).nonzero().squeeze(1)
        # Of a whole class the attacker knows no number; half of its candidates are members.
        ratios = evidence(these, who, label, size or max(1, len(who) // 2))
        values[who] = ratios.logsumexp(0) - math.log(len(these))
        linked = (classes[chosen] == label).nonzero().squeeze(1)
        links[linked] = float(ratios.min()) - 1
        links[linked[:, None], who] = ratios[torch.searchsorted(these, chosen[linked])].float()
    first = torch.stack([positions[0] for positions, _ in groups])
    return values, Links(first[chosen], links)
