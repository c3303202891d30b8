"""What was computed once, by the hash of everything that it depends on, for all runs on this machine or cluster."""

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors.torch import load, save
from torch import Tensor

from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.synth.images import Images

LOG = logging.getLogger("leakbench")
DAY = 86400
SECONDS_OF_SILENCE = 10
"""Seconds before somebody who waits is told why."""


def digest(*parts: object) -> str:
    """Hash of specs, and of what images and tensors hold."""
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, Images):
            state.update(json.dumps([list(part.pixels.shape), part.classes]).encode())
            state.update(part.pixels.contiguous().numpy().tobytes())
            state.update(part.labels.numpy().tobytes())
        elif isinstance(part, Tensor):
            state.update(part.detach().cpu().contiguous().numpy().tobytes())
        else:
            state.update(json.dumps(part, sort_keys=True, default=str).encode())
    return state.hexdigest()[:24]


class Store:
    """A cache that several processes and machines may share.

    An entry's file is named after its key and the checksum of its content, written under another name and renamed, so
    that an entry is whole or not there. A damaged one is said, deleted, and computed again.

    Args:
        root: the folder; made if missing.

    Attributes:
        made: the keys of what was put.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made: list[str] = []

    def prepare(self) -> None:
        """Make the folder, and clear away what killed processes left in it.

        Raises:
            RequestProblems: it cannot be made, or not be written to.
        """
        try:
            self._made("locks")
            for part in self.root.glob("*/.*.part"):
                with suppress(FileNotFoundError):  # its writer has just renamed it
                    if time.time() - part.stat().st_mtime > DAY:
                        part.unlink()
        except OSError as error:
            raise RequestProblems([f"--cache {self.root}: {error.strerror}; give a folder to write to"]) from error
        if not os.access(self.root / "locks", os.W_OK):
            raise RequestProblems([f"--cache {self.root}: cannot be written to; give another folder"])

    def _made(self, name: str) -> Path:
        """A folder in the cache; made if missing."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)  # private images are among what is kept
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        return folder

    @contextmanager
    def _held(self, key: str) -> Iterator[None]:
        """Be the only one, of all processes, who works on an entry."""
        lock = FileLock(self._made("locks") / key)
        try:
            lock.acquire(timeout=SECONDS_OF_SILENCE)
        except Timeout:
            LOG.warning("waiting for another process, which computes %s", key)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def fetch(self, key: str) -> bytes | None:
        """An entry, or None where there is none that is whole."""
        for file in (self.root / _folder(key)).glob(f"{key}.*"):
            try:
                content = file.read_bytes()
            except FileNotFoundError:
                continue  # another process found it damaged
            if file.suffix == f".{_checksum(content)}":
                return content
            LOG.warning("%s: is damaged; it is computed again", file)
            file.unlink(missing_ok=True)
        return None

    def put(self, key: str, content: bytes) -> None:
        """Keep an entry, and remember that this object made it."""
        write_whole(self._made(_folder(key)) / f"{key}.{_checksum(content)}", content)
        self.made.append(key)

    def once(self, key: str, compute: Callable[[], bytes | None]) -> bytes | None:
        """An entry; where there is none it is computed, by one process while the others wait.

        Args:
            key: of the entry.
            compute: its content; None is not kept.
        """
        found = self.fetch(key)
        if found is not None:
            return found
        with self._held(key):
            found = self.fetch(key)
            if found is None:
                found = compute()
                if found is not None:
                    self.put(key, found)
        return found

    def tensors(self, key: str, compute: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The same for tensors by name; what has just been computed is read back too, so that both are alike."""

        def packed() -> bytes:
            return bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in compute().items()}))

        found = self.once(key, packed)
        assert found is not None
        return dict(load(found))


def default_cache() -> Path:
    """Where results are kept between runs: under XDG_CACHE_HOME."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leakbench"


def write_whole(file: Path, content: bytes) -> None:
    """Write a file under another name and rename it; nothing is left where that fails."""
    part = file.with_name(f".{file.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        part.touch(mode=0o600)
        part.write_bytes(content)
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _folder(key: str) -> str:
    return key[-2:]


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
