"""What is audited: private, released, and maybe other pictures, from any source and of any size."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leakbench.benchmarks.audit.kept import kept
from leakbench.benchmarks.audit.track import Track, unwatched
from leakbench.metrics.copies import SSIM_WINDOW
from leakbench.metrics.described import GEOMETRIES, LARGEST_VIEW, Described, Geometry, One, collected, describe
from leakbench.metrics.neighbours import nearest
from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.data.pictures import Header, Pictures, by_their_depth, class_names, labels
from leakbench.synth.data.sources import open_pictures
from leakbench.synth.images import Images, Split
from leakbench.synth.seeds import seeded_rng

FEWEST = 40
"""Holdout images: half of them are the attacker's, and the other half must resolve anything."""
TWIN = 12.0
"""Root of the mean squared difference, of 255, up to which two images are all but the same."""


@dataclass(frozen=True)
class Folder:
    """One of the sources.

    Args:
        pictures: as they are.
        described: what they are recognised by.
    """

    pictures: Pictures
    described: Described

    def __len__(self) -> int:
        return len(self.pictures)

    def take(self, index: Tensor) -> "Folder":
        """The pictures at these positions."""
        return Folder(self.pictures.take(index), self.described.take(index))


@dataclass(frozen=True)
class Folders:
    """What is audited.

    Args:
        private: the private pictures.
        released: those that are to be published.
        holdout: pictures of the same kind that were not used, or None.
        classes: the class folders that all of them have; empty where they differ, or are none.
        notes: what their owner should know of how they were read, in words.
        dropped: pictures of the holdout that are private ones, byte for byte or turned, and were left out of it.
        details: whether pictures were described by local features as well.
    """

    private: Folder
    released: Folder
    holdout: Folder | None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    dropped: int = 0
    details: bool = True

    @property
    def geometries(self) -> tuple[Geometry, ...]:
        """How pictures were made square: in one way where all are, else as trainings do, in both."""
        return tuple(self.private.described.views)

    def images(self, folder: Folder, geometry: Geometry) -> Images:
        """Views of the pictures, with their classes."""
        view = folder.described.views[geometry]
        if not self.classes:
            return unlabelled(view)
        return Images(view, labels(class_names(folder.pictures), self.classes), self.classes)

    def parts(self, seed: int, geometry: Geometry) -> tuple[Split, Tensor]:
        """Half of the holdout is the attacker's, the other half is who was not in; and who of the private is a member.

        Images of which the attacker holds all but the same are left out on both sides: where a burst or a person's
        pictures are all private or all holdout, only those who were not in would have such a twin. Who is what is the
        same in each geometry.
        """
        assert self.holdout is not None
        order = torch.randperm(len(self.holdout), generator=seeded_rng("holdout", seed))
        halves = order.tensor_split(2)
        first = self.geometries[0]
        own, others = (self.images(self.holdout, first).take(part) for part in halves)
        kept, rest = (without_twins(images, own) for images in (self.images(self.private, first), others))
        members = self.images(self.private, geometry).take(kept)
        own, others = (self.images(self.holdout, geometry).take(part) for part in halves)
        return Split(members=members, holdout=others.take(rest), auxiliary=own, public=own, test=others), kept


def open_folders(
    private: Any,
    released: Any,
    holdout: Any = None,
    image_size: int | None = None,
    *,
    details: bool = True,
    keep: Path | None = None,
    index: Path | None = None,
    track: Track = unwatched,
) -> Folders:
    """Read what is to be audited.

    Args:
        private: a source of pictures, as `synth.data.sources.open_pictures` takes it.
        released: another.
        holdout: another, or None.
        image_size: pixels a side that pictures are compared at as a whole; chosen where None.
        details: whether local features are looked at, by which parts of pictures are found.
        keep: a folder in which what was seen is kept, and found again; nowhere where None.
        index: another for private and holdout pictures, for the next audit of them; `keep` where None.
        track: shows how far it is.

    Raises:
        DataProblems: everything that is wrong with any of them.
    """
    problems: list[str] = []
    given = {"--private": private, "--released": released, "--holdout": holdout}
    opened = {option: open_pictures(source, problems, option) for option, source in given.items() if source is not None}
    headers = {option: pictures.headers() for option, pictures in opened.items()}
    problems += [header for found in headers.values() for header in found if isinstance(header, str)]
    problems += _unseen(opened["--released"], headers["--released"])
    if problems:
        raise DataProblems(problems)
    sizes = {option: [h.size for h in found if isinstance(h, Header)] for option, found in headers.items()}
    side, geometries = _views(sizes, image_size)

    def look(array: NDArray[np.uint8]) -> One:
        return describe(array, side, geometries, details=details)

    def seen(option: str, pictures: Pictures) -> Folder:
        where = keep if option == "--released" else index or keep
        again = look if where is None else partial(kept, where, f"{side} {geometries} {details}", look=look)
        found = list(track(f"reading {option}", pictures.each(again), len(pictures)))
        problems.extend(one for one in found if isinstance(one, str))
        return Folder(pictures, collected([one for one in found if not isinstance(one, str)]))

    folders = {option: seen(option, by_their_depth(pictures)) for option, pictures in opened.items()}
    dropped = 0
    if holdout is not None and not problems:
        unused = _unused(folders["--holdout"].described, folders["--private"].described)
        dropped = len(folders["--holdout"]) - len(unused)
        folders["--holdout"] = folders["--holdout"].take(unused)
    if not problems:
        problems += _unfit(folders, side, dropped)
    if problems:
        raise DataProblems(problems)
    return Folders(
        private=folders["--private"],
        released=folders["--released"],
        holdout=folders.get("--holdout"),
        classes=_classes([class_names(folder.pictures) for folder in folders.values()]),
        notes=(*_said(sizes, side, geometries), *(n for folder in folders.values() for n in folder.pictures.notes)),
        dropped=dropped,
        details=details,
    )


