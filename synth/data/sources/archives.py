"""Archives of image files, read where they lie: .zip, .tar (webdataset's too), .tar.gz."""

import gzip
import os
import shutil
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from PIL import Image

from leakbench.synth.data.image_files import DataProblems, Unreadable, encoded
from leakbench.synth.data.pictures import TEST, TRAIN, Pictures
from leakbench.synth.data.sources.folders import ignored

LARGEST = 1 << 30
"""Bytes of a member that are read at most: no photograph has more."""
CLASS = ".cls"
"""What webdataset keeps a picture's class in, beside it."""


def open_zip(path: Path) -> Pictures:
    """The image files in a .zip.

    Raises:
        DataProblems: it is damaged, or has a password.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataProblems([f"{path}: is not a zip archive, or a damaged one ({error})"]) from error
    members = [info for info in archive.infolist() if not info.is_dir()]
    if any(info.flag_bits & 1 for info in members):
        raise DataProblems([f"{path}: has a password; give one without, or the folder"])
    sizes = {info.filename: info.file_size for info in members}
    lock = threading.Lock()

    def content(name: str) -> bytes:
        with lock:
            return archive.read(name)

    return _pictures(path, sizes, content)


def open_tar(path: Path) -> Pictures:
    """The image files in a .tar; a compressed one is unpacked into a file without a name first.

    Raises:
        DataProblems: it is damaged.
    """
    try:
        stream = _plain(path)
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            members = {member.name: member for member in archive if member.isfile()}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataProblems([f"{path}: is not a tar archive, or a damaged one ({error})"]) from error

    def content(name: str) -> bytes:
        return os.pread(stream.fileno(), members[name].size, members[name].offset_data)

    return _pictures(path, {name: member.size for name, member in members.items()}, content)


def _plain(path: Path) -> IO[bytes]:
    """The archive as it is, or unpacked: its pictures are read in any order."""
    with path.open("rb") as stream:
        if stream.read(2) != b"\x1f\x8b":
            return path.open("rb")
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the pictures
    with gzip.open(path) as packed:
        shutil.copyfileobj(packed, unpacked)
    unpacked.seek(0)
    return unpacked


def _pictures(path: Path, sizes: dict[str, int], content: Callable[[str], bytes]) -> Pictures:
    kept = sorted(name for name in sizes if _shown(name))
    classes = {name.removesuffix(CLASS): name for name in kept if name.endswith(CLASS)}
    members = [name for name in kept if not name.endswith(CLASS)]
    top = _common([PurePosixPath(name).parts for name in members])
    names = [str(PurePosixPath(*PurePosixPath(name).parts[top:])) for name in members]
    for i, name in enumerate(members):
        if (labelled := classes.get(name.rpartition(".")[0])) is not None:
            label = content(labelled).decode("utf-8", "replace").strip().replace("/", "_")
            names[i] = f"{label}/{names[i]}"

    def opened(i: int) -> Image.Image:
        if sizes[members[i]] > LARGEST:
            raise Unreadable(f"has {sizes[members[i]]} bytes; no more than {LARGEST} are read")
        return encoded(content(members[i]), members[i])

    return Pictures(str(path), names, opened)


def _shown(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") for part in parts if part != ".") or "__MACOSX" in parts
    return bool(parts) and not hidden and (not ignored(parts[-1]) or name.endswith(CLASS))


def _common(paths: list[tuple[str, ...]]) -> int:
    """How many folders all files lie in: an archive of a folder begins with its name. Parts of a dataset are none."""
    shared = 0
    for folders in zip(*(path[:-1] for path in paths), strict=False):
        if len(set(folders)) > 1 or folders[0].lower() in TRAIN + TEST:
            break
        shared += 1
    return shared
