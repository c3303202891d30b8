"""Datasets: the registry of those that can be named, and how each is opened."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity, download_and_extract_archive

from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.data.pictures import Pictures, by_their_depth, class_names, labels, parts, read
from leakbench.synth.data.sources import open_pictures

CIFAR10_ARCHIVE = "cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
MIN_PER_CLASS = 10
"""Fewest images of a class: each part of the split gets some, and members two."""
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Pool:
    """A dataset before the split.

    Args:
        labels: (N,) of what can be drawn.
        classes: their names.
        draw: from positions to uint8 images.
        test: the test part, if it has one of its own.
        everything: the names of all classes, where these were chosen from more.
    """

    labels: Tensor
    classes: tuple[str, ...]
    draw: Callable[[Tensor], Tensor]
    test: "Pool | None" = None
    everything: tuple[str, ...] = ()

    def chosen(self, names: tuple[str, ...]) -> "Pool":
        """The part of these classes, in the order of the whole.

        Raises:
            DataProblems: there is no such class, or fewer than two are asked for.
        """
        unknown = [name for name in names if name not in self.classes]
        problems = [f"--classes: there is no class {name!r}; there are: {', '.join(self.classes)}" for name in unknown]
        if len(set(names)) < 2:
            problems.append("--classes: names fewer than two classes; give two or more, separated by commas")
        if problems:
            raise DataProblems(problems)
        kept = [label for label, name in enumerate(self.classes) if name in names]
        new = torch.full((len(self.classes),), -1)
        new[kept] = torch.arange(len(kept))
        index = torch.isin(self.labels, torch.tensor(kept)).nonzero().squeeze(1)
        return Pool(
            new[self.labels[index]],
            tuple(self.classes[label] for label in kept),
            lambda positions: self.draw(index[positions]),
            self.test and self.test.chosen(names),
            self.classes,
        )


def _digits() -> Pool:
    bunch = load_digits()
    small = (bunch.images * 255 / 16).round().astype(np.uint8)
    big = np.stack([np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR)) for image in small])
    pixels = torch.from_numpy(big)[:, None].repeat(1, 3, 1, 1)
    labels = torch.from_numpy(bunch.target).long()
    return Pool(labels, tuple(map(str, range(10))), lambda index: pixels[index])


def _cifar_records(files: list[Path]) -> Pool:
    """CIFAR-10's binary version: records of one label byte and 3,072 pixel bytes. No pickle."""
    records = torch.from_numpy(np.concatenate([np.fromfile(file, np.uint8).reshape(-1, 3073) for file in files]))
    pixels = records[:, 1:].reshape(-1, 3, 32, 32)
    return Pool(records[:, 0].long(), CIFAR10_CLASSES, lambda index: pixels[index])


def _cifar10(data: Path) -> Pool:
    folder = data / "cifar-10-batches-bin"
    files = [folder / f"data_batch_{i}.bin" for i in range(1, 6)] + [folder / "test_batch.bin"]
    if not all(file.is_file() for file in files):
        archive = data / CIFAR10_ARCHIVE
        if archive.is_file() and not check_integrity(str(archive), CIFAR10_MD5):
            raise DataProblems([f"{archive}: is damaged (its md5 is not {CIFAR10_MD5}); delete it and fetch it again"])
        try:
            data.mkdir(parents=True, exist_ok=True)
            url = CIFAR10.url.replace("python", "binary")
            download_and_extract_archive(url, str(data), filename=CIFAR10_ARCHIVE, md5=CIFAR10_MD5)
        except (URLError, OSError, RuntimeError) as error:
            raise DataProblems(
                [f"cifar10 could not be downloaded ({error}); put {CIFAR10_ARCHIVE} (the binary version) into {data}"]
            ) from error
    train, test = _cifar_records(files[:5]), _cifar_records(files[5:])
    return Pool(train.labels, train.classes, train.draw, test)


def folder_pool(data: Any, image_size: int | None, *, check_all: bool) -> Pool:
    """Class folders of any source, with or without train/ and test/ (or val/).

    Args:
        data: the source.
        image_size: side to resize and crop to.
        check_all: decode every picture now, so that all problems are found before anything starts.

    Raises:
        DataProblems: everything that is wrong with it.
    """
    problems: list[str] = []
    pictures = open_pictures(data, problems, "--data")
    if problems:
        raise DataProblems(problems)
    both = parts(pictures)
    train, test = both or (pictures, None)
    names = class_names(train)
    classes = _checked_classes(train, names, MIN_PER_CLASS, problems)
    pools = [_pool(train, names, classes, image_size, problems, check_all)]
    if test:
        theirs = class_names(test)
        if odd := sorted(set(theirs) ^ set(names)):
            shown = (part.where.rpartition("/")[2] for part in (train, test))
            problems.append(f"{pictures.where}: {'/ and '.join(shown)}/ differ in the classes {', '.join(odd)}")
        else:
            pools.append(_pool(test, theirs, classes, image_size, problems, check_all))
    if problems:
        raise DataProblems(problems)
    return Pool(pools[0].labels, pools[0].classes, pools[0].draw, pools[1] if test else None)


