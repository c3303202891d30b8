"""What the stages of a run share: the data, the networks, the victims, each made once."""

import copy
from collections.abc import Callable
from dataclasses import asdict
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from leakbench.attacks.judging.observer import Observer
from leakbench.attacks.judging.truth import Truth
from leakbench.attacks.learner import Learner, Tensors
from leakbench.attacks.membership.teacher import TeacherTraining
from leakbench.attacks.victims.scenario import Scenario, attacked_order
from leakbench.attacks.victims.training import Victims
from leakbench.attacks.view import PublishedModel
from leakbench.benchmarks.stages.publish import claim_of
from leakbench.benchmarks.stages.seen import looked_for, seen_publicly
from leakbench.benchmarks.storage.environment import is_plugin, result_key
from leakbench.benchmarks.storage.run_folder import RunFolder
from leakbench.benchmarks.storage.store import Store, digest
from leakbench.benchmarks.suite.model import Suite, Training
from leakbench.benchmarks.suite.spec import attack_of, defense_of
from leakbench.reports.records import Cell
from leakbench.synth.defense import PrivateTrainer, Release, Resources, Synthesizer
from leakbench.synth.images import Images, Split, concatenate
from leakbench.synth.networks.architectures import PROBE, build
from leakbench.synth.networks.pretrained import PretrainedWeights
from leakbench.synth.networks.public import digests
from leakbench.synth.networks.training import Recipe, train
from leakbench.synth.networks.views import as_shown, labelled_views
from leakbench.synth.seeds import derive_seed, seeded_rng

Progress = Callable[[int, int], None]

DELTA = 1e-5
"""Delta of bounds on the epsilon of a defense that claims none."""


