"""The victims: who computes gradients, trains models and federates on a release, each behind an access of a view."""

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attacks.gradient.clients import GradientClients, Share, share_gradients
from attacks.memorization.memorization import Memorization, Shape
from attacks.memorization.owner import DataOwner
from attacks.registry import Attack
from attacks.view import (
    Access,
    AnsweringModel,
    Encoder,
    HonestEncoder,
    Participant,
    Seat,
    SharedGradients,
    TrainedModel,
    View,
)
from synth.networks import build
from synth.training import Recipe, autocast, batches, predict
from synth.types import Images, Release, Split, concatenate, derive_seed, generator


@dataclass(frozen=True, kw_only=True)
class Federation:
    """Clients that train together by federated averaging (arXiv 1602.05629), the classes dealt out among them.

    Args:
        network: name of the shared network; it gets one extra output.
        clients: how many, the attacker (the last) among them.
        rounds: communication rounds.
        local_steps: SGD steps of a client in a round.
        batch_size: of a local step.
        learning_rate: of local SGD with momentum 0.9.
    """

    network: str = "dcgan"
    clients: int = 2
    rounds: int = 30
    local_steps: int = 8
    batch_size: int = 64
    learning_rate: float = 0.02

    def __post_init__(self) -> None:
        if self.clients < 2:
            raise ValueError(f"a federation needs at least 2 clients, got {self.clients}")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Everything about the victims that a view can show, built from a release that was read back from disk.

    Args:
        release: what was published.
        split: the dataset's parts; only `auxiliary` is ever shown.
        clients: of gradient attacks.
        federation: of GAN attacks.
        owner: of memorization attacks: runs the attacker's training code.
        share: what a client does to its gradients before sharing them (the defense's).
        trained: a network of this name trained on the release by this recipe and this training code, which sees the
            release in `order`; equal calls return equal networks.
        handed_out: told of every model that an attack has trained, as the data owner hands it out.
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
    seed: int
    device: torch.device
    handed_out: Callable[[nn.Module], None] = lambda network: None

    @property
    def candidate_order(self) -> Tensor:
        """The order of candidates: positions in the members with the holdout behind them, drawn by seed."""
        count = len(self.split.members) + len(self.split.holdout)
        return torch.randperm(count, generator=generator("candidates", self.seed))

    @property
    def order(self) -> Tensor:
        """The order of attacked images: see :func:`attacked_order`."""
        return attacked_order(self.release, self.seed)

    def view(self, attack: Attack, name: str, *, null: bool = False) -> View:
        """The view of an attack: what it needs and nothing else.

        Args:
            attack: whose threat model counts.
            name: its name, for messages.
            null: the control: a federation whose other clients never train.
        """
        release, auxiliary = self.release, self.split.auxiliary
        published = Release(release.images, soft_labels=release.soft_labels)
        providers: dict[Access, Callable[[], Callable[..., object]]] = {
            Access.RELEASE: lambda: lambda: published,
            Access.AUXILIARY: lambda: lambda: auxiliary,
            Access.CANDIDATES: self._candidates,
            Access.GRADIENTS: self._gradients,
            Access.TRAINER: self._trainer,
            Access.BLACK_BOX_TRAINER: self._black_box_trainer,
            Access.FEDERATION: lambda: self._seat(null),
        }
        if unknown := attack.needs - providers.keys():
            raise ValueError(f"{name} needs {', '.join(a.name for a in unknown)}, which no scenario provides yet")
        return View(threat_model=name, grants={access: providers[access]() for access in attack.needs})

    def conditions(self, attack: Attack) -> dict[str, str]:
        """What an attack's figures depend on: the state of the attacked network, in words."""
        rules = self.federation
        return {
            "gradient": {"victim": self.clients.describe(self._build)},
            "memorization": {"victim": self.owner.describe() + self._room(attack)},
            "gan": {
                "victim": f"{rules.network}, {rules.clients} clients",
                "rounds": f"{rules.rounds} of {rules.local_steps} local steps",
                "control": "the other clients never train",
            },
            "membership": {
                "victim": f"{len(self.split.members)} members among {len(self.split.holdout)} others",
            },
        }[attack.family]

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
            return owner.wash(trained(owner.network, owner.recipe, encoder), images, seed=seed, device=device)

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

    def _candidates(self) -> Callable[[], Images]:
        members, holdout = self.split.members, self.split.holdout
        candidates = concatenate(members, holdout).take(self.candidate_order)
        return lambda: candidates

    def _seat(self, null: bool) -> Callable[[], Seat]:
        images, rules, device, seed = self.release.images, self.federation, self.device, self.seed
        classes = len(images.classes)
        shared = self._build(rules.network, "federation", classes + 1)
        dealt = torch.arange(classes).tensor_split(rules.clients)
        parts = [images.take(torch.isin(images.labels, labels).nonzero().squeeze(1)) for labels in dealt]
        others = tuple(label for labels in dealt[:-1] for label in labels.tolist())

        def seat() -> Seat:
            def join(participant: Participant) -> nn.Module:
                return federate(
                    copy.deepcopy(shared), parts, participant, rules, honest=not null, seed=seed, device=device
                )

            return Seat(parts[-1], others, classes, rules.rounds, join)

        return seat


def attacked_order(release: Release, seed: int) -> Tensor:
    """The order of attacked images: positions in the release, drawn by seed; victim 0 comes first."""
    return torch.randperm(len(release.images), generator=generator("victims", seed))


def local_training(
    network: nn.Module, images: Images, rules: Federation, *, rng: torch.Generator, device: torch.device
) -> nn.Module:
    """A client's round: a few steps of SGD on its own images, in place."""
    network.to(device).train()
    pixels, labels = images.pixels.to(device), images.labels.to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=rules.learning_rate, momentum=0.9)
    for _, index in zip(range(rules.local_steps), batches(len(images), rules.batch_size, rng), strict=False):
        with autocast(device):
            logits = network(pixels[index].float().div_(255))
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(logits.float(), labels[index]).backward()
        optimizer.step()
    return network.eval()


def federate(
    shared: nn.Module,
    parts: list[Images],
    participant: Participant,
    rules: Federation,
    *,
    honest: bool,
    seed: int,
    device: torch.device,
) -> nn.Module:
    """Play all rounds of a federation and return the final shared model.

    Args:
        shared: the initial model.
        parts: each client's images; the last client is the participant.
        participant: the attacker.
        rules: the federation's constants.
        honest: whether the other clients train; in the control they send back what they got.
        seed: of the clients' batches.
        device: where to compute.
    """
    shared = shared.to(device)
    weights = torch.tensor([len(part) for part in parts], dtype=torch.float32)
    weights = weights / weights.sum()
    streams = [generator("client", seed, client, device=device) for client in range(len(parts) - 1)]
    for round_index in range(rules.rounds):
        uploads = []
        for part, rng in zip(parts[:-1], streams, strict=True):
            model = copy.deepcopy(shared)
            uploads.append(local_training(model, part, rules, rng=rng, device=device) if honest else model)
        uploads.append(participant.local_round(copy.deepcopy(shared).eval(), round_index))
        with torch.no_grad():
            for target, *sent in zip(
                shared.state_dict().values(), *(u.state_dict().values() for u in uploads), strict=True
            ):
                average = sum(w * s.float() for w, s in zip(weights, sent, strict=True))
                target.copy_(average)
    return shared.eval()
