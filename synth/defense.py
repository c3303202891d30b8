"""What a defense is: one or more of three roles, what each may use, and what it claims."""

import math
from dataclasses import dataclass, field
from inspect import getattr_static
from typing import Any, Literal

import torch
from torch import Tensor, nn

from leakbench.synth.images import Images
from leakbench.synth.randomness import Randomness, SeededRandomness
from leakbench.synth.ranges import check_ranges


@dataclass(frozen=True)
class Release:
    """What is published.

    Args:
        images: uint8 images with hard labels.
        soft_labels: (N, K) probabilities, or None.
        sources: (N, k) positions of the k members that each image was made from, always two-dimensional; repeated
            where there are fewer than k, -1 for nobody. None where a whole class stands behind each image, or nobody.
            Known to the judge, never written among the published files.
        about: what is published of how it was made: ``defense``, its ``parameters``, its ``claim``.
    """

    images: Images
    soft_labels: Tensor | None = None
    sources: Tensor | None = None
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The formal guarantee that a defense states; none means epsilon = infinity, and unknown is not none.

    Args:
        kind: ``none``, ``differential-privacy`` or ``unknown``.
        epsilon: of (epsilon, delta)-differential privacy.
        delta: likewise.
        relation: the neighbouring relation.
        mechanism: what provides it.
        gaussian: whether that is one Gaussian mechanism and nothing else that reads the members: then stronger bounds
            hold.

    Raises:
        ValueError: an epsilon or delta that is negative or not finite.
    """

    kind: Literal["none", "differential-privacy", "unknown"] = "none"
    epsilon: float | None = None
    delta: float | None = None
    relation: Literal["", "add/remove one image", "replace one image"] = ""
    mechanism: str = ""
    gaussian: bool = False

    def __post_init__(self) -> None:
        for name in ("epsilon", "delta"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"a claim's {name} must be finite and not below 0, got {value}; none claims nothing")


NO_CLAIM = Claim()


class Resources:
    """What a defense may use beside the private images it is given.

    Args:
        seed: everything random derives from it, but for what a claim rests on.
        device: where to compute.
        teacher: a network trained on the members, or published by somebody, in evaluation mode.
        public: images of other people.
        randomness: for what a claim rests on (noise, who is drawn); from the seed by default, which makes the claim
            void for whoever knows the seed.
    """

    def __init__(
        self,
        *,
        seed: int,
        device: torch.device,
        teacher: nn.Module | None = None,
        public: Images | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        self.seed, self.device = seed, device
        self.randomness: Randomness = SeededRandomness(seed) if randomness is None else randomness
        self._teacher, self._public = teacher, public

    def with_public(self, images: Images) -> "Resources":
        """The same with other public images."""
        return Resources(
            seed=self.seed, device=self.device, teacher=self._teacher, public=images, randomness=self.randomness
        )

    @property
    def teacher(self) -> nn.Module:
        """The teacher.

        Raises:
            ValueError: there is none.
        """
        if self._teacher is None:
            raise ValueError("a teacher is needed, and there is none: a class that reads one says teacher_based = True")
        return self._teacher

    @property
    def public(self) -> Images:
        """The public images.

        Raises:
            ValueError: there are none.
        """
        if self._public is None:
            raise ValueError(
                "public images are needed, and there are none: a class that reads them says reads_public = True"
            )
        return self._public


@dataclass(frozen=True, kw_only=True)
class Defense:
    """What protects private images: a subclass of one or more of the three roles below.

    Subclasses are frozen, keyword-only dataclasses; their fields are their hyper-parameters. They are deterministic in
    what they are given, never mutate it, and never touch the global generator. What follows is said of `release`.
    """

    def __post_init__(self) -> None:
        """Check that every parameter is in the range that its annotation states."""
        check_ranges(self)

    def missing(self) -> str:
        """What this machine lacks that the defense needs, and how to get it; empty where nothing is missing."""
        return ""

    def reads(self) -> tuple[str, ...]:
        """Digests of what it reads beside what it is given: results are kept under them."""
        return ()

    teacher_based = False
    """Whether `release` reads the teacher: what is not read is not trained."""
    reads_public = False
    """Whether `release` reads public images, for whatever: others get none."""
    reads_public_labels = False
    """Whether it reads their labels too, which then must be of the members' classes."""
    shows_members = False
    """Whether released images show members, or may, as of what remembers them: they lie apart, not for publication."""
    relies_on_randomness = False
    """Whether what protects is random: who can draw it again can take it off."""
    publishes_soft_labels = False
    """Whether the release carries probabilities beside hard labels."""


