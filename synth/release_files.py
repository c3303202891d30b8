"""A release on disk: an image folder of PNG files, release.json, and soft labels in safetensors."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from safetensors.torch import load_file, save
from torch import Tensor

from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.data.pictures import read
from leakbench.synth.data.sources.folders import of_files
from leakbench.synth.defense import Release
from leakbench.synth.images import Images

DESCRIPTION, SOFT_LABELS = "release.json", "soft_labels.safetensors"


class Published(NamedTuple):
    """What a release has on disk: its description, and the pairing with its sources in the order of the files.

    The pairing is not among the published files: whoever saves the release hands it to the judge.
    """

    description: dict[str, Any]
    sources: Tensor | None


def save_release(release: Release, folder: Path, *, about: dict[str, Any]) -> Published:
    """Write a release as `<class>/<number>.png`, in the order of classes; nothing else about it is disclosed.

    Args:
        release: uint8 images and labels; soft labels are stored as float16 (a float32 could carry hidden bits).
        folder: an empty or missing folder.
        about: what else release.json says (the defense, its parameters, its claim).
    """
    order = release.images.labels.argsort(stable=True)
    images = release.images.take(order)
    folder.mkdir(parents=True, exist_ok=True)
    counts: Counter[int] = Counter()
    names = []
    for label in images.labels.tolist():
        names.append(f"{images.classes[label]}/{counts[label]:06d}.png")
        counts[label] += 1
    for label in counts:
        (folder / images.classes[label]).mkdir(exist_ok=True)

    def write(name: str, pixels: Tensor) -> None:
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / name)

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, names, images.pixels))
    if release.soft_labels is not None:
        # Not save_file: where the disk is full, it raises what nobody takes for that.
        (folder / SOFT_LABELS).write_bytes(save({"probabilities": release.soft_labels[order].half().contiguous()}))
    description = {**about, "classes": list(images.classes), "files": names}
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1, ensure_ascii=False), encoding="utf-8")
    source = release.sources
    return Published(description, None if source is None else source[order])


def load_release(folder: Path) -> Release:
    """Read a release back, as anybody who downloads it would see it.

    Args:
        folder: written by :func:`save_release`.

    Raises:
        DataProblems: a file is missing or damaged.
    """
    description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    classes = tuple(description["classes"])
    label_of = {name: label for label, name in enumerate(classes)}
    labels = [label_of[name.rsplit("/", 1)[0]] for name in description["files"]]
    problems = [f"{name}: is missing" for name in description["files"] if not (folder / name).is_file()]
    pixels = torch.empty(0) if problems else read(of_files(folder, description["files"]), None, problems)
    if problems:
        raise DataProblems(problems)
    soft_file = folder / SOFT_LABELS
    soft = load_file(soft_file)["probabilities"].float() if soft_file.is_file() else None
    images = Images(pixels, torch.tensor(labels, dtype=torch.long), classes)
    about = {key: value for key, value in description.items() if key not in ("classes", "files")}
    return Release(images, soft_labels=soft, about=about)
