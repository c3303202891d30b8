"""The words of the project as types: images, a release, a claim, a defense."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import rgb_to_grayscale


def derive_seed(*names: object) -> int:
    """A 63-bit seed from names (suite, cell, component), so that no two components share a stream.

    Args:
        names: anything with a stable ``str``; order counts.
    """
    digest = hashlib.sha256("\x1f".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*names: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own for a named component; the global generator is never touched."""
    return torch.Generator(device=device).manual_seed(derive_seed(*names))


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed the global generator, the only one that initialisers and dropout know, and leave it as it was.

    Args:
        seed: any integer.
        device: whose generator is restored beside the CPU's.
    """
    with torch.random.fork_rng(devices=[device] if device is not None and device.type == "cuda" else []):
        torch.manual_seed(seed % 2**63)
        yield


@dataclass(frozen=True)
class Images:
    """Labelled images at rest.

    Args:
        pixels: uint8 (N, C, H, W).
        labels: int64 (N,) in 0..len(classes)-1.
        classes: the classes' names; the label is the index.

    Raises:
        ValueError: wrong dtype or shape, or a label outside the classes.
    """

    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.pixels.dtype != torch.uint8 or self.pixels.ndim != 4:
            raise ValueError(f"pixels must be uint8 (N, C, H, W), got {self.pixels.dtype} {tuple(self.pixels.shape)}")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.pixels.shape[:1]:
            found = f"{self.labels.dtype} {tuple(self.labels.shape)}"
            raise ValueError(f"labels must be int64 ({len(self.pixels)},), got {found}")
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ValueError(f"labels must be in 0..{len(self.classes) - 1}")

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def side(self) -> int:
        """Pixels of the shorter side."""
        return int(min(self.pixels.shape[-2:]))

    def take(self, index: Tensor) -> "Images":
        """The images at these positions, in this order."""
        return replace(self, pixels=self.pixels[index], labels=self.labels[index])

    def of_class(self, label: int) -> "Images":
        """The images of one class, in order."""
        return self.take((self.labels == label).nonzero().squeeze(1))

    def gray(self) -> "Images":
        """The luma (ITU-R BT.601) of the images, (N, 1, H, W)."""
        return replace(self, pixels=rgb_to_grayscale(self.pixels))

    def float(self) -> Tensor:
        """The pixels as float32 in [0, 1]."""
        return self.pixels.float() / 255


def concatenate(*parts: Images) -> Images:
    """Images of the same classes, one part behind the other."""
    pixels, labels = torch.cat([part.pixels for part in parts]), torch.cat([part.labels for part in parts])
    return Images(pixels, labels, parts[0].classes)


def classes_in_turn(labels: Tensor, rng: torch.Generator) -> Tensor:
    """(N,) all positions in random order, but the classes in turn for as long as each has images left."""
    order = torch.randperm(len(labels), generator=rng)
    shuffled = labels[order]
    turn = torch.empty_like(order)
    for label in shuffled.unique():
        of_class = shuffled == label
        turn[of_class] = torch.arange(int(of_class.sum()))
    return order[(turn * (int(labels.max()) + 1) + shuffled).argsort()]


@dataclass(frozen=True, kw_only=True)
class Split:
    """The disjoint parts of a dataset, by seed.

    Args:
        members: private images that go into the release.
        holdout: images of the same distribution that do not; as many as members.
        auxiliary: images that an attacker may own.
        public: images of other people that a defense may use, and that `disjoint` releases.
        test: real images that students are tested on.
    """

    members: Images
    holdout: Images
    auxiliary: Images
    public: Images
    test: Images

    def candidates(self, order: Tensor) -> Images:
        """The members with the holdout behind them, in this order: who is who cannot be seen from the images."""
        return concatenate(self.members, self.holdout).take(order)


@dataclass(frozen=True)
class Release:
    """What is published.

    Args:
        images: uint8 images with hard labels.
        soft_labels: (N, K) probabilities, or None.
        source_index: (N,) the member each image was made from, where there is exactly one, or (N, k) the k members
            whose common statistics it was made from; -1 there for nobody, repeated where there are fewer than k. None
            where a whole class stands behind each image, or nobody. Known to the judge, never written among the
            published files.
        about: what is published of how it was made: ``defense``, its ``parameters``, its ``claim``.
    """

    images: Images
    soft_labels: Tensor | None = None
    source_index: Tensor | None = None
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
    """

    kind: Literal["none", "differential-privacy", "unknown"]
    epsilon: float | None = None
    delta: float | None = None
    relation: Literal["", "add/remove one image", "replace one image"] = ""
    mechanism: str = ""

    def __post_init__(self) -> None:
        for name in ("epsilon", "delta"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"a claim's {name} must be finite and not below 0, got {value}; none claims nothing")


@dataclass(frozen=True, kw_only=True)
class Defense:
    """Turns members into a release; each of its points of action does nothing by default.

    They are three: `release`, `train` and `share`. Subclasses are frozen, keyword-only dataclasses; their fields are
    their hyper-parameters. They are deterministic in the seed, never mutate their input and never touch the global
    generator.
    """

    claim: Claim = field(default=Claim(kind="none"), repr=False, kw_only=True)
    teacher_based = False
    """Whether `release` reads the teacher: what is not read is not trained."""
    publishes_soft_labels = False

    def release(
        self, members: Images, *, teacher: nn.Module | None, public: Images, seed: int, device: torch.device
    ) -> Release:
        """What is published; by default the members themselves.

        Args:
            members: the private images.
            teacher: a network trained on the members, in evaluation mode, if `teacher_based`.
            public: images of other people that the defense may use.
            seed: everything random derives from it.
            device: where to compute.
        """
        return Release(members, source_index=torch.arange(len(members)))

    @property
    def trains(self) -> bool:
        """Whether `train` does anything: then students learn from the members by it, not from the release."""
        return type(self).train is not Defense.train

    def prepared(self, network: nn.Module) -> nn.Module:
        """The network that `train` trains: the one it is given, or one like it where layers must be changed."""
        return network

    def train(self, network: nn.Module, members: Images, *, seed: int, device: torch.device) -> nn.Module:
        """How a student is trained, where that is what protects the members; by default no such thing.

        Args:
            network: freshly initialised.
            members: the private images.
            seed: everything random derives from it.
            device: where to compute.

        Returns:
            The trained network, of the architecture that `prepared` gives.
        """
        raise NotImplementedError(f"{type(self).__name__} does nothing to training")

    def share(self, gradients: tuple[Tensor, ...], *, seed: int) -> tuple[Tensor, ...]:
        """What a client shares of the gradients it computed; by default all, unchanged."""
        return gradients
