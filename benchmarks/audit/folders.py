"""What is audited: folders of private, released, and maybe other images, in class folders or not."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from leakbench.metrics.neighbours import nearest
from leakbench.synth.data.image_files import DataProblems, Listing, list_images, read
from leakbench.synth.guard import digest, turned
from leakbench.synth.images import Images, Split
from leakbench.synth.seeds import seeded_rng

FEWEST = 40
"""Holdout images: half of them are the attacker's, and the other half must resolve anything."""
TWIN = 12.0
"""Root of the mean squared difference, of 255, up to which two images are all but the same."""
SSIM_WINDOW = 11
"""Smallest side of an image in pixels: the window of SSIM."""


@dataclass(frozen=True)
class Folders:
    """What is audited.

    Args:
        private: the private images.
        released: those that are to be published.
        holdout: images of the same kind that were not used, or None.
        names: of the private images' files.
        released_names: of the released images' files.
        dropped: images of the holdout that are private ones, byte for byte or turned, and were left out of it.
    """

    private: Images
    released: Images
    holdout: Images | None
    names: list[str]
    released_names: list[str]
    dropped: int = 0

    @property
    def classes(self) -> tuple[str, ...]:
        """The class folders that all folders have; empty where they differ, or are none."""
        return self.private.classes if len(self.private.classes) > 1 else ()

    def parts(self, seed: int) -> tuple[Split, Tensor]:
        """Half of the holdout is the attacker's, the other half is who was not in; and who of the private is a member.

        Images of which the attacker holds all but the same are left out on both sides: where a burst or a person's
        pictures are all private or all holdout, only those who were not in would have such a twin.
        """
        assert self.holdout is not None
        order = torch.randperm(len(self.holdout), generator=seeded_rng("holdout", seed))
        own, others = (self.holdout.take(part) for part in order.tensor_split(2))
        kept, rest = (without_twins(images, own) for images in (self.private, others))
        members, others = self.private.take(kept), others.take(rest)
        return Split(members=members, holdout=others, auxiliary=own, public=own, test=others), kept


def open_folders(private: Path, released: Path, holdout: Path | None, image_size: int | None) -> Folders:
    """Read the folders.

    Raises:
        DataProblems: everything that is wrong with any of them.
    """
    problems: list[str] = []
    pixels: dict[str, Tensor] = {}
    listings: dict[str, Listing] = {}
    for option, folder in (("--private", private), ("--released", released), ("--holdout", holdout)):
        if folder is None:
            continue
        if not folder.is_dir():
            problems.append(f"{option} {folder}: is not a folder; give one with images, in class folders or not")
            continue
        listings[option] = list_images(folder, problems)
        index = torch.arange(len(listings[option].files))
        pixels[option] = read(listings[option], index, image_size, problems)
    dropped = 0
    if holdout is not None and not problems:
        unused = _unused(pixels["--holdout"], pixels["--private"])
        dropped = len(pixels["--holdout"]) - len(unused)
        pixels["--holdout"] = pixels["--holdout"][unused]
        listings["--holdout"] = listings["--holdout"].take(unused)
    if not problems:
        problems += _unfit(pixels, holdout, dropped)
    if problems:
        raise DataProblems(problems)
    classes = _classes(listings)
    images = {option: _images(pixels[option], listings[option], classes) for option in listings}
    names = {option: list(map(listing.show, listing.files)) for option, listing in listings.items()}
    return Folders(
        private=images["--private"],
        released=images["--released"],
        holdout=images.get("--holdout"),
        names=names["--private"],
        released_names=names["--released"],
        dropped=dropped,
    )


def without_twins(images: Images, others: Images) -> Tensor:
    """Positions of images that are not all but the same as any of the others; all, where most are."""
    apart = nearest(images.pixels, others.pixels).squared_distance > TWIN**2 * images.pixels[0].numel()
    return apart.nonzero().squeeze(1) if apart.double().mean() > 0.5 else torch.arange(len(images))


def _unused(others: Tensor, private: Tensor) -> Tensor:
    """Positions of images that are not private ones, however they are turned: those were used."""
    used, unused = set(map(digest, private)), torch.ones(len(others), dtype=torch.bool)
    for _, shown in turned(others):
        unused &= torch.tensor([digest(image) not in used for image in shown], dtype=torch.bool)
    return unused.nonzero().squeeze(1)


def _unfit(pixels: dict[str, Tensor], holdout: Path | None, dropped: int) -> list[str]:
    """What is wrong with folders that can be read."""
    problems = []
    sides = {option: part.shape[-1] for option, part in pixels.items()}
    if len(set(sides.values())) > 1:
        shown = ", ".join(f"{option} has {side}" for option, side in sides.items())
        problems.append(f"the folders' images differ in size ({shown} pixels a side); give --image-size PIXELS")
    elif min(sides.values()) < SSIM_WINDOW:
        problems.append(f"images of {min(sides.values())} pixels a side are too small; give --image-size 32")
    if holdout is not None and len(pixels["--private"]) < 2:
        problems.append("--private: has one image; with --holdout at least two are needed")
    if holdout is not None and len(pixels["--holdout"]) < FEWEST:
        count = len(pixels["--holdout"])
        beside = f" that are not among the private ones ({dropped} are)" * bool(dropped)
        problems.append(
            f"--holdout {holdout}: has {count} images{beside}; at least {FEWEST} are needed, or leave it out"
        )
    return problems


def _classes(listings: dict[str, Listing]) -> tuple[str, ...]:
    """The names of class folders, where all folders have the same ones and no image lies outside them."""
    found = []
    for listing in listings.values():
        paths = [file.relative_to(listing.root).parts for file in listing.files]
        found.append(frozenset(parts[0] for parts in paths) if all(len(p) > 1 for p in paths) else frozenset())
    alike = len(set(found)) == 1 and len(found[0]) > 1
    return tuple(sorted(found[0])) if alike else ()


def _images(pixels: Tensor, listing: Listing, classes: tuple[str, ...]) -> Images:
    if not classes:
        return unlabelled(pixels)
    labels = [classes.index(file.relative_to(listing.root).parts[0]) for file in listing.files]
    return Images(pixels, torch.tensor(labels), classes)


def unlabelled(pixels: Tensor) -> Images:
    """Images of one class."""
    return Images(pixels, torch.zeros(len(pixels), dtype=torch.int64), ("image",))
