"""A run folder and the cache: where results lie, named by what they depend on."""

import copy
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.suite import RequestProblems
from reports.records import Record, append_record, read_records
from synth.release_files import DESCRIPTION, load_release, save_release
from synth.types import Images, Release


def slug(spec: str) -> str:
    """A file name for a spec: its harmless characters and a hash, so that no name leaves the folder or collides."""
    plain = re.sub(r"[^A-Za-z0-9=.-]+", "-", spec)[:60].strip(".-")
    return f"{plain}-{hashlib.sha256(spec.encode()).hexdigest()[:6]}"


def digest(*parts: object) -> str:
    """Hash of specs and image contents."""
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, Images):
            state.update(part.pixels.contiguous().numpy().tobytes())
            state.update(part.labels.numpy().tobytes())
        else:
            state.update(json.dumps(part, sort_keys=True, default=str).encode())
    return state.hexdigest()[:24]


class RunFolder:
    """`run.json`, `records.jsonl`, `releases/`, and what only the judge reads.

    Args:
        root: the folder; made if missing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def records_file(self) -> Path:
        """The append-only records."""
        return self.root / "records.jsonl"

    def open(self, description: dict[str, Any]) -> None:
        """Start or resume a run.

        Args:
            description: the content of run.json; its ``identity`` decides whether this is the same run.

        Raises:
            RequestProblems: the folder holds another run.
        """
        file = self.root / "run.json"
        if file.is_file() and _identity(file) != description["identity"]:
            raise RequestProblems([f"--out {self.root}: holds another run (other suite or data); give another folder"])
        self.root.mkdir(parents=True, exist_ok=True)
        _write_text(file, json.dumps(description, indent=1))

    def records(self) -> dict[str, Record]:
        """The last record of every cell, by id."""
        return read_records(self.records_file)

    def append(self, record: Record) -> None:
        """Add a record."""
        append_record(self.records_file, record)

    def release_folder(self, spec: str, seed: int) -> Path:
        """Where a release is published."""
        return self.root / "releases" / f"{slug(spec)}-seed{seed}"

    def _pairing(self, spec: str, seed: int) -> Path:
        return self.root / "judge" / f"{slug(spec)}-seed{seed}.safetensors"

    def gallery(self, cell_id: str) -> Path:
        """Where the gallery of an attack's cell lies."""
        return self.root / "galleries" / f"{cell_id}.png"

    def save_release(self, release: Release, spec: str, seed: int, about: dict[str, Any]) -> None:
        """Publish a release: written under a temporary name and renamed when complete."""
        folder = self.release_folder(spec, seed)
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        published = save_release(release, part, about=about)
        shutil.rmtree(folder, ignore_errors=True)
        pairing = self._pairing(spec, seed)
        pairing.unlink(missing_ok=True)
        if published.source_index is not None:
            pairing.parent.mkdir(exist_ok=True)
            save_file({"source_index": published.source_index.contiguous()}, pairing)
        part.rename(folder)

    def has_release(self, spec: str, seed: int) -> bool:
        """Whether a complete release lies there."""
        return (self.release_folder(spec, seed) / DESCRIPTION).is_file()

    def load_release(self, spec: str, seed: int) -> tuple[Release, Tensor | None]:
        """The release as the world sees it, and beside it the judge's pairing."""
        pairing = self._pairing(spec, seed)
        source = load_file(pairing)["source_index"] if pairing.is_file() else None
        return load_release(self.release_folder(spec, seed)), source


class Cache:
    """Trained networks by the hash of everything they depend on; damaged entries are recomputed.

    Args:
        root: the folder; made if missing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def load(self, key: str, network: nn.Module) -> bool:
        """Load weights into a network; False where there are none, or they do not fit or are damaged."""
        file = self.root / f"{key}.safetensors"
        trial = copy.deepcopy(network)  # a failing load leaves what it has read
        try:
            trial.load_state_dict(load_file(file))
        except (FileNotFoundError, SafetensorError, RuntimeError):
            return False
        network.load_state_dict(trial.state_dict())
        return True

    def save(self, key: str, network: nn.Module) -> None:
        """Store weights under a temporary name, then rename."""
        self.root.mkdir(parents=True, exist_ok=True)
        part = self.root / f"{key}.{os.getpid()}.part"
        save_file({name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}, part)
        part.rename(self.root / f"{key}.safetensors")


def _identity(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8"))["identity"]
    except (ValueError, TypeError, KeyError) as error:
        raise RequestProblems([f"{file}: is damaged; delete it, or give another --out"]) from error


def _write_text(file: Path, text: str) -> None:
    part = file.with_suffix(file.suffix + ".part")
    part.write_text(text, encoding="utf-8")
    part.rename(file)
