"""Image files from anywhere to uint8 RGB arrays, with every problem of a folder found at once."""

import os
import struct
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

IGNORED = {"thumbs.db", "desktop.ini", "release.json", "soft_labels.safetensors"}
"""Files that operating systems, or a release of ours, leave beside images; hidden files are ignored as well."""

MIN_PER_CLASS = 10
"""Fewest images of a class: each part of the split gets some, and members two."""


class DataProblems(ValueError):
    """Everything that is wrong with a dataset, as one sentence each.

    Args:
        problems: the sentences; each names the file or folder, or the option.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Listing:
    """The files of a class-folder tree: paths, labels and class names; a label is the index of its class."""

    root: Path
    files: list[Path]
    labels: list[int]
    classes: tuple[str, ...]

    def take(self, index: Tensor) -> "Listing":
        """The files at these positions."""
        chosen = index.tolist()
        files, labels = ([part[i] for i in chosen] for part in (self.files, self.labels))
        return Listing(self.root, files, labels, self.classes)

    def show(self, file: Path) -> str:
        """The file's name as messages give it."""
        return str(file.relative_to(self.root))


def _leaves(path: Path, root: Path) -> bool:
    try:
        return not path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a link to itself leads nowhere
        return True


def list_classes(folder: Path, problems: list[str], *, fewest: int) -> Listing:
    """List the images of `folder/<class>/…`, classes sorted by name.

    Args:
        folder: holds one folder per class.
        problems: sentences about what is wrong are appended here.
        fewest: images that a class must have.
    """
    directories = sorted(d for d in folder.iterdir() if d.is_dir() and not d.name.startswith("."))
    files: list[Path] = []
    labels: list[int] = []
    for label, directory in enumerate(directories):
        if _leaves(directory, folder):
            problems.append(f"{directory.name}: is a link that leaves the folder {folder}")
            continue
        found = _images_below(directory, folder, problems)
        if len(found) < fewest:
            problems.append(f"{directory.name}: the class has {len(found)} images, at least {fewest} are needed")
        files += found
        labels += [label] * len(found)
    if not directories:
        problems.append(f"{folder}: is empty: it must hold one folder of images per class")
    elif len(directories) == 1:
        problems.append(f"{folder}: has the single class {directories[0].name!r}; at least two are needed")
    return Listing(folder, files, labels, tuple(d.name for d in directories))


def list_images(folder: Path, problems: list[str]) -> Listing:
    """List all images below a folder, in class folders or not; they get one label.

    Args:
        folder: holds images.
        problems: sentences about what is wrong are appended here.
    """
    files = _images_below(folder, folder, problems)
    if not files:
        problems.append(f"{folder}: holds no files; give a folder of images")
    return Listing(folder, files, [0] * len(files), ("image",))


def _images_below(directory: Path, root: Path, problems: list[str]) -> list[Path]:
    """Files in a folder and those in it, but for hidden ones; folders that cannot be looked into are problems."""
    found: list[Path] = []

    def unreadable(error: OSError) -> None:
        problems.append(f"{error.filename}: cannot be read ({error.strerror})")

    for place, folders, files in os.walk(directory, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        linked = [name for name in folders if (Path(place) / name).is_symlink()]
        problems += [f"{(Path(place) / n).relative_to(root)}: is a link to a folder; give the folder" for n in linked]
        shown = (name for name in files if not name.startswith(".") and name.lower() not in IGNORED)
        found += [Path(place) / name for name in shown]
    return sorted(found)


DEPTHS = (8, 10, 12, 14, 16)


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF says; as it is where that is broken: the pixels are not."""
    try:
        return ImageOps.exif_transpose(image)
    except (struct.error, SyntaxError, OverflowError):
        return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Any PIL image as upright 8-bit RGB: EXIF rotation applied, deep ones scaled, transparency laid over white.

    A 16-bit image is scaled by as many bits as its largest value takes, of 8, 10, 12, 14 and 16: scanners of 12 bits
    write 16, of which a reader that scales by 16 sees nothing.

    Raises:
        OSError: the mode is one whose scale is not known (floating point).
    """
    image = _upright(image)
    if image.mode.startswith("I"):  # 16-bit gray; PIL's own conversion clips instead of scaling
        wide = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        bits = next(bits for bits in DEPTHS if wide.max(initial=0) < 1 << bits)
        return Image.fromarray((wide * 255 // ((1 << bits) - 1)).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise OSError("floating-point pixels have no known range; save it as 8-bit")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _fit(image: Image.Image, side: int) -> Image.Image:
    """Resize and centre-crop to a square."""
    return ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)


def decode(file: Path, root: Path, image_size: int | None) -> NDArray[np.uint8] | str:
    """One file as (H, W, 3) uint8, or a sentence (without the name) on why it cannot be read."""
    if _leaves(file, root):
        return "is a link that leaves the folder"
    try:
        if file.stat().st_size == 0:
            return "is empty (0 bytes)"
        with Image.open(file) as image:
            if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
                return f"claims {image.width} x {image.height} pixels: a decompression bomb"
            # A telephone's photograph may have its preview behind it (MPO); what is shown is the first.
            if (frames := getattr(image, "n_frames", 1)) > 1 and image.format != "MPO":
                return f"has {frames} frames; save each as a file of its own"
            rgb = to_rgb(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "is a decompression bomb"
    except UnidentifiedImageError:
        return "is not an image"
    except (OSError, SyntaxError, ValueError) as error:
        return f"cannot be decoded, it is truncated or damaged ({error})"
    return np.asarray(_fit(rgb, image_size) if image_size else rgb)


def read(listing: Listing, index: Tensor, image_size: int | None, problems: list[str]) -> Tensor:
    """Decode the listed files at these positions to uint8 (N, 3, S, S).

    Args:
        listing: from :func:`list_classes`.
        index: positions to decode.
        image_size: side to resize and crop to; None requires square images of one size.
        problems: sentences about what is wrong are appended here; where any is, the result is empty.
    """
    files = [listing.files[i] for i in index.tolist()]
    with ThreadPoolExecutor() as pool:
        decoded = list(pool.map(lambda file: decode(file, listing.root, image_size), files))
    arrays = [array for array in decoded if not isinstance(array, str)]
    found = [f"{listing.show(file)}: {why}" for file, why in zip(files, decoded, strict=True) if isinstance(why, str)]
    sizes = Counter(array.shape[:2] for array in arrays)
    if len(sizes) > 1 or any(height != width for height, width in sizes):
        common = ", ".join(f"{width}x{height} ({count})" for (height, width), count in sizes.most_common(4))
        found.append(f"{listing.root}: images are not square and of one size ({common}); give --image-size PIXELS")
    problems += found
    if found or not arrays:
        return torch.empty(0, 3, 1, 1, dtype=torch.uint8)
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()
