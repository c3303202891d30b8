"""The victims: who computes gradients, trains models and federates on a release, each behind an access of a view."""

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from leakbench.attacks.attack import Attack
from leakbench.attacks.learner import Learner
from leakbench.attacks.memorization.memorization import Memorization, Shape
from leakbench.attacks.shared_gradients import SharedGradients
from leakbench.attacks.victims.clients import GradientClients, Share, share_gradients
from leakbench.attacks.victims.federation import Federation, HonestClient, federate
from leakbench.attacks.victims.owner import DataOwner
from leakbench.attacks.view import (
    Access,
    AnsweringModel,
    Encoder,
    HonestEncoder,
    Participant,
    PublishedModel,
    Seat,
    TrainedModel,
    View,
)
from leakbench.synth.defense import Release
from leakbench.synth.images import Images, Split
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe, predict
from leakbench.synth.seeds import derive_seed, seeded_rng

Rerun = Callable[[Images, nn.Module | None, Images, int], Release]


def idle(network: nn.Module) -> None:
    """Nobody looks."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Everything about the victims that a view can show, built from a release that was read back from disk.

    Args:
        release: what was published; of a defense that publishes no images, the members, which its victims hold.
        split: the dataset's parts; only `auxiliary` is ever shown.
        clients: of gradient attacks.
        federation: of GAN attacks.
        owner: of memorization attacks: runs the attacker's training code.
        share: what a client does to its gradients before sharing them (the defense's).
        trained: a network of this name trained on the release by this recipe and this training code, which sees the
            release in `order`; equal calls return equal networks.
        handed_out: told of every model that an attack has trained, as the data owner hands it out.
        train_on_auxiliary: what a learner makes of the auxiliary images.
        train_on_candidates: what it makes of the candidates.
        candidate_order: positions in the members with the holdout behind them.
        offered: what there is for attackers, by the roles of the defense.
        rerun: runs the defense on other images; where it reads a teacher and is given none, one is trained as the data
            owner's was.
        student: the student whose weights are seen.
        soft_student: the one of soft labels, where those are attacked.
        teacher: the network that the defense read.
        watch: shown a federation's model after every round, unless it is the control's.
        seed: of the victims.
        device: where to compute.
    """

    release: Release
    split: Split
    clients: GradientClients
    federation: Federation
    owner: DataOwner
    share: Share
    trained: Callable[[str, Recipe, Encoder], nn.Module]
    train_on_auxiliary: Callable[[Learner], Any]
    train_on_candidates: Callable[[Learner], Any]
    candidate_order: Tensor
    seed: int
    device: torch.device
    rerun: Rerun
    offered: frozenset[Access] = frozenset(Access)
    student: PublishedModel | None = None
    soft_student: PublishedModel | None = None
    teacher: PublishedModel | None = None
    handed_out: Callable[[nn.Module], None] = idle
    watch: Callable[[nn.Module], None] = idle

    @property
    def order(self) -> Tensor:
        """The order of attacked images: see :func:`attacked_order`."""
        return attacked_order(self.release, self.seed)

    def view(self, attack: Attack, name: str, *, null: bool = False) -> View:
        """The view of an attack: what it needs and nothing else.

        Args:
            attack: whose threat model counts.
            name: its name, for messages.
            null: the control: a student that never was trained, a federation whose other clients never train.
        """
        if beyond := attack.needs - self.offered:
            raise ValueError(f"{name} needs {', '.join(sorted(beyond))}, which there is not behind this defense")
        release = self.release
        published = replace(release, sources=None)
        teacher, rerun, soft = self.teacher, self.rerun, self.soft_student
        providers: dict[Access, Callable[[], Callable[..., object]]] = {
            Access.RELEASE: lambda: lambda: published,
            Access.AUXILIARY: self._auxiliary,
            Access.CANDIDATES: self._candidates,
            Access.MODEL: lambda: self._model(null),
            Access.SOFT_MODEL: lambda: lambda: soft,
            Access.TEACHER: lambda: lambda: teacher,
            Access.RERUN: lambda: rerun,
            Access.GRADIENTS: self._gradients,
            Access.TRAINER: self._trainer,
            Access.BLACK_BOX_TRAINER: self._black_box_trainer,
            Access.FEDERATION: lambda: self._seat(null),
        }
        if unknown := attack.needs - providers.keys():
            raise ValueError(f"{name} needs {', '.join(a.name for a in unknown)}, which no scenario provides yet")
        return View(threat_model=name, grants={access: providers[access]() for access in attack.needs})

    def describe(self, attack: Attack) -> tuple[str, dict[str, str]]:
        """What an attack's measurements depend on, in words: the victim, and by name what else there is to say."""
        if attack.family == "gradient":
            return self.clients.describe(self._build), {}
        if attack.family == "memorization":
            return self.owner.describe() + self._room(attack), {}
        if attack.family == "gan":
            return self._show_classes(attack)
        if Access.CANDIDATES not in attack.needs:
            return "the defense, on canaries", {}
        shown = {
            Access.MODEL: ("a student of the release", self.student),
            Access.SOFT_MODEL: ("a student of the release and its soft labels", self.soft_student),
            Access.TEACHER: ("the published teacher, or a network of the release where there is none", self.teacher),
        }
        by = [f"{what} ({model.name})" for access, (what, model) in shown.items() if access in attack.needs and model]
        looked_at = f", by {' and '.join(by)}" if by else ""
        return f"{len(self.split.members)} members among {len(self.split.holdout)} others{looked_at}", {}

    def _show_classes(self, attack: Attack) -> tuple[str, dict[str, str]]:
        if Access.FEDERATION in attack.needs:
            return self.federation.describe()
        assert self.student is not None
        return f"{self.student.name}, a student of the release", {"control": "an untrained student"}

    def _build(self, name: str, purpose: str, classes: int) -> nn.Module:
        images = self.release.images
        return build(name, classes=classes, side=images.side, seed=derive_seed(purpose, self.seed))

    def _gradients(self) -> Callable[[], SharedGradients]:
        released, clients, share, seed = self.release.images, self.clients, self.share, self.seed
        network = clients.start(self._build, self._honest, released).to(self.device)
        count = min(clients.victims, len(released)) // clients.batch * clients.batch
        if not count:
            raise ValueError(f"a client has {clients.batch} images, but the release holds only {len(released)}")
        images = released.take(self.order[:count])
        return lambda: share_gradients(clients, network, images, share, seed=seed)

    def _room(self, attack: Attack) -> str:
        if not isinstance(attack, Memorization):
            return ""
        images = self.release.images
        network = self._build(self.owner.network, "capacity", len(images.classes))
        shape: Shape = tuple(images.pixels.shape[1:])  # type: ignore[assignment]
        return "; " + attack.describe_capacity(network, shape, len(images.classes))

    def _honest(self, name: str, recipe: Recipe) -> nn.Module:
        return self.trained(name, recipe, HonestEncoder())

    def data_owner(self) -> Callable[[Encoder], nn.Module]:
        """What runs somebody's training code on the release and hands out the model."""
        owner, trained, images, seed, device = self.owner, self.trained, self.release.images, self.seed, self.device

        def run(encoder: Encoder) -> nn.Module:
            return owner.sanitize(trained(owner.network, owner.recipe, encoder), images, seed=seed, device=device)

        return run

    def _trainer(self) -> Callable[[Encoder], TrainedModel]:
        images, hand_out, handed_out = self.release.images, self.data_owner(), self.handed_out
        labels, runs = images.labels[self.order], itertools.count()

        def run(encoder: Encoder) -> TrainedModel:
            if next(runs):
                raise RuntimeError("the data owner runs an attacker's training code once")
            model = hand_out(encoder)
            handed_out(copy.deepcopy(model))
            return TrainedModel(model, tuple(images.pixels.shape[1:]), labels)  # type: ignore[arg-type]

        return run

    def _black_box_trainer(self) -> Callable[[Encoder], AnsweringModel]:
        classes, run, device = len(self.release.images.classes), self._trainer(), self.device

        def answering(encoder: Encoder) -> AnsweringModel:
            trained = run(encoder)

            def answer(pixels: Tensor) -> Tensor:
                return predict(trained.network, pixels, device=device).argmax(1)

            return AnsweringModel(answer, classes, trained.image_shape, trained.labels)

        return answering

    def _auxiliary(self) -> Callable[..., Any]:
        auxiliary, learned = self.split.auxiliary, self.train_on_auxiliary
        return lambda learner=None: auxiliary if learner is None else learned(learner)

    def _model(self, null: bool) -> Callable[[], PublishedModel]:
        student = self.student
        if student is None:
            raise ValueError("an attack needs the weights of a student, but none was trained")
        if null:
            untrained = self._build(student.name, "untrained student", len(self.release.images.classes))
            student = replace(student, network=untrained.to(self.device).eval())
        return lambda: student

    def _candidates(self) -> Callable[..., Any]:
        candidates, shadowed = self.split.candidates(self.candidate_order), self.train_on_candidates
        return lambda learner=None: candidates if learner is None else shadowed(learner)

    def _parts(self) -> list[Images]:
        """Each client's images: the classes are dealt out."""
        images = self.release.images
        dealt = torch.arange(len(images.classes)).tensor_split(self.federation.clients)
        return [images.take(torch.isin(images.labels, labels).nonzero().squeeze(1)) for labels in dealt]

    def _join(self, *, honest: bool) -> Callable[[Participant], nn.Module]:
        parts, rules, device, seed, watch = self._parts(), self.federation, self.device, self.seed, self.watch
        shared = self._build(rules.network, "federation", len(self.release.images.classes) + 1)

        def join(participant: Participant) -> nn.Module:
            fresh = copy.deepcopy(shared)
            return federate(
                fresh,
                parts,
                participant,
                rules,
                honest=honest,
                seed=seed,
                device=device,
                watch=watch if honest else idle,
            )

        return join

    def _seat(self, null: bool) -> Callable[[], Seat]:
        parts, rules, join = self._parts(), self.federation, self._join(honest=not null)
        classes = len(self.release.images.classes)
        others = tuple(range(classes))[: -len(torch.arange(classes).tensor_split(rules.clients)[-1])]
        return lambda: Seat(parts[-1], others, classes, rules.rounds, rules.learning_rate, join)

    def honest_federation(self) -> nn.Module:
        """The shared model where the attacker is a client like the others."""
        client = HonestClient(self._parts()[-1], self.federation, seed=self.seed, device=self.device)
        return self._join(honest=True)(client)


def attacked_order(release: Release, seed: int) -> Tensor:
    """The order of attacked images: positions in the release, drawn by seed; victim 0 comes first."""
    return torch.randperm(len(release.images), generator=seeded_rng("victims", seed))