def _checked_classes(pictures: Pictures, names: list[str], fewest: int, problems: list[str]) -> tuple[str, ...]:
    """The classes, sorted by name; what is wrong with them is appended to the problems."""
    count = Counter(names)
    if "" in count:
        loose = pictures.names[names.index("")]
        problems.append(f"{pictures.where}: {loose} lies in no class folder; put each picture into one")
    few = [name for name in sorted(count) if name and count[name] < fewest]
    problems += [f"{name}: the class has {count[name]} images, at least {fewest} are needed" for name in few]
    if len(count) == 1 and "" not in count:
        problems.append(f"{pictures.where}: has the single class {names[0]!r}; at least two are needed")
    return tuple(sorted(count))


def _pool(
    pictures: Pictures,
    names: list[str],
    classes: tuple[str, ...],
    image_size: int | None,
    problems: list[str],
    check_all: bool,
) -> Pool:
    known = labels(names, classes)
    if check_all:
        pixels = read(by_their_depth(pictures), image_size, problems)
        return Pool(known, classes, lambda index: pixels[index])

    def draw(index: Tensor) -> Tensor:
        found: list[str] = []
        drawn = read(pictures.take(index), image_size, found)
        if found:
            raise DataProblems(found)
        return drawn

    return Pool(known, classes, draw)


def _read_digits(data: Path | None, image_size: int | None) -> Pool:
    if data is not None:
        raise DataProblems([f"--data {data}: digits are embedded; for your own images add --dataset imagefolder"])
    return _digits()


def _read_folder(data: Path | None, image_size: int | None) -> Pool:
    assert data is not None
    return folder_pool(data, image_size, check_all=True)


def _read_imagenet(data: Path | None, image_size: int | None) -> Pool:
    assert data is not None
    return folder_pool(data, image_size or DATASETS["imagenet"].side, check_all=False)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset that can be named.

    Args:
        description: a line, for `leakbench list`.
        open: from --data and --image-size to the images.
        side: pixels a side, as far as that can be said without opening it.
        embedded: whether it comes with the package.
        own: whether it is somebody's folder: its images may be asked for in another size, and no part of it stands in
            for public images unasked.
    """

    description: str
    open: Callable[[Path | None, int | None], Pool]
    side: int = 32
    embedded: bool = False
    own: bool = False


DATASETS = {
    "digits": Dataset(
        description="the 1,797 handwritten digits that scikit-learn ships, as 32x32 RGB; no download",
        open=_read_digits,
        embedded=True,
    ),
    "cifar10": Dataset(
        description="CIFAR-10, downloaded on demand into --data",
        open=lambda data, image_size: _cifar10(data or Path("data")),
    ),
    "imagefolder": Dataset(
        description="--data: a folder, archive or file of pictures in class folders, maybe within train/ and test/",
        open=_read_folder,
        own=True,
    ),
    "imagenet": Dataset(
        description="--data DIR in torchvision's layout (train/ and val/ with one folder per class)",
        open=_read_imagenet,
        side=224,
        own=True,
    ),
}


def open_pool(name: str, data: Path | None, image_size: int | None) -> Pool:
    """Open a dataset by name.

    Args:
        name: one of DATASETS.
        data: where it lies; required for the folders, where to download to for cifar10.
        image_size: side to resize and crop folders' images to (imagenet: 224 by default).

    Raises:
        DataProblems: everything that is wrong with it.
    """
    if name not in DATASETS:
        raise DataProblems([f"there is no dataset {name!r}; there are: {', '.join(DATASETS)}"])
    dataset, problems = DATASETS[name], []
    if image_size and not dataset.own:
        problems.append(
            f"--image-size {image_size}: {name} has {dataset.side} pixels a side; the option is for folders"
        )
    if data is None and dataset.own:
        problems.append(f"the dataset {name} needs --data DIR")
    if problems:
        raise DataProblems(problems)
    return dataset.open(data, image_size)
