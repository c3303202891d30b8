"""What pictures are recognised by, kept on disk: of an audit that was stopped, which goes on, or for the next one.

It shows private pictures, as the audit's folder does, and is removed when the audit is done, unless it was asked for.
"""

import hashlib
import inspect
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from leakbench.benchmarks.storage.store import Store
from leakbench.metrics import described, local_features
from leakbench.metrics.described import One
from leakbench.metrics.local_features import Features

FOLDER = ".leakbench-seen"
"""Within the folder of the audit."""
ENTRY = re.compile(r"[0-9a-f]{64}\.[0-9a-f]{16}|\.[0-9a-f]{64}\.[0-9a-f]{16}\.\d+-\d+\.part")
"""Names of files that are kept: of the key, and the checksum of the content; and of those that a killed audit began."""


def kept(folder: Path, settings: str, array: NDArray[np.uint8], look: Callable[[NDArray[np.uint8]], One]) -> One:
    """What a picture was recognised by before, or is now.

    A file is used for the picture alone that it was made of, by the same program and the same libraries, and if it is
    whole: a released picture is looked at anew, and both must be seen alike.

    Args:
        folder: nobody else's to read.
        settings: that what is seen depends on.
        array: (H, W, 3).
        look: at it, where it was not looked at before.
    """
    text = f"{settings} {array.shape} {_program()}".encode()
    key = hashlib.sha256(text + hashlib.sha256(array.tobytes()).digest()).hexdigest()
    store = Store(folder)
    content = store.fetch(key)
    found = None if content is None else _read(content, key)
    if found is None:
        found = look(array)
        store.put(key, _written(found, key))
    return found


def unfit(index: Path, out: Path | None) -> list[str]:
    """Why what is kept for the next audit may not lie in a place; its sources are asked for elsewhere.

    Args:
        index: a folder, or none yet.
        out: the folder of the audit, if it has one.
    """
    if index.exists() and not index.is_dir():
        return [f"{index}: is a file; give a folder"]
    inside = out is not None and index.resolve().is_relative_to(out.resolve())
    return [f"{index}: lies in the folder of this audit; give another"] if inside else []


def forget(folder: Path) -> None:
    """Remove what was kept, and nothing else that may lie there.

    Args:
        folder: where it was kept.
    """
    for file in folder.glob("??/*"):
        if ENTRY.fullmatch(file.name):
            file.unlink(missing_ok=True)
    for empty in (*folder.glob("??"), folder):
        with suppress(OSError):  # it holds what somebody else put there, or was never made
            empty.rmdir()


@cache
def _program() -> str:
    """A hash of what describes pictures."""
    sources = [inspect.getsource(module) for module in (described, local_features)]
    versions = [cv2.__version__, PIL.__version__, np.__version__]
    return hashlib.sha256("".join(sources + versions).encode()).hexdigest()


def _written(one: One, key: str) -> bytes:
    places, looks, frame = one.features
    arrays: dict[str, NDArray[Any]] = {f"view.{geometry}": view for geometry, view in one.views.items()}
    arrays |= {"places": places, "looks": looks, "frame": np.array(frame)}
    arrays["digests"] = np.frombuffer(b"".join(one.digests), np.uint8).reshape(len(one.digests), -1)
    arrays["key"] = np.frombuffer(bytes.fromhex(key), np.uint8)
    content: bytes = save(arrays)
    return content


def _read(content: bytes, key: str) -> One | None:
    """What was kept under this key; None where it is that of another picture, or none."""
    try:
        found = load(content)
    except SafetensorError:
        return None
    if "key" not in found or found["key"].tobytes().hex() != key:
        return None
    views = {geometry: found[f"view.{geometry}"] for geometry in described.GEOMETRIES if f"view.{geometry}" in found}
    width, height = found["frame"].tolist()
    digests = [row.tobytes() for row in found["digests"]]
    return One(digests, views, Features(found["places"], found["looks"], (width, height)))
