"""Arrays of pictures: .npz (DPImageBench, guided diffusion, MedMNIST), .npy, .pt, and those of Python."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from leakbench.synth.data.image_files import DataProblems, depth
from leakbench.synth.data.pictures import Pictures

ImageArray = np.ndarray | Tensor
NAMES = {"": ("x", "images", "image", "data", "arr_0", "samples"), "train": ("train_images", "x_train")}
NAMES |= {"val": ("val_images", "x_val"), "test": ("test_images", "x_test")}
LABELS = {"": ("y", "labels", "label", "targets", "arr_1"), "train": ("train_labels", "y_train")}
LABELS |= {"val": ("val_labels", "y_val"), "test": ("test_labels", "y_test")}
"""What arrays of each part are called, of pictures and of labels."""


def open_npz(path: Path) -> Pictures:
    """The pictures of a .npz file: `x`, `y`; `arr_0`, `arr_1`; or `train_images`, `train_labels` and so on."""
    try:
        return _of_mapping(np.load(path, allow_pickle=False), path)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataProblems([f"{path}: cannot be read ({error})"]) from error


def open_npy(path: Path) -> Pictures:
    """The pictures of a .npy file, which stay on the disk."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataProblems([f"{path}: cannot be read ({error})"]) from error
    return of_arrays(array, None, str(path))


def open_pt(path: Path) -> Pictures:
    """The pictures of a .pt file: a tensor, images and labels, or a dictionary of them; no code in it is run."""
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise DataProblems([f"{path}: cannot be read as tensors alone ({str(error).splitlines()[0]})"]) from error
    if isinstance(found, Tensor):
        return of_arrays(found, None, str(path))
    if isinstance(found, tuple | list) and len(found) == 2 and all(isinstance(part, Tensor) for part in found):
        return of_arrays(found[0], found[1], str(path))
    if isinstance(found, dict):
        return _of_mapping(found, path)
    raise DataProblems([f"{path}: holds a {type(found).__name__}; save a tensor, (images, labels), or a dictionary"])


def _of_mapping(arrays: Mapping[str, Any], path: Path) -> Pictures:
    """Arrays by their names."""
    from leakbench.synth.data.sources import joined

    chosen = []
    for part, names in NAMES.items():
        images = next((name for name in names if name in arrays), None)
        if images is not None:
            label = next((name for name in LABELS[part] if name in arrays), None)
            chosen.append(of_arrays(arrays[images], None if label is None else arrays[label], str(path), part))
    if not chosen:
        wanted = ", ".join(name for names in NAMES.values() for name in names)
        raise DataProblems([f"{path}: holds {', '.join(sorted(arrays))}; pictures are looked for under {wanted}"])
    return joined(str(path), chosen)


def of_arrays(images: Any, labels: Any, where: str, part: str = "") -> Pictures:
    """Pictures in an array.

    Args:
        images: (N, H, W), (N, H, W, C) or (N, C, H, W) of uint8, uint16, or floats in 0..1, -1..1 or 0..255.
        labels: (N,), (N, 1), one-hot (N, K), or None.
        where: the source, as messages name it.
        part: of the dataset: a folder in the names.

    Raises:
        DataProblems: it is no array of pictures.
    """
    array: NDArray[Any] = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    channels = _channels(array, where)
    low, high, said = _range(array, where)
    classes = None if labels is None else _classes(labels, len(array), where)
    digits = max(6, len(str(len(array))))
    names = [f"{i:0{digits}d}" for i in range(len(array))]
    if classes is not None:
        names = [f"{label}/{name}" for label, name in zip(classes, names, strict=True)]
    names = [f"{part}/{name}" for name in names] if part else names

    def opened(i: int) -> Image.Image:
        one = np.asarray(array[i])
        one = one.transpose(1, 2, 0) if channels == "first" else one
        one = one[:, :, 0] if one.ndim == 3 and one.shape[2] == 1 else one
        if one.dtype == np.uint8:
            return Image.fromarray(np.ascontiguousarray(one))
        scaled = (one.astype(np.float64) - low) / (high - low) * 255
        return Image.fromarray(np.clip(scaled.round(), 0, 255).astype(np.uint8))

    return Pictures(where, names, opened, said)


def _channels(array: NDArray[Any], where: str) -> str:
    """Whether channels come first or last, or are none."""
    if array.ndim == 3:
        return "none"
    if array.ndim == 4 and array.shape[3] in (1, 3, 4):
        return "last"
    if array.ndim == 4 and array.shape[1] in (1, 3, 4):
        return "first"
    shape = " x ".join(map(str, array.shape))
    raise DataProblems([f"{where}: has an array of {shape}; pictures are N x H x W, N x H x W x 3 or N x 3 x H x W"])


def _range(array: NDArray[Any], where: str) -> tuple[float, float, list[str]]:
    """What is black and what is white, and a sentence where that had to be guessed."""
    if array.dtype == np.uint8 or not len(array):
        return 0, 255, []
    if array.dtype == np.bool_:
        return 0, 1, []
    least = min(float(np.min(part)) for part in array)
    most = max(float(np.max(part)) for part in array)
    if not np.isfinite([least, most]).all():
        raise DataProblems([f"{where}: has values that are not finite"])
    if array.dtype.kind in "iu":
        low, high = 0.0, float((1 << depth(int(most))) - 1)
    else:
        low, high = (-1.0 if least < 0 else 0.0), (1.0 if most <= 1 else 255.0)
    if least < low or most > high or (low < 0 and high > 1):
        raise DataProblems([f"{where}: values lie in {least:g} to {most:g}; give 0 to 255, 0 to 1 or -1 to 1"])
    return low, high, [f"{where}: values of {array.dtype} in {least:g} to {most:g} are taken for {low:g} to {high:g}"]


def _classes(labels: Any, count: int, where: str) -> list[str]:
    array: NDArray[Any] = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.ndim == 2:
        array = array[:, 0] if array.shape[1] == 1 else array.argmax(1)
    if array.shape != (count,):
        raise DataProblems([f"{where}: has {count} pictures and labels of shape {array.shape}"])
    whole = array.dtype.kind == "f" and bool((array == array.round()).all())
    return [str(label).replace("/", "_") for label in (array.astype(np.int64) if whole else array).tolist()]
