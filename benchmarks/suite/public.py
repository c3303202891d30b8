"""Images of other people, as a defense may read them: asked for where they are needed, and checked."""

from collections.abc import Iterable
from pathlib import Path

import torch

from leakbench.benchmarks.suite.model import Suite
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.benchmarks.suite.spec import defense_of
from leakbench.synth import guard
from leakbench.synth.data.datasets import Pool
from leakbench.synth.data.image_files import DataProblems, list_images, read
from leakbench.synth.images import Images

OWN = "imagefolder"
"""The dataset that is somebody's own folder: no part of it stands in for public images unasked."""


def need_none(specs: Iterable[str], remedy: str) -> None:
    """Refuse defenses that read public images, where there are none.

    Args:
        specs: of the defenses.
        remedy: what to do about it, for the message.

    Raises:
        RequestProblems: there are such defenses.
    """
    readers = [spec for spec in specs if defense_of(spec).reads_public]
    if readers:
        raise RequestProblems([f"{', '.join(readers)}: reads images of other people; {remedy}"])


def check_labels(specs: Iterable[str], public: Images, classes: tuple[str, ...]) -> None:
    """Refuse defenses that read public images' labels, where these are of other classes than the dataset's.

    Raises:
        RequestProblems: there are such defenses.
    """
    readers = [spec for spec in specs if defense_of(spec).reads_public_labels]
    if readers and public.classes != classes:
        wanted = f"--public must have the dataset's class folders ({', '.join(classes)}), and no others"
        raise RequestProblems([f"{', '.join(readers)}: publishes public images with their labels; {wanted}"])


def open_public(folder: Path, pool: Pool) -> Images:
    """Images of other people from a folder, as large as the dataset's; with labels where its class folders are alike.

    Args:
        folder: of images, in class folders or not.
        pool: the dataset.

    Raises:
        DataProblems: everything that is wrong with it.
    """
    if not folder.is_dir():
        raise DataProblems([f"--public {folder}: is not a folder; give one of images of other people"])
    problems: list[str] = []
    listing = list_images(folder, problems)
    side = int(pool.draw(torch.tensor([0])).shape[-1])
    pixels = read(listing, torch.arange(len(listing.files)), side, problems)
    if problems:
        raise DataProblems([f"--public {problem}" for problem in problems])
    paths = [file.relative_to(folder).parts for file in listing.files]
    if all(len(path) > 1 for path in paths) and {path[0] for path in paths} == set(pool.classes):
        return Images(pixels, torch.tensor([pool.classes.index(path[0]) for path in paths]), pool.classes)
    return Images(pixels, torch.zeros(len(pixels), dtype=torch.int64), ("image",))


def check_others(public: Images, folder: Path, *private: Images) -> None:
    """Refuse public images that are private ones: what reads them is protected by nothing.

    Raises:
        DataProblems: some are, byte for byte or turned.
    """
    count = sum(len(guard.private_among(public, images, None)) for images in private)
    if count:
        raise DataProblems(
            [f"--public {folder}: holds {count} of the dataset's own images; public ones must be other people's"]
        )


def ask_for_public(suite: Suite, data: Path | None, public: Path | None, simulate: bool) -> None:
    """Refuse to take a part of somebody's own folder, if there is one, for public images unasked."""
    if public is not None and simulate:
        raise RequestProblems(["--public and --simulate-public exclude each other; leave one out"])
    if public is None and not simulate and suite.dataset == OWN and data is not None and data.is_dir():
        remedy = "give --public DIR, or --simulate-public where --data is a benchmark dataset and no private folder"
        need_none(suite.defenses, remedy)
