"""Datasets and their disjoint, seeded parts."""

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
from leakbench.synth.images import Images, Split
from leakbench.synth.seeds import seeded_rng

CIFAR10_ARCHIVE = "cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many images each part gets, at most; smaller datasets are shared out in the same proportions.

    Args:
        members: private images; holdout and public get as many each.
        auxiliary: images the attacker owns.
        test: real test images.
    """

    members: int
    auxiliary: int
    test: int

    def __post_init__(self) -> None:
        for name in ("members", "auxiliary", "test"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")


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


def stratified_order(labels: Tensor, rng: torch.Generator) -> Tensor:
    """A random order any slice of which has the classes in the proportions of the whole (to within one image)."""
    key = torch.empty(len(labels), dtype=torch.float64)
    for label in labels.unique():
        index = (labels == label).nonzero().squeeze(1)
        rank = torch.randperm(len(index), generator=rng).double()
        key[index] = (rank + 0.5) / len(index)
    return key.argsort(stable=True)


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
    test_name = next((name for name in ("test", "val") if (data / "train").is_dir() and (data / name).is_dir()), None)
    train = list_classes(data / "train" if test_name else data, problems, fewest=MIN_PER_CLASS)
    test = list_classes(data / test_name, problems, fewest=1) if test_name else None
    if test and test.classes != train.classes:
        odd = sorted(set(test.classes) ^ set(train.classes))
        problems.append(f"{data}: train/ and {test_name}/ differ in the classes {', '.join(odd)}")
    pools = [_listing_pool(listing, image_size, problems, check_all) for listing in (train, test) if listing]
    if problems:
        raise DataProblems(problems)
    return Pool(pools[0].labels, pools[0].classes, pools[0].draw, pools[1] if test else None)


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


DATASETS = {
    "digits": "the 1,797 handwritten digits that scikit-learn ships, as 32x32 RGB; no download",
    "cifar10": "CIFAR-10, downloaded on demand into --data",
    "imagefolder": "--data DIR with one folder per class, with or without train/ and test/",
    "imagenet": "--data DIR in torchvision's layout (train/ and val/ with one folder per class)",
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
    if name == "digits" and data is not None:
        raise DataProblems([f"--data {data}: digits are embedded; for your own images add --dataset imagefolder"])
    if image_size and name in ("digits", "cifar10"):
        raise DataProblems([f"--image-size {image_size}: {name} has 32 pixels a side; the option is for folders"])
    if name == "digits":
        return _digits()
    if name == "cifar10":
        return _cifar10(data or Path("data"))
    if data is None:
        raise DataProblems([f"the dataset {name} needs --data DIR"])
    if name == "imagenet":
        return _folder(data, image_size or 224, check_all=False)
    return _folder(data, image_size, check_all=True)


def _check_classes(pool: Pool, parts: tuple[Tensor, ...]) -> None:
    """Every part needs an image of every class, members and holdout two."""
    problems = []
    for label, name in enumerate(pool.classes):
        found = [int((pool.labels[part] == label).sum()) for part in parts]
        if min(found) < 1 or min(found[:2]) < 2:
            total = int((pool.labels == label).sum())
            problems.append(f"the class {name!r} has {total} images: too few to appear in all disjoint parts ({found})")
    if problems:
        raise DataProblems(problems)


def split(pool: Pool, sizes: Sizes, *, seed: int, public: Images | None = None) -> Split:
    """Draw the disjoint parts, stratified by class and exchangeable within a class.

    Args:
        pool: from :func:`open_pool`.
        sizes: at most so many of each; a smaller dataset is shared out in proportion.
        seed: of the assignment; a test part of the dataset's own is never mixed with the rest.
        public: images of other people, in the place of a part of the dataset.

    Raises:
        DataProblems: some part would be without images of some class.
    """
    order = stratified_order(pool.labels, seeded_rng("split", seed))
    wanted = [sizes.members, sizes.members, sizes.auxiliary]
    wanted += [sizes.members] * (public is None) + [sizes.test] * (pool.test is None)
    share = min(1.0, len(order) / sum(wanted))
    counts = [int(count * share) for count in wanted]
    _check_classes(pool, order[: sum(counts)].split(counts))
    parts = [Images(pool.draw(index), pool.labels[index], pool.classes) for index in order[: sum(counts)].split(counts)]
    if public is not None:
        parts.insert(3, public.take(stratified_order(public.labels, seeded_rng("split public", seed))))
    if pool.test:
        index = stratified_order(pool.test.labels, seeded_rng("split test", seed))[: sizes.test]
        parts.append(Images(pool.test.draw(index), pool.test.labels[index], pool.classes))
    members, holdout, auxiliary, public, test = parts
    return Split(members=members, holdout=holdout, auxiliary=auxiliary, public=public, test=test)
