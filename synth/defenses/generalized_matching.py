"""What `g-vbsm` and `edc` share: several networks in turn, convolutions' inputs too, and a memory of earlier steps."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from leakbench.synth.defense import Resources
from leakbench.synth.defenses.condensation import Condensation
from leakbench.synth.defenses.matching import Statistics
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import NETWORKS, build
from leakbench.synth.networks.statistics import Moments, recorded_moments
from leakbench.synth.networks.training import Recipe, autocast, train
from leakbench.synth.ranges import BelowOne, Count, Positive
from leakbench.synth.seeds import derive_seed

CHUNK = 500
"""Members a forward pass."""


@dataclass(frozen=True, kw_only=True)
class GeneralizedMatching(Condensation):
    """A condensation by the statistics of several networks' batch-norm and convolution inputs.

    Args:
        backbones: names of further networks, joined by ``+``, that are trained on the members and shown the batch in
            turn with the teacher; empty for the teacher alone.
        backbone_steps: of their training.
        backbone_rate: its learning rate.
        momentum: share of the earlier steps' statistics in those that are compared; 0 forgets them.
    """

    backbones: str = "vgg11-bn"
    backbone_steps: Count = 400
    backbone_rate: Positive = 0.05
    momentum: BelowOne = 0.8
    learning_rate: Positive = 0.05
    flip: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.names():
            if name not in NETWORKS:
                raise ValueError(f"there is no network {name!r}; there are: {', '.join(sorted(NETWORKS))}")

    def names(self) -> list[str]:
        """Of the further networks."""
        return [name for name in self.backbones.split("+") if name]

    def networks(self, members: Images, resources: Resources) -> list[nn.Module]:
        """The teacher, and cheap networks of other kinds."""
        return [
            *super().networks(members, resources),
            *(self._trained(name, which, members, resources) for which, name in enumerate(self.names())),
        ]

    def _trained(self, name: str, which: int, members: Images, resources: Resources) -> nn.Module:
        own, device = derive_seed("backbone", derive_seed(resources.seed, which), name), resources.device
        network = build(name, classes=len(members.classes), side=members.side, seed=own)
        recipe = Recipe(steps=self.backbone_steps, learning_rate=self.backbone_rate, flip=self.flip)
        return train(network, members, recipe, seed=own, device=device)


class Remembered:
    """A running average of what earlier steps found, through whose newest part gradients flow.

    Args:
        momentum: share of the average that stays.
    """

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum
        self._past: list[Tensor] = []

    def __call__(self, found: Statistics) -> Statistics:
        """The average, with what was found now; its gradient is that of what was found now."""
        now = [moment for layer in found for moment in layer]
        seen = [moment.detach() for moment in now]
        if self._past:
            seen = [torch.lerp(new, old, self.momentum) for new, old in zip(seen, self._past, strict=True)]
        self._past = seen
        kept = [average + moment - moment.detach() for average, moment in zip(seen, now, strict=True)]
        return list(zip(kept[::2], kept[1::2], strict=True))


def image_statistics(moments: Moments, weights: Tensor) -> Statistics:
    """Per layer the means over groups' images of each image's own mean and variance, (G, channels).

    Args:
        moments: of N images.
        weights: (G, N) row-normalised group matrix.
    """
    return [(weights @ mean, weights @ (square - mean.square()).clamp_min(0)) for mean, square in moments]


@torch.no_grad()
def member_statistics(network: nn.Module, members: Images, device: torch.device) -> tuple[Statistics, Statistics]:
    """All members' statistics together, (1, channels) a layer, and their classes' `image_statistics`, (K, channels).

    Args:
        network: frozen.
        members: of K classes; a class without any has zeros.
        device: where to compute.
    """
    whole: list[Tensor] = []
    classes: list[Tensor] = []
    share = one_hot(members.labels, len(members.classes)).float()
    share = (share / share.sum(0).clamp_min(1)).T.to(device)
    for part in torch.arange(len(members)).split(CHUNK):
        shown = members.pixels[part].to(device).float().div_(255).to(memory_format=torch.channels_last)
        with recorded_moments(network, convolutions=True) as moments, autocast(device):
            network(shown)
        everybody = moments[0][0].new_full((1, len(part)), 1 / len(members))
        whole = _added(whole, [everybody @ moment for layer in moments for moment in layer])
        own = image_statistics(moments, share[:, part])
        classes = _added(classes, [moment for layer in own for moment in layer])
    pairs = zip(whole[::2], whole[1::2], strict=True)
    overall = [(mean, (square - mean.square()).clamp_min(0)) for mean, square in pairs]
    return overall, list(zip(classes[::2], classes[1::2], strict=True))


def _added(total: list[Tensor], more: list[Tensor]) -> list[Tensor]:
    return [old + new for old, new in zip(total, more, strict=True)] if total else more
