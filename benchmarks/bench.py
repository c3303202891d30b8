"""What the stages of a run share: the data, the networks, the victims, each made once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from attacks.scenario import Scenario, attacked_order
from attacks.truth import Truth
from attacks.view import Learner, StudentModel
from benchmarks.store import Cache, RunFolder, digest
from benchmarks.suite import Suite, Training, parse
from benchmarks.victims import Victims
from reports.records import Cell
from synth.datasets import Pool, split
from synth.networks import build
from synth.registry import defenses
from synth.training import train
from synth.types import Images, Release, Split, derive_seed, generator

Progress = Callable[[int, int], None]

DELTA = 1e-5
"""Of bounds on the epsilon of a defense that claims none."""


@dataclass(frozen=True)
class Repetition:
    """One seed's data and networks."""

    split: Split
    oracle: nn.Module
    teacher: Callable[[], nn.Module]


class Bench:
    """Everything that stages share: the suite, the data, the folder; trains each teacher and oracle once.

    Args:
        suite: the grid.
        pool: the dataset.
        folder: the run folder.
        networks: the cache of trained networks.
        device: where to compute.
        progress: called with (done, total) of whatever is under way.
    """

    def __init__(
        self, suite: Suite, pool: Pool, folder: RunFolder, networks: Cache, device: torch.device, progress: Progress
    ) -> None:
        self.suite, self.pool, self.folder, self.networks = suite, pool, folder, networks
        self.device, self.progress = device, progress
        self.parts = cache(lambda seed: split(pool, suite.sizes, seed=self.seed("split", seed)))
        self.repetition = cache(self._repetition)
        self.published = cache(self._published)
        self.victims = lru_cache(maxsize=1)(self._victims)
        self.student = lru_cache(maxsize=2)(self._student)
        self.learned = cache(self._learned)
        self.shadowed = cache(self._shadowed)

    def _repetition(self, seed: int) -> Repetition:
        parts = self.parts(seed)
        oracle = self.trained("oracle", self.suite.teacher, parts.holdout, seed)
        return Repetition(
            parts, oracle, cache(lambda: self.trained("teacher", self.suite.teacher, parts.members, seed))
        )

    def seed(self, *names: object) -> int:
        """A seed derived from the suite's hash and names."""
        return derive_seed(self.suite.hash, *names)

    def trained(self, purpose: str, training: Training, images: Images, seed: int) -> nn.Module:
        """A network trained on images, from the cache where it is there."""
        network = build(
            training.network, classes=len(images.classes), side=images.side, seed=self.seed(purpose, "init", seed)
        )
        key = digest(purpose, training.model_dump(mode="json"), self.seed(purpose, seed), images)
        if not self.networks.load(key, network):
            train(
                network,
                images,
                training.recipe,
                seed=self.seed(purpose, seed),
                device=self.device,
                progress=self.progress,
            )
            self.networks.save(key, network)
        return network.to(self.device).eval()

    def _published(self, spec: str, seed: int) -> tuple[Release, Tensor | None]:
        return self.folder.load_release(spec, seed)

    def _victims(self, spec: str, seed: int) -> Victims:
        release, _ = self.published(spec, seed)
        own = self.seed("victims", spec, seed)
        return Victims(
            release.images,
            attacked_order(release, own),
            seed=own,
            device=self.device,
            progress=self.progress,
        )

    def _student(self, spec: str, seed: int, name: str, labels: str) -> StudentModel:
        """A student of a release, from scratch."""
        release, _ = self.published(spec, seed)
        images, recipe, own = release.images, self.suite.student.recipe, self.seed("student", name, seed)
        network = train(
            build(name, classes=len(images.classes), side=images.side, seed=own),
            images,
            recipe,
            seed=own,
            device=self.device,
            soft_labels=release.soft_labels if labels == "soft" else None,
            progress=self.progress,
        )
        return StudentModel(network, name, recipe)

    def _learned(self, seed: int) -> Callable[[Learner], Any]:
        """What attackers learn from their own images, each thing once; hangs on views, so it holds nothing else."""
        images, own, device = self.parts(seed).auxiliary, self.seed("auxiliary", seed), self.device
        return lru_cache(maxsize=4)(lambda learner: learner.learn(images, seed=own, device=device))

    def candidate_order(self, seed: int) -> Tensor:
        """The order of candidates: one a seed, so that what is learned from them serves every release."""
        parts = self.parts(seed)
        rng = generator("candidates", self.seed("candidates", seed))
        return torch.randperm(len(parts.members) + len(parts.holdout), generator=rng)

    def _shadowed(self, seed: int) -> Callable[[Learner], Any]:
        """The same from the candidates."""
        images, own, device = (
            self.parts(seed).candidates(self.candidate_order(seed)),
            self.seed("shadows", seed),
            self.device,
        )
        return lru_cache(maxsize=2)(lambda learner: learner.learn(images, seed=own, device=device))

    def truth(self, cell: Cell, scenario: Scenario, batch: int) -> Truth:
        """What the judge of a cell knows."""
        release, source = self.published(cell.defense, cell.seed)
        repetition = self.repetition(cell.seed)
        claimed = parse(cell.defense, defenses).claim.delta
        return Truth(
            released=release.images,
            victims=scenario.order,
            candidates=scenario.candidate_order,
            delta=DELTA if claimed is None else claimed,
            batch=batch,
            source_index=source,
            split=repetition.split,
            oracle=repetition.oracle,
            seed=self.seed("judge", cell.id),
            device=self.device,
        )
