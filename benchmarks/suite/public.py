"""Images of other people, as a defense may read them: asked for where they are needed, and checked."""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import torch

from leakbench.benchmarks.suite.model import Suite
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.benchmarks.suite.spec import defense_of
from leakbench.metrics.copies import find_copies
from leakbench.metrics.described import described
from leakbench.synth.data.datasets import DATASETS, Pool
from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.data.pictures import Pictures, by_their_depth, class_names, labels, read
from leakbench.synth.data.sources import open_pictures
from leakbench.synth.images import Images
from leakbench.synth.networks.pretrained import NUMBERED, WORDNET, is_class

FEW = 0.01
"""Share of public images that may be private ones by accident: they are left out; more, and the folder is refused."""
AT_ONCE = 5000
"""Private images that are compared with the public ones at a time."""


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


def ask_for_public(suite: Suite, data: Path | Images | None, public: Path | None, simulate: bool) -> None:
    """Refuse to take a part of somebody's own folder, or images, if there are any, for public images unasked."""
    if public is not None and simulate:
        raise RequestProblems(["--public and --simulate-public exclude each other; leave one out"])
    if public is not None or simulate or data is None or not DATASETS[suite.dataset].own:
        return
    if isinstance(data, Path) and (not data.exists() or _is_imagenet(data)):
        return
    remedy = "give --public DIR, or --simulate-public where --data is a benchmark dataset and no private folder"
    need_none(suite.defenses, remedy)


def _is_imagenet(data: Path) -> bool:
    """Whether all class folders are named as ImageNet's are, or each picture in them by its class's number and name."""
    problems: list[str] = []
    pictures = open_pictures(data, problems, "--data")
    if problems:
        return False
    return all(map(WORDNET.fullmatch, class_names(pictures))) or all(map(_is_numbered, pictures.names))


def _is_numbered(name: str) -> bool:
    path = PurePosixPath(name)
    match = NUMBERED.fullmatch(path.stem)
    return len(path.parts) == 2 and bool(match and match[2]) and is_class(int(match[1]), match[2])  # type: ignore[index]


def others_of(folder: Path, pool: Pool, specs: Iterable[str]) -> tuple[Images, list[str]]:
    """Images of other people from a folder, as large as the dataset's, without those that are the dataset's own.

    They have labels where the folder has the dataset's class folders; other classes are left out then.

    Args:
        folder: of images, in class folders or not.
        pool: the dataset: everything in it is private.
        specs: of the defenses that may read them.

    Returns:
        The images, and a line for each thing that was left out.

    Raises:
        DataProblems: everything that is wrong with the folder, or too many of its images are the dataset's own.
        RequestProblems: a defense reads labels, and there are none.
    """
    images, pictures = _opened(folder, pool)
    readers = [spec for spec in specs if defense_of(spec).reads_public_labels]
    if readers and images.classes != pool.classes:
        wanted = f"--public {folder} must have the dataset's class folders ({', '.join(pool.classes)})"
        raise RequestProblems([f"{', '.join(readers)}: publishes public images with their labels; {wanted}"])
    if not any(defense_of(spec).reads_public for spec in specs):
        return images, []
    copies = sorted(_copies(images, pool))
    named = ", ".join(pictures.names[i] for i in copies[:5]) + ", …" * (len(copies) > 5)
    if len(copies) > max(1, FEW * len(images)):
        raise DataProblems(
            [
                f"--public {folder}: {len(copies)} of {len(images)} images are copies of the dataset's own ({named}); "
                "public ones must be other people's"
            ]
        )
    kept = torch.ones(len(images), dtype=torch.bool)
    kept[copies] = False
    left_out = [f"--public: {named} left out: a copy of one of the dataset's own images"] if copies else []
    return images.take(kept.nonzero().squeeze(1)), left_out


def _copies(images: Images, pool: Pool) -> set[int]:
    """Positions of the images that are copies of any of the dataset's, negatives included."""
    found: set[int] = set()
    public, negative = described(images.pixels), described(255 - images.pixels)
    for part in _everything(pool):
        own = described(part.pixels)
        for shown in (public, negative):
            found |= {copy.private for copy in find_copies(shown, own)}
    return found


def _opened(source: Path, pool: Pool) -> tuple[Images, Pictures]:
    problems: list[str] = []
    pictures = by_their_depth(open_pictures(source, problems, "--public"))
    if problems:
        raise DataProblems(problems)
    names = class_names(pictures)
    labelled = all(names) and set(names) >= set(pool.classes)
    if labelled:
        chosen = [i for i, name in enumerate(names) if name in pool.classes]
        pictures, names = pictures.take(torch.tensor(chosen)), [names[i] for i in chosen]
    side = int(pool.draw(torch.tensor([0])).shape[-1])
    pixels = read(pictures, side, problems)
    if problems:
        raise DataProblems([f"--public {source}: {problem}" for problem in problems])
    if not labelled:
        return Images(pixels, torch.zeros(len(pixels), dtype=torch.int64), ("image",)), pictures
    return Images(pixels, labels(names, pool.classes), pool.classes), pictures


def _everything(pool: Pool) -> Iterator[Images]:
    """All images of a dataset, its test part too, some at a time."""
    for part in (pool, pool.test):
        if part is not None:
            for index in torch.arange(len(part.labels)).split(AT_ONCE):
                yield Images(part.draw(index), part.labels[index], part.classes)
