"""A run folder: records, releases, galleries, and what only the judge reads."""

import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors.torch import load_file, save
from torch import Tensor

from leakbench.benchmarks.storage.store import write_whole
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.reports.records import Cell, Record, append_record, read_records
from leakbench.reports.spec import PRIVATE, PUBLISHABLE, slug
from leakbench.synth.defense import Release
from leakbench.synth.release_files import DESCRIPTION, load_release, save_release

RECORD = "record.json"


class RunFolder:
    """`run.json`, `records.jsonl`, the releases, and what only the judge reads.

    It is for the data owner alone: nobody else may look into it.

    Args:
        root: the folder; made if missing.
        publishable: whether the release of a spec may lie among those that may be published; none by default.
    """

    def __init__(self, root: Path, publishable: Callable[[str], bool] = lambda spec: False) -> None:
        self.root, self.publishable = root, publishable

    def _make(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)

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
        wanted = description["identity"]
        begun = _read(file) if file.is_file() else {"identity": wanted}
        other = _other(begun["identity"], wanted)
        if other:
            what = f"holds another run (other {', '.join(other)}); give another folder"
            raise RequestProblems([f"--out {self.root}: {what}, what both share is in the cache"])
        self._make()
        dated = {"date": begun.get("date", date.today().isoformat())} | description
        write_whole(file, json.dumps(dated, indent=1).encode())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only run in this folder.

        Raises:
            RequestProblems: another process is.
        """
        self._make()
        lock = FileLock(self.root / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RequestProblems([f"--out {self.root}: another run is under way there; wait for it"]) from None
        for left in (*self.root.glob(".unpacked-*"), *self._releases(self.root, "*.part")):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        try:
            yield
        finally:
            lock.release()

    def records(self) -> dict[str, Record]:
        """The last record of every cell, by id."""
        return read_records(self.records_file)

    def append(self, record: Record) -> None:
        """Add a record."""
        append_record(self.records_file, record)

    def release_folder(self, spec: str, seed: int) -> Path:
        """Where a release lies: among those that may be published, or apart."""
        return self.root / (PUBLISHABLE if self.publishable(spec) else PRIVATE) / f"{slug(spec)}-seed{seed}"

    @staticmethod
    def _releases(root: Path, pattern: str) -> list[Path]:
        return [found for place in (PUBLISHABLE, PRIVATE) for found in (root / place).glob(pattern)]

    def _pairing(self, spec: str, seed: int) -> Path:
        return self.root / "judge" / f"{slug(spec)}-seed{seed}.safetensors"

    def gallery(self, cell_id: str) -> Path:
        """Where the gallery of an attack's cell lies."""
        return self.root / "galleries" / f"{cell_id}.png"

    def save_release(self, release: Release, spec: str, seed: int, about: dict[str, Any]) -> None:
        """Save a release: written under a temporary name and renamed when complete."""
        folder = self.release_folder(spec, seed)
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        published = save_release(release, part, about=about)
        shutil.rmtree(folder, ignore_errors=True)
        pairing = self._pairing(spec, seed)
        pairing.unlink(missing_ok=True)
        if published.sources is not None:
            pairing.parent.mkdir(exist_ok=True)
            write_whole(pairing, save({"sources": published.sources.contiguous()}))
        part.rename(folder)

    def has_release(self, spec: str, seed: int) -> bool:
        """Whether a complete release lies there."""
        return (self.release_folder(spec, seed) / DESCRIPTION).is_file()

    def load_release(self, spec: str, seed: int) -> tuple[Release, Tensor | None]:
        """The release as the world sees it, and beside it the judge's pairing."""
        pairing = self._pairing(spec, seed)
        source = load_file(pairing)["sources"] if pairing.is_file() else None
        return load_release(self.release_folder(spec, seed)), source

    def pack(self, cell: Cell, record: Record | None = None) -> bytes:
        """What a cell leaves behind in this folder, as one archive; equal files make equal archives."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            if record is not None:
                _add(archive, RECORD, record.to_line().encode())
            for file in sorted(self._left_behind(cell)):
                _add(archive, file.relative_to(self.root).as_posix(), file.read_bytes())
        return content.getvalue()

    def unpack(self, content: bytes) -> Record | None:
        """Put what was packed, here or on another machine, into this folder; its record, if it has one."""
        self._make()
        with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=self.root) as name:
            part = Path(name)
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                archive.extractall(part, filter="data")
            # A release counts as there once its folder is, so it comes last.
            for found in self._releases(part, "*"):  # one that no longer knows its sources must not keep old ones
                (self.root / "judge" / f"{found.name}.safetensors").unlink(missing_ok=True)
            for found in (*part.glob("judge/*"), *part.glob("galleries/*"), *self._releases(part, "*")):
                target = self.root / found.relative_to(part)
                target.parent.mkdir(exist_ok=True)
                shutil.rmtree(target, ignore_errors=True)
                found.replace(target)
            line = part / RECORD
            return Record.from_line(line.read_text(encoding="utf-8")) if line.is_file() else None

    def _left_behind(self, cell: Cell) -> Iterator[Path]:
        if cell.task == "release":
            yield from (f for f in self.release_folder(cell.defense, cell.seed).rglob("*") if f.is_file())
            yield from filter(Path.is_file, [self._pairing(cell.defense, cell.seed)])
        yield from filter(Path.is_file, [self.gallery(cell.id)])


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size = len(content)
    archive.addfile(about, io.BytesIO(content))


def _other(begun: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """In what two runs are not the same.

    A public network that was missing when a run began was read by nothing that is there: it may have come since.
    """
    differ = {key for key in {*begun, *wanted} if begun.get(key) != wanted.get(key)}
    return sorted(differ - ({"public network"} if not begun.get("public network") else set()))


def _read(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found | {"identity": dict(found["identity"])}
    except (ValueError, TypeError, KeyError) as error:
        raise RequestProblems([f"{file}: is damaged; delete it, or give another --out"]) from error
