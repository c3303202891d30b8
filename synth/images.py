"""Images at rest, and the disjoint parts of a dataset."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import rgb_to_grayscale


def to_bytes(pixels: Tensor) -> Tensor:
    """Pixels in [0, 1] as uint8, rounded."""
    return (pixels * 255).round().to(torch.uint8)


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

    @property
    def is_gray(self) -> bool:
        """Whether all channels of every image are equal."""
        return bool((self.pixels == self.pixels[:, :1]).all())

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


def round_robin_by_class(labels: Tensor, rng: torch.Generator) -> Tensor:
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
