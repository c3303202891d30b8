"""The words of the project as types: images, their parts, a release; and where seeds come from."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
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