class RunContext:
    """Everything that stages share: the suite, the data, the folder; trains each network once.

    Args:
        suite: the grid.
        parts: the split of each seed, by its index.
        folder: the run folder.
        store: what was computed before, by this run or others.
        device: where to compute.
        progress: called with (done, total) of whatever is under way.
        weights: the teacher's, where somebody published them.
        public: what the public images' folder is called; None for a part of the dataset.
    """

    def __init__(
        self,
        suite: Suite,
        parts: Callable[[int], Split],
        folder: RunFolder,
        store: Store,
        device: torch.device,
        progress: Progress,
        weights: PretrainedWeights | None = None,
        public: str | None = None,
    ) -> None:
        self.suite, self.parts, self.folder, self.store = suite, parts, folder, store
        self.device, self.progress, self.weights, self.public = device, progress, weights, public
        self.oracle = cache(lambda seed: self.trained("oracle", suite.teacher, parts(seed).holdout, seed))
        self.teacher = cache(self._teacher)
        self.data_digest = cache(lambda seed: digest(*vars(parts(seed)).values()))
        self.attacked = cache(self._attacked)
        self.release_digest = cache(self._release_digest)
        self.victims = lru_cache(maxsize=1)(self._victims)
        self.student = lru_cache(maxsize=2)(self._student)
        self.train_on_auxiliary = cache(self._auxiliary)
        self.train_on_candidates = cache(self._candidates)
        self.observer = cache(self._observer)
        self.looked_for = lru_cache(maxsize=1)(lambda seed: looked_for(parts(seed)))
        self.seen_publicly = lru_cache(maxsize=1)(lambda seed: seen_publicly(parts(seed), device))
        self.linker = cache(self._linker)

    def apart(self) -> "RunContext":
        """The same over copies of the images: who changes those changes nobody else's."""
        parts = cache(lambda seed: copy.deepcopy(self.parts(seed)))
        return RunContext(
            self.suite, parts, self.folder, self.store, self.device, self.progress, self.weights, self.public
        )

    def seed(self, *names: object) -> int:
        """A seed derived from the suite's hash and names."""
        return derive_seed(self.suite.hash, *names)

    def _teacher(self, seed: int) -> nn.Module:
        """What defenses read: trained on the members, or published by somebody."""
        members = self.parts(seed).members
        if self.weights is None:
            return self.trained("teacher", self.suite.teacher, members, seed)
        return self.weights.load(members.side).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def trained(self, purpose: str, training: Training, images: Images, seed: int) -> nn.Module:
        """A network trained on images, from the store where it is there."""
        return self._network(purpose, training.network, training.recipe, images, None, seed)

    def _network(
        self,
        purpose: str,
        name: str,
        recipe: Recipe,
        images: Images,
        soft_labels: Tensor | None,
        seed: int,
        teacher: nn.Module | None = None,
    ) -> nn.Module:
        own = self.seed(purpose, seed)
        network = build(name, classes=len(images.classes), side=images.side, seed=self.seed(purpose, "init", seed))

        def compute() -> dict[str, Tensor]:
            train(
                network,
                images,
                recipe,
                seed=own,
                device=self.device,
                soft_labels=soft_labels,
                teacher=teacher,
                progress=self.progress,
            )
            return network.state_dict()

        soft = None if soft_labels is None else digest(soft_labels)
        taught = None if teacher is None else digest(*teacher.state_dict().values())
        what = [purpose, name, asdict(recipe), own, soft, taught, *_read_by(name)]
        key = result_key("network", ("synth", "metrics"), self.device, what, images)
        network.load_state_dict(self.store.tensors(key, compute))
        return network.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]

    def _attacked(self, spec: str, seed: int) -> tuple[Release, Tensor | None]:
        """What victims hold, and the judge's pairing: the release as the world sees it; else the members themselves."""
        if isinstance(defense_of(spec), Synthesizer):
            return self.folder.load_release(spec, seed)
        members = self.parts(seed).members
        return Release(members), torch.arange(len(members))[:, None]

    def _victims(self, spec: str, seed: int) -> Victims:
        release, _ = self.attacked(spec, seed)
        own = self.seed("victims", spec, seed)
        return Victims(
            release.images,
            attacked_order(release, own),
            seed=own,
            device=self.device,
            progress=self.progress,
        )

    def _student(self, spec: str, seed: int, name: str, labels: str) -> PublishedModel:
        """A student of a release, from scratch."""
        defense = defense_of(spec)
        if isinstance(defense, PrivateTrainer):
            return PublishedModel(self._protected(defense, spec, seed, name), name, self.suite.student.recipe)
        release, _ = self.attacked(spec, seed)
        recipe, soft = self.suite.student.recipe, release.soft_labels if labels == "soft" else None
        teacher, images = self.teacher(seed) if labels == "teacher" else None, release.images
        if labels == "views":
            own, count = self.seed("views", spec, seed), self.suite.student.views
            asked = self.teacher(seed)
            images, soft = labelled_views(images, asked, recipe, count=count, seed=own, device=self.device)
            recipe = as_shown(recipe)
        network = self._network(f"student {name}", name, recipe, images, soft, seed, teacher)
        return PublishedModel(network, name, recipe)

    def _protected(self, defense: PrivateTrainer, spec: str, seed: int, name: str) -> nn.Module:
        """A student that the defense itself trains on the members, from the store where it is there."""
        members, own = self.parts(seed).members, self.seed("protected", spec, name, seed)
        fresh = build(name, classes=len(members.classes), side=members.side, seed=own)

        def trained() -> nn.Module:
            return defense.train(fresh, members, Resources(seed=own, device=self.device))

        if is_plugin(type(defense)):
            return trained().to(self.device).eval()
        key = result_key(
            "network", ("synth", "metrics"), self.device, ["protected", spec, name, own, *defense.reads()], members
        )
        network = defense.prepared(fresh)
        network.load_state_dict(self.store.tensors(key, lambda: trained().state_dict()))
        return network.to(self.device).eval()

    def _remembered(self, images: Images, seed: int) -> Callable[[Learner], Any]:
        """What attackers learn from images, each thing once; hangs on views, so it holds nothing of the context."""
        store, device, own = self.store, self.device, digest(images)

        def recall(learner: Learner) -> Any:
            def compute() -> Tensors:
                return learner.learn(images, seed=seed, device=device)

            if is_plugin(type(learner)):  # nobody would notice that somebody else's code has changed
                return learner.restore(compute(), images, device=device)
            settings = asdict(learner)  # type: ignore[call-overload]
            what = [type(learner).__qualname__, settings, seed, own, *_read_by(settings.get("network"))]
            key = result_key("learned", ("synth", "attacks", "metrics"), device, what)
            return learner.restore(store.tensors(key, compute), images, device=device)

        return lru_cache(maxsize=4)(recall)

    def candidate_order(self, seed: int) -> Tensor:
        """The order of candidates: one a seed, so that what is learned from them serves every release."""
        parts = self.parts(seed)
        rng = seeded_rng("candidates", self.seed("candidates", seed))
        return torch.randperm(len(parts.members) + len(parts.holdout), generator=rng)

    def _auxiliary(self, seed: int) -> Callable[[Learner], Any]:
        """What attackers learn from their own images."""
        return self._remembered(self.parts(seed).auxiliary, self.seed("auxiliary", seed))

    def _candidates(self, seed: int) -> Callable[[Learner], Any]:
        """The same from the candidates."""
        return self._remembered(self.parts(seed).candidates(self.candidate_order(seed)), self.seed("shadows", seed))

    def _release_digest(self, spec: str, seed: int) -> str:
        release, source = self.attacked(spec, seed)
        soft = None if release.soft_labels is None else release.soft_labels.tolist()
        return digest(release.images, soft, None if source is None else source.tolist(), release.about)

    def _observer(self, seed: int) -> Observer:
        """A network of an attacker's own, that has seen neither members nor holdout."""
        training, parts = self.suite.teacher, self.parts(seed)
        network = self.train_on_auxiliary(seed)(TeacherTraining(network=training.network, recipe=training.recipe))
        return Observer(network, concatenate(parts.members, parts.holdout), self.device)

    def _linker(self, seed: int, of_teacher: bool) -> Observer:
        """Among members alone, since a teacher knows all of them."""
        network = self.teacher(seed) if of_teacher else self.observer(seed).network
        return Observer(network, self.parts(seed).members, self.device)

    def truth(self, cell: Cell, scenario: Scenario, batch: int) -> Truth:
        """What the judge of a cell knows."""
        release, source = self.attacked(cell.defense, cell.seed)
        claim, attack, parts = claim_of(cell), attack_of(cell.method), self.parts(cell.seed)
        observer = None if attack.family == "membership" else self.observer(cell.seed)
        of_teacher = self.suite.teacher.published and defense_of(cell.defense).teacher_based
        return Truth(
            released=release.images,
            victims=scenario.order,
            candidates=scenario.candidate_order,
            delta=DELTA if claim.delta is None else claim.delta,
            gaussian=claim.gaussian,
            batch=batch,
            sources=source,
            split=parts,
            seed=self.seed("judge", cell.id),
            device=self.device,
            oracle=self.oracle(cell.seed) if attack.goal == "class" else None,
            linker=observer and self.linker(cell.seed, of_teacher),
            observer=observer,
        )


def _read_by(network: str | None) -> tuple[str, ...]:
    """Digests of what an architecture is built of: networks are kept under it."""
    return digests() if network == PROBE else ()