def _unseen(released: Pictures, headers: list[Header | str]) -> list[str]:
    """Which files hold pictures that viewers do not show, and that would be published unseen."""
    return [
        f"--released {name}: holds {header.frames} pictures, of which viewers show one; save each as a file of its own"
        for name, header in zip(released.names, headers, strict=True)
        if isinstance(header, Header) and header.frames > 1
    ]


def _views(sizes: dict[str, list[tuple[int, int]]], image_size: int | None) -> tuple[int, tuple[Geometry, ...]]:
    """Pixels a side that pictures are compared at as a whole, and how they are made square."""
    square = all(width == height for source in sizes.values() for width, height in source)
    typical = min(round(median(map(min, source))) for source in sizes.values())
    return image_size or min(LARGEST_VIEW, typical), GEOMETRIES[:1] if square else GEOMETRIES


def _said(sizes: dict[str, list[tuple[int, int]]], side: int, geometries: tuple[Geometry, ...]) -> list[str]:
    """How pictures were made comparable, where they are not so by themselves."""
    if all(size == (side, side) for source in sizes.values() for size in source):
        return []
    how = " and ".join({"crop": "cropped to their middle", "squeeze": "squeezed"}[g] for g in geometries)
    made = "resized" if len(geometries) == 1 else how
    return [f"pictures are compared as a whole at {side}x{side} pixels, {made}; their details as they are"]


def without_twins(images: Images, others: Images) -> Tensor:
    """Positions of images that are not all but the same as any of the others; all, where most are."""
    apart = nearest(images.pixels, others.pixels).squared_distance > TWIN**2 * images.pixels[0].numel()
    return apart.nonzero().squeeze(1) if apart.double().mean() > 0.5 else torch.arange(len(images))


def _unused(others: Described, private: Described) -> Tensor:
    """Positions of pictures that are not private ones, however they are turned: those were used."""
    used = {way for ways in private.digests for way in ways}
    return torch.tensor([i for i, ways in enumerate(others.digests) if ways[0] not in used], dtype=torch.int64)


def _unfit(folders: dict[str, Folder], side: int, dropped: int) -> list[str]:
    """What is wrong with sources that can be read."""
    problems = []
    if side < SSIM_WINDOW:
        problems.append(f"images of {side} pixels a side are too small; give --image-size 32")
    if "--holdout" in folders and len(folders["--private"]) < 2:
        problems.append("--private: has one image; with --holdout at least two are needed")
    if "--holdout" in folders and len(folders["--holdout"]) < FEWEST:
        holdout = folders["--holdout"]
        beside = f" that are not among the private ones ({dropped} are)" * bool(dropped)
        problems.append(
            f"--holdout {holdout.pictures.where}: has {len(holdout)} images{beside}; "
            f"at least {FEWEST} are needed, or leave it out"
        )
    return problems


def _classes(names: list[list[str]]) -> tuple[str, ...]:
    """The names of class folders, where all sources have the same ones and no picture lies outside them."""
    found = [frozenset(of) for of in names]
    alike = len(set(found)) == 1 and len(found[0]) > 1 and "" not in found[0]
    return tuple(sorted(found[0])) if alike else ()


def unlabelled(pixels: Tensor) -> Images:
    """Images of one class."""
    return Images(pixels, torch.zeros(len(pixels), dtype=torch.int64), ("image",))
