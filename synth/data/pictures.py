"""Pictures of a source, of any size, decoded when somebody looks at them."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from leakbench.metrics.described import to_square
from leakbench.synth.data.image_files import attempt, decode, depth

TRAIN, TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")
"""What the parts of a dataset are called, in any case; they are never classes. The first that is there counts."""
T = TypeVar("T")
AHEAD = 8
"""Pictures for each thread that are decoded before they are asked for."""


class Header(NamedTuple):
    """Of a picture: width and height, Pillow's mode, and how many pictures its file holds."""

    size: tuple[int, int]
    mode: str
    frames: int


@dataclass(frozen=True)
class Pictures:
    """Pictures of a source.

    Args:
        where: the source, as messages name it.
        names: of the pictures in it, as paths: a first folder of each is its class.
        open: from a position to the picture, its pixels not decoded yet; may raise what `image_files.attempt` knows.
        notes: what was done to them that their owner should know, in words.
        bits: that values of 16-bit pictures take; None where each is scaled by its own.
    """

    where: str
    names: list[str]
    open: Callable[[int], Image.Image]
    notes: list[str] = field(default_factory=list)
    bits: int | None = None

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: Tensor) -> "Pictures":
        """The pictures at these positions."""
        chosen = index.tolist()
        return replace(self, names=[self.names[i] for i in chosen], open=lambda i: self.open(chosen[i]))

    def decode(self, position: int) -> NDArray[np.uint8] | str:
        """One picture as (H, W, 3) uint8, or a sentence on why it cannot be read."""
        found = decode(lambda: self.open(position), self.bits)
        return f"{self.names[position]}: {found}" if isinstance(found, str) else found

    def each(self, look: Callable[[NDArray[np.uint8]], T]) -> Iterator[T | str]:
        """What is seen in each, in order, or a sentence on why it cannot be read; a few are decoded at a time.

        Args:
            look: at (H, W, 3) uint8.
        """

        def seen(position: int) -> T | str:
            found = self.decode(position)
            return found if isinstance(found, str) else look(found)

        return ahead(seen, len(self))

    def headers(self) -> list[Header | str]:
        """What can be told of each before its pixels are decoded, or a sentence on why it cannot be read."""

        def header(position: int) -> Header | str:
            def look() -> Header:
                image = self.open(position)
                return Header(image.size, image.mode, getattr(image, "n_frames", 1))

            found = attempt(look)
            return f"{self.names[position]}: {found}" if isinstance(found, str) else found

        return list(ahead(header, len(self)))


def ahead(compute: Callable[[int], T], count: int) -> Iterator[T]:
    """What is computed of each position, in order, by threads that are a little ahead and no more."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        waiting = deque(pool.submit(compute, i) for i in range(min(count, AHEAD * torch.get_num_threads())))
        for following in range(len(waiting), count + len(waiting)):
            result = waiting.popleft().result()
            if following < count:
                waiting.append(pool.submit(compute, following))
            yield result


def by_their_depth(pictures: Pictures) -> Pictures:
    """The same, with 16-bit pictures scaled by the bits that the deepest of them takes."""
    deep = [i for i, h in enumerate(pictures.headers()) if not isinstance(h, str) and h.mode.startswith("I")]
    if not deep:
        return pictures

    def largest(k: int) -> int:
        found = attempt(lambda: int(np.asarray(pictures.open(deep[k])).max(initial=0)))
        return 0 if isinstance(found, str) else found  # it is named when it is decoded

    bits = depth(max(ahead(largest, len(deep))))
    note = f"{pictures.where}: {len(deep)} pictures of 16 bits use {bits} and are scaled by them"
    return replace(pictures, bits=bits, notes=[*pictures.notes, note])


def read(pictures: Pictures, image_size: int | None, problems: list[str]) -> Tensor:
    """All pictures as uint8 (N, 3, S, S).

    Args:
        pictures: of a source.
        image_size: side to resize and crop to; None requires square pictures of one size.
        problems: sentences about what is wrong are appended here; where any is, the result is empty.
    """

    def fitted(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return to_square(array, image_size, "crop") if image_size else array

    decoded = list(pictures.each(fitted))
    arrays = [array for array in decoded if not isinstance(array, str)]
    found = [array for array in decoded if isinstance(array, str)]
    sizes = Counter(array.shape[:2] for array in arrays)
    if len(sizes) > 1 or any(height != width for height, width in sizes):
        common = ", ".join(f"{width}x{height} ({count})" for (height, width), count in sizes.most_common(4))
        found.append(f"{pictures.where}: images are not square and of one size ({common}); give --image-size PIXELS")
    problems += found
    if found or not arrays:
        return torch.empty(0, 3, 1, 1, dtype=torch.uint8)
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()


def parts(pictures: Pictures) -> tuple[Pictures, Pictures] | None:
    """The training and the test part, where a source has both; their names are those within the part."""
    first = [PurePosixPath(name).parts[0] for name in pictures.names]
    there = {name.lower(): name for name in sorted(set(first), reverse=True)}
    train, test = (next((there[name] for name in names if name in there), None) for names in (TRAIN, TEST))
    return (_part(pictures, first, train), _part(pictures, first, test)) if train and test else None


def _part(pictures: Pictures, first: list[str], name: str) -> Pictures:
    part = pictures.take(torch.tensor([i for i, folder in enumerate(first) if folder == name]))
    return replace(
        part,
        where=f"{pictures.where}/{name}",
        names=[str(PurePosixPath(*PurePosixPath(n).parts[1:])) for n in part.names],
    )


def class_names(pictures: Pictures) -> list[str]:
    """The first folder of each picture that is no part's name; empty where it lies in none."""

    def of(name: str) -> str:
        folders = PurePosixPath(name).parts[:-1]
        if folders and folders[0].lower() in TRAIN + TEST:
            folders = folders[1:]
        return folders[0] if folders else ""

    return list(map(of, pictures.names))


def labels(names: list[str], classes: tuple[str, ...]) -> Tensor:
    """(N,) the index of each class."""
    position = {name: label for label, name in enumerate(classes)}
    return torch.tensor([position[name] for name in names], dtype=torch.int64)
