"""What an attack is allowed to see: a view that holds exactly the granted accesses and nothing of the truth."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from leakbench.attacks.learner import Learner
from leakbench.attacks.shared_gradients import SharedGradients
from leakbench.synth.defense import Release
from leakbench.synth.images import Images
from leakbench.synth.networks.training import Extra, Penalty, Recipe


class Access(StrEnum):
    """What a threat model can grant."""

    RELEASE = "the released images and labels"
    AUXILIARY = "images of other people, of the same distribution"
    CANDIDATES = "members and holdout images, shuffled and unmarked"
    MODEL = "the weights of a student trained on the release"
    SOFT_MODEL = "the weights of a student trained on the release and its soft labels"
    GRADIENTS = "the gradients of client steps on the release"
    TRAINER = "the training code that runs on the release, and the weights of the model that it makes"
    BLACK_BOX_TRAINER = "the training code that runs on the release, and the answers of the model that it makes"
    FEDERATION = "a seat among the clients that train on the release"
    TEACHER = "the network that the defense read, published beside the release"
    RERUN = "calls of the defense on data of the attacker's choice"


STUDENTS = frozenset({Access.MODEL, Access.SOFT_MODEL})
"""The accesses to students of a release."""


def of_the_teacher(needs: frozenset[Access]) -> bool:
    """Whether an attack is on the teacher itself; others look through one at a release, as they could through any."""
    return Access.TEACHER in needs and Access.RELEASE not in needs


class AccessDenied(PermissionError):
    """An attack touched what its threat model does not grant."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """What the attacker's training code does beside training; each part does nothing by default.

    Args:
        extra: images of the attacker's making, trained on beside the release.
        penalty: of the network, added to the loss at every step.
        finish: called with the network once it is trained; may overwrite its weights.
    """

    extra: Extra | None = None
    penalty: Penalty | None = None
    finish: Callable[[nn.Module], None] | None = None


@runtime_checkable
class Encoder(Protocol):
    """Training code of the attacker's: it sees the training images. Hashable; equal encoders must do the same."""

    def __hash__(self) -> int:
        """By value, as a frozen dataclass does."""
        ...

    def encode(self, network: nn.Module, images: Images) -> Encoding:
        """Decide what to do in the training of a network on the release.

        Args:
            network: freshly initialised; a copy, to be looked at.
            images: the training images; those that are to be hidden come first.
        """
        ...


@dataclass(frozen=True)
class HonestEncoder:
    """The same training code without an attacker."""

    def encode(self, network: nn.Module, images: Images) -> Encoding:
        """Nothing beside training."""
        return Encoding()


@dataclass(frozen=True)
class TrainedModel:
    """What comes back from the attacker's training code: the model, and what is public about its training set.

    Args:
        network: the trained network.
        image_shape: (C, H, W) of a training image.
        labels: (N,) the training labels in the order in which `Encoder.encode` saw them: they are part of the release.
    """

    network: nn.Module
    image_shape: tuple[int, int, int]
    labels: Tensor


@dataclass(frozen=True)
class AnsweringModel:
    """The same where only answers come back.

    Args:
        answer: from uint8 images (N, C, H, W) to the labels (N,) that the model gives them.
        classes: K, labels that it may give.
        image_shape: (C, H, W) of a training image.
        labels: (N,) the training labels in the order in which `Encoder.encode` saw them: they are part of the release.
    """

    answer: Callable[[Tensor], Tensor]
    classes: int
    image_shape: tuple[int, int, int]
    labels: Tensor


@dataclass(frozen=True)
class PublishedModel:
    """A network that was published, a student or a teacher, and what its publisher tells of it.

    Args:
        network: the trained network.
        name: of its architecture, for `architectures.build`.
        recipe: by which it was trained.
    """

    network: nn.Module
    name: str
    recipe: Recipe


@runtime_checkable
class Participant(Protocol):
    """A client of a federation: it gets the shared model every round and returns what it uploads."""

    def local_round(self, shared: nn.Module, round_index: int) -> nn.Module:
        """Work on a copy of the shared model, and return the model to upload."""
        ...


@dataclass(frozen=True)
class Seat:
    """A client's place in a federation, with one extra class in the shared model.

    Args:
        own: the attacker's own part of the training data.
        others: labels of the classes that the other clients hold.
        extra_class: the output that belongs to no class.
        rounds: communication rounds.
        learning_rate: of the clients' local steps, which everybody is told.
        join: plays the whole federation with this participant and returns the final shared model.
    """

    own: Images
    others: tuple[int, ...]
    extra_class: int
    rounds: int
    learning_rate: float
    join: Callable[[Participant], nn.Module]


