"""The record: one self-contained JSON line per cell, and how lines are read back."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict  # pydantic cannot read the standard library's before Python 3.12

from leakbench.metrics.measurement import Measurement
from leakbench.metrics.rates import mean_over_seeds

SCHEMA = 3
"""Part of every cell's id: a record of another schema is never taken for one of this."""

Status = Literal["ok", "failed", "not_applicable"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One point of the grid.

    Args:
        suite: the suite's name and the hash of everything in it that bears on results.
        dataset: name.
        defense: name with parameters, e.g. ``bn-matching:images_per_statistic=1``.
        task: ``blind``, ``release``, ``utility``, ``visual``, ``oracle`` or ``attack``.
        method: the attack with parameters; for utility the student's network and its labels (hard or soft).
        seed: index of the repetition.
    """

    suite: str
    dataset: str
    defense: str
    task: str
    method: str = ""
    seed: int = 0

    @property
    def id(self) -> str:
        """Hash of the canonical JSON and the schema version."""
        canonical = json.dumps([SCHEMA, asdict(self)], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """What an attack's record says of the attack and of whom it attacked.

    Args:
        family: of attacks.
        goal: what it is after.
        threat_model: the names of the accesses that the attacker has.
        given: the same in words.
        story: who the attacker is and what it does.
        victim: what was attacked, in words.
        parameters: the attack's.
        details: of the victim and the control, by name, in words.
        notes: what the attack noticed on its way.
        sanitized: whether the attacked model was sanitized before it was handed out; None where no model is.
        scenario_without_sanitizing: a name for all of the scenario but that.
    """

    family: str = ""
    goal: str = ""
    threat_model: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    story: str = ""
    victim: str = ""
    parameters: dict[str, str | bool | int | float | None] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)
    sanitized: bool | None = None
    scenario_without_sanitizing: str = ""


class Guarantee(TypedDict, total=False):
    """The fields of `synth.defense.Claim`, and why it does not hold here, if it does not."""

    kind: str
    epsilon: float | None
    delta: float | None
    relation: str
    mechanism: str
    gaussian: bool
    void: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a cell left behind.

    Args:
        cell: which one.
        status: ``ok``, ``failed`` (with the reason) or ``not_applicable`` (with the reason).
        reason: why not ok.
        measurements: the measurements.
        absent: measurements that could not be measured, with the reason.
        attacked: of an attack, what it was and whom it attacked.
        paired_with: of visual measurements, which private images the released ones stand beside.
        public: where the public images came from that the defense reads; nothing where it reads none.
        roc: false and true positive rates of scores, where the attack gave scores.
        claim: the defense's formal guarantee.
        seconds: wall time.
        peak_memory: bytes: the process's peak so far, or the device's during the cell.
        environment: versions, git commit, device.
    """

    cell: Cell
    status: Status
    reason: str = ""
    measurements: tuple[Measurement, ...] = ()
    absent: dict[str, str] = field(default_factory=dict)
    attacked: Attacked | None = None
    paired_with: str = ""
    public: str = ""
    roc: tuple[tuple[float, float], ...] = ()
    claim: Guarantee = field(default_factory=Guarantee)
    seconds: float = 0.0
    peak_memory: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    def to_line(self) -> str:
        """The record as one line of strict JSON."""
        fields = asdict(self) | {"schema": SCHEMA, "id": self.cell.id}
        return json.dumps(fields, sort_keys=True, allow_nan=False)

    @classmethod
    def from_line(cls, line: str) -> "Record":
        """The inverse of :meth:`to_line`.

        Raises:
            ValueError: not a record, or one of another schema.
        """
        fields = json.loads(line)
        if not isinstance(fields, dict) or fields.pop("schema", None) != SCHEMA:
            raise ValueError(f"not a record of schema {SCHEMA}")
        return _RECORD.validate_python(fields)

    def get(self, name: str) -> Measurement | None:
        """The measurement of this name, or None."""
        return next((m for m in self.measurements if m.name == name), None)


_RECORD = TypeAdapter(Record)


def append_record(file: Path, record: Record) -> None:
    """Append one line; a line that an earlier crash cut short is ended first, so that it harms only itself."""
    with file.open("a+b") as stream:
        if stream.tell():
            stream.seek(-1, 2)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
        stream.write(record.to_line().encode() + b"\n")
        stream.flush()


def read_records(file: Path) -> dict[str, Record]:
    """The last record of every cell, by id, in the order in which cells first appeared; broken lines are left out."""
    records: dict[str, Record] = {}
    if not file.is_file():
        return records
    for line in file.read_bytes().split(b"\n"):
        try:
            record = Record.from_line(line.decode())
        except ValueError:
            continue  # a line cut short by a crash, or of an older schema: the cell is simply not done
        records[record.cell.id] = record
    return records


def over_seeds(measurements: Iterable[Measurement]) -> Measurement | None:
    """The mean over seeds with Student's t interval, of a single seed its own.

    It covers the variation of data split and training, which no interval over test images sees.

    Args:
        measurements: of the same measurement, one per seed.
    """
    found = list(measurements)
    if len(found) < 2:
        return found[0] if found else None
    value, low, high = mean_over_seeds(np.array([m.value for m in found]))
    return replace(found[0], value=value, low=low, high=high, n=sum(m.n for m in found), level=0.95)
