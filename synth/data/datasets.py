"""Datasets: the registry of those that can be named, and how each is opened."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity, download_and_extract_archive

from leakbench.synth.data.image_files import MIN_PER_CLASS, DataProblems, Listing, list_classes, read

CIFAR10_ARCHIVE = "cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
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


def _folder(data: Path, image_size: int | None, *, check_all: bool) -> Pool:
    """Class folders, with or without train/ and test/ (or val/).

    Args:
        data: the root.
        image_size: side to resize and crop to.
        check_all: decode every file now, so that all its problems are found before anything starts.
    """
    if not data.is_dir():
        raise DataProblems([f"{data}: is not a folder; --data must name a folder with one folder of images per class"])
    problems: list[str] = []
    parts = _parts(data)
    train = list_classes(parts[0] if parts else data, problems, fewest=MIN_PER_CLASS)
    test = list_classes(parts[1], problems, fewest=1) if parts else None
    if parts and test and test.classes != train.classes:
        odd = sorted(set(test.classes) ^ set(train.classes))
        problems.append(f"{data}: {parts[0].name}/ and {parts[1].name}/ differ in the classes {', '.join(odd)}")
    pools = [_listing_pool(listing, image_size, problems, check_all) for listing in (train, test) if listing]
    if problems:
        raise DataProblems(problems)
    return Pool(pools[0].labels, pools[0].classes, pools[0].draw, pools[1] if test else None)


TRAIN, TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")
"""What the parts of a dataset are called, in any case; they are never classes. The first that is there counts."""


def _parts(data: Path) -> tuple[Path, Path] | None:
    """The folders of the training and the test part, where a dataset has both."""
    there = {folder.name.lower(): folder for folder in sorted(data.iterdir()) if folder.is_dir()}
    train, test = (next((there[name] for name in names if name in there), None) for names in (TRAIN, TEST))
    return (train, test) if train and test else None


def _listing_pool(listing: Listing, image_size: int | None, problems: list[str], check_all: bool) -> Pool:
    labels = torch.tensor(listing.labels, dtype=torch.long)
    if check_all:
        pixels = read(listing, torch.arange(len(labels)), image_size, problems)
        return Pool(labels, listing.classes, lambda index: pixels[index])

    def draw(index: Tensor) -> Tensor:
        found: list[str] = []
        drawn = read(listing, index, image_size, found)
        if found:
            raise DataProblems(found)
        return drawn

    return Pool(labels, listing.classes, draw)


def _read_digits(data: Path | None, image_size: int | None) -> Pool:
    if data is not None:
        raise DataProblems([f"--data {data}: digits are embedded; for your own images add --dataset imagefolder"])
    return _digits()


def _read_folder(data: Path | None, image_size: int | None) -> Pool:
    assert data is not None
    return _folder(data, image_size, check_all=True)


def _read_imagenet(data: Path | None, image_size: int | None) -> Pool:
    assert data is not None
    return _folder(data, image_size or DATASETS["imagenet"].side, check_all=False)


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
        description="--data DIR with one folder per class, with or without train/ and test/",
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