@dataclass(frozen=True, kw_only=True)
class Synthesizer(Defense):
    """Turns members into images that are published: the only role that leaves a release."""

    @property
    def release_claim(self) -> Claim:
        """What is guaranteed of the release, and so of everything that is made from it; by default nothing."""
        return NO_CLAIM

    def release(self, members: Images, resources: Resources) -> Release:
        """What is published.

        Args:
            members: the private images.
            resources: what else may be used.
        """
        raise NotImplementedError(f"{type(self).__name__} must say what it releases")


@dataclass(frozen=True, kw_only=True)
class PrivateTrainer(Defense):
    """Protects by how students are trained on the members: networks are published, no images."""

    architecture = ""
    """The network that its students are, where it is none of the suite's."""

    @property
    def student_claim(self) -> Claim:
        """What is guaranteed of one student; by default nothing."""
        return NO_CLAIM

    def prepared(self, network: nn.Module) -> nn.Module:
        """The network that `train` trains: the one it is given, or one like it where layers must be changed."""
        return network

    def train(self, network: nn.Module, members: Images, resources: Resources) -> nn.Module:
        """How a student is trained.

        Args:
            network: freshly initialised.
            members: the private images.
            resources: what else may be used; neither a teacher nor public images.

        Returns:
            The trained network, of the architecture that `prepared` gives.
        """
        raise NotImplementedError(f"{type(self).__name__} must say how students are trained")


@dataclass(frozen=True, kw_only=True)
class GradientFilter(Defense):
    """Protects by what clients share of the gradients that they computed on their own images."""

    @property
    def gradients_claim(self) -> Claim:
        """What is guaranteed of one client's shared gradients; by default nothing."""
        return NO_CLAIM

    def share(self, gradients: tuple[Tensor, ...], resources: Resources) -> tuple[Tensor, ...]:
        """What is shared of them.

        Args:
            gradients: one for each parameter.
            resources: what else may be used; neither a teacher nor public images.
        """
        raise NotImplementedError(f"{type(self).__name__} must say what it shares of gradients")


ROLES: dict[str, type[Defense]] = {"release": Synthesizer, "train": PrivateTrainer, "share": GradientFilter}
"""The method of each role."""

CLAIMS: dict[type[Defense], str] = {
    Synthesizer: "release_claim",
    PrivateTrainer: "student_claim",
    GradientFilter: "gradients_claim",
}
"""The property of each role that says what it guarantees."""


def inspect(cls: type[Defense]) -> None:
    """Refuse what has no role, or does something that its roles do not say.

    Raises:
        ValueError: in one sentence, what to subclass.
    """
    roles = [role for role in ROLES.values() if issubclass(cls, role)]
    for method, role in ROLES.items():
        if hasattr(cls, method) and role not in roles:
            raise ValueError(f"{cls.__name__} has `{method}`: subclass leakbench.{role.__name__} for it")
    for role in roles:
        claim = CLAIMS[role]
        if claim in getattr(cls, "__annotations__", {}) or not isinstance(getattr_static(cls, claim), property):
            raise ValueError(f"{cls.__name__}.{claim} must be a property that returns a Claim: put @property above it")
    if not roles:
        raise ValueError(
            f"{cls.__name__} has no role: subclass Synthesizer (release), PrivateTrainer (train) or GradientFilter "
            "(share) of leakbench"
        )
