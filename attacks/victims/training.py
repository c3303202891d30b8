"""Networks that victims train on a release, by somebody's code."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn

from leakbench.attacks.victims.owner import train_with
from leakbench.attacks.view import Encoder, HonestEncoder
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe
from leakbench.synth.seeds import derive_seed


class Victims:
    """Trains on one release, each training once.

    It hangs on views, so it holds the release and nothing of the truth. Trainings are kept in memory only: consecutive
    cells attack one in several scenarios, and an honest one that another machine or version of the code had made
    would be no measure of what an attack costs.

    Args:
        images: the release.
        order: (N,) the order in which training code sees it.
        seed: of initialisations and trainings.
        device: where to compute.
        progress: called with (done, total).
    """

    def __init__(
        self,
        images: Images,
        order: Tensor,
        *,
        seed: int,
        device: torch.device,
        progress: Callable[[int, int], None],
    ) -> None:
        self.images, self.order = images, order
        self.seed, self.device, self.progress = seed, device, progress
        self.trained = lru_cache(maxsize=4, typed=True)(self._trained)

    def _trained(self, name: str, recipe: Recipe, encoder: Encoder) -> nn.Module:
        classes, seed = len(self.images.classes), derive_seed("victim", "init", self.seed)
        network = build(name, classes=classes, side=self.images.side, seed=seed)
        return train_with(
            encoder,
            network,
            self.images,
            self.order,
            recipe,
            seed=derive_seed("victim", self.seed),
            device=self.device,
            honest=None if type(encoder) is HonestEncoder else lambda: self.trained(name, recipe, HonestEncoder()),
            progress=self.progress,
        )
