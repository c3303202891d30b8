"""What attacks on a release alone share: what they hold, and whose features they may look through."""

from dataclasses import dataclass

import torch
from torch import Tensor

from leakbench.attacks.attack import Attack
from leakbench.attacks.view import Access
from leakbench.synth.networks.public import digests, missing


@dataclass(frozen=True, kw_only=True)
class ReleaseAttack(Attack):
    """An attack that holds the published images, images of other people, and candidates: it works on any folder.

    Args:
        space: what images are compared in; ``pretrained``: what a network trained on public photographs feeds its last
            layer (`synth.networks.public`), where one is at hand.
    """

    space: str = "pixels"

    family = "membership"
    needs = frozenset({Access.RELEASE, Access.AUXILIARY, Access.CANDIDATES})
    goal = "members"

    def missing(self) -> str:
        """A network trained on public photographs, where its features are asked for and there is none."""
        return missing() if self.space == "pretrained" else ""

    def reads(self) -> tuple[str, ...]:
        """The weights of that network."""
        return digests() if self.space == "pretrained" else ()


def nearest_distances(queries: Tensor, others: Tensor) -> Tensor:
    """(N,) Euclidean distances of features (N, D) to the nearest of others (M, D)."""
    return torch.cat([torch.cdist(part, others).amin(1) for part in queries.split(2048)])
