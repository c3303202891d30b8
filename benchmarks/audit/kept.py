"""What pictures are recognised by, kept on disk while an audit runs, so that one that was stopped goes on.

It shows private pictures, as the audit's folder does, and is removed when the audit is done.
"""

import hashlib
import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from leakbench.benchmarks.storage.store import write_whole
from leakbench.metrics import described, local_features
from leakbench.metrics.described import One
from leakbench.metrics.local_features import Features

FOLDER = ".leakbench-seen"
"""Within the folder of the audit."""


def kept(folder: Path, settings: str, array: NDArray[np.uint8], look: Callable[[NDArray[np.uint8]], One]) -> One:
    """What a picture was recognised by before, or is now.

    Args:
        folder: nobody else's to read.
        settings: that what is seen depends on.
        array: (H, W, 3).
        look: at it, where it was not looked at before.
    """
    text = f"{settings} {array.shape} {_program()}".encode()
    key = hashlib.sha256(text + hashlib.sha256(array.tobytes()).digest()).hexdigest()
    file = folder / key[:2] / f"{key}.safetensors"
    if file.is_file():
        with suppress(SafetensorError):  # of a file that is damaged
            return _read(file.read_bytes())
    seen = look(array)
    for made in (folder, file.parent):
        made.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(file, _written(seen))
    return seen


def forget(folder: Path) -> None:
    """Remove what was kept, and nothing else that may lie there.

    Args:
        folder: where it was kept.
    """
    for file in folder.glob("??/*.safetensors"):
        file.unlink(missing_ok=True)
    for empty in (*folder.glob("??"), folder):
        with suppress(OSError):  # it holds what somebody else put there, or was never made
            empty.rmdir()


@cache
def _program() -> str:
    """A hash of what describes pictures."""
    sources = (inspect.getsource(module) for module in (described, local_features))
    return hashlib.sha256("".join(sources).encode()).hexdigest()


def _written(one: One) -> bytes:
    places, looks, frame = one.features
    arrays: dict[str, NDArray[Any]] = {f"view.{geometry}": view for geometry, view in one.views.items()}
    arrays |= {"places": places, "looks": looks, "frame": np.array(frame)}
    arrays["digests"] = np.frombuffer(b"".join(one.digests), np.uint8).reshape(len(one.digests), -1)
    content: bytes = save(arrays)
    return content


def _read(content: bytes) -> One:
    found = load(content)
    views = {geometry: found[f"view.{geometry}"] for geometry in described.GEOMETRIES if f"view.{geometry}" in found}
    width, height = found["frame"].tolist()
    digests = [row.tobytes() for row in found["digests"]]
    return One(digests, views, Features(found["places"], found["looks"], (width, height)))
