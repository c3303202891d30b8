"""Networks that victims train on a release, by somebody's code."""

from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache

import torch
from torch import Tensor, nn

from attacks.memorization.owner import train_with
from attacks.view import Encoder, HonestEncoder
from benchmarks.store import Cache, digest
from synth.networks import build
from synth.training import Recipe
from synth.types import Images, derive_seed


class Victims:
    """Trains on one release, each training once.

    It hangs on views, so it holds the release and nothing of the truth. What attackers' code trained is kept in memory
    only (consecutive cells attack one training in several scenarios); honest networks go to the cache on disk.

    Args:
        images: the release.
        order: (N,) the order in which training code sees it.
        networks: the cache.
        seed: of initialisations and trainings.
        device: where to compute.
        progress: called with (done, total).
    """

    def __init__(
        self,
        images: Images,
        order: Tensor,
        *,
        networks: Cache,
        seed: int,
        device: torch.device,
        progress: Callable[[int, int], None],
    ) -> None:
        self.images, self.order, self.networks = images, order, networks
        self.seed, self.device, self.progress = seed, device, progress
        self.trained = lru_cache(maxsize=4)(self._trained)

    def _trained(self, name: str, recipe: Recipe, encoder: Encoder) -> nn.Module:
        classes, seed = len(self.images.classes), derive_seed("victim", "init", self.seed)
        network = build(name, classes=classes, side=self.images.side, seed=seed)
        key = digest("victim", name, asdict(recipe), self.seed, self.images)
        honest = encoder == HonestEncoder()
        if honest and self.networks.load(key, network):
            return network.to(self.device).eval()
        network = train_with(
            encoder,
            network,
            self.images,
            self.order,
            recipe,
            seed=derive_seed("victim", self.seed),
            device=self.device,
            progress=self.progress,
        )
        if honest:
            self.networks.save(key, network)
        return network