@dataclass(frozen=True, kw_only=True)
class View:
    """Grants accesses; touching any other raises.

    The accesses are reached through methods that build fresh copies, so an attack can change what it gets without
    changing what others see. Python cannot keep a determined cheat in the same process from the truth; the wall is
    that no reference to it hangs on the view (a test walks them) and that a judge of its own does the grading.

    Args:
        threat_model: the attack's name, for messages.
        grants: access to a function that provides it.
    """

    threat_model: str
    grants: dict[Access, Callable[..., Any]] = field(repr=False)

    def _get(self, access: Access, *arguments: Any) -> Any:
        if access not in self.grants:
            granted = ", ".join(sorted(a.name for a in self.grants)) or "nothing"
            raise AccessDenied(
                f"the threat model of {self.threat_model} does not grant {access.name} ({access.value}); "
                f"it grants {granted}"
            )
        return self.grants[access](*arguments)

    def release(self) -> Release:
        """RELEASE: what was published."""
        return copy.deepcopy(self._get(Access.RELEASE))  # type: ignore[no-any-return]

    def auxiliary(self) -> Images:
        """AUXILIARY: the attacker's own images."""
        return copy.deepcopy(self._get(Access.AUXILIARY))  # type: ignore[no-any-return]

    def train_on_auxiliary(self, learner: Learner) -> Any:
        """AUXILIARY: what the learner makes of the attacker's own images; equal learners are run once a seed."""
        return copy.deepcopy(self._get(Access.AUXILIARY, learner))

    def candidates(self) -> Images:
        """CANDIDATES: members and holdout images, shuffled and unmarked."""
        return copy.deepcopy(self._get(Access.CANDIDATES))  # type: ignore[no-any-return]

    def train_on_candidates(self, learner: Learner) -> Any:
        """CANDIDATES: what the learner makes of all of them, in their order; equal learners are run once a seed."""
        return copy.deepcopy(self._get(Access.CANDIDATES, learner))

    def model(self) -> PublishedModel:
        """MODEL: a student trained on the release."""
        return copy.deepcopy(self._get(Access.MODEL))  # type: ignore[no-any-return]

    def soft_model(self) -> PublishedModel:
        """SOFT_MODEL: a student of the release's soft labels; of a release without any, of its hard ones."""
        return copy.deepcopy(self._get(Access.SOFT_MODEL))  # type: ignore[no-any-return]

    def teacher(self) -> PublishedModel:
        """TEACHER: the network that the defense read; of a defense without one, a network trained on the release."""
        return copy.deepcopy(self._get(Access.TEACHER))  # type: ignore[no-any-return]

    def rerun(self, members: Images, *, public: Images, seed: int, teacher: nn.Module | None = None) -> Release:
        """RERUN: what the defense makes of images of the attacker's choice, with who stands behind each released one.

        A teacher-based defense that is given no teacher trains one on these images, as the data owner did.
        """
        return self._get(Access.RERUN, members, teacher, public, seed)  # type: ignore[no-any-return]

    def gradients(self) -> SharedGradients:
        """GRADIENTS: what clients shared of their steps on the release."""
        return copy.deepcopy(self._get(Access.GRADIENTS))  # type: ignore[no-any-return]

    def train(self, encoder: Encoder) -> TrainedModel:
        """TRAINER: run the attacker's training code on the release; only the model comes back.

        It runs once, on a copy of `encoder`, so what that notes down about the images stays behind. That is no sandbox:
        code that shelves images on its class or in its module cheats, and proves nothing about a release.

        Raises:
            RuntimeError: it has run before.
        """
        return self._get(Access.TRAINER, copy.deepcopy(encoder))  # type: ignore[no-any-return]

    def train_black_box(self, encoder: Encoder) -> AnsweringModel:
        """BLACK_BOX_TRAINER: the same, but only the model's answers come back."""
        return self._get(Access.BLACK_BOX_TRAINER, copy.deepcopy(encoder))  # type: ignore[no-any-return]

    def federation(self) -> Seat:
        """FEDERATION: a seat among the clients."""
        return self._get(Access.FEDERATION)  # type: ignore[no-any-return]
