"""The runner: from a suite to records, one cell after another, resumable at any moment."""

import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from attacks.registry import attacks
from benchmarks.bench import Bench
from benchmarks.checks import capacities
from benchmarks.environment import environment, peak_memory
from benchmarks.stages import STAGES, Outcome
from benchmarks.store import Cache, RunFolder, digest
from benchmarks.suite import Suite, parse
from reports.records import Cell, Record
from synth.datasets import Pool
from synth.registry import defenses


class Listener(Protocol):
    """Whoever wants to know how a run goes."""

    def announced(self, line: str) -> None:
        """Something worth knowing before the first cell."""

    def started(self, cell: Cell) -> None:
        """A cell begins."""

    def advanced(self, done: int, total: int) -> None:
        """Progress within what is under way."""

    def finished(self, record: Record) -> None:
        """A cell has left its record."""


@dataclass(frozen=True)
class Plan:
    """The grid of a suite, in the order in which it runs."""

    cells: tuple[Cell, ...]

    def left(self, records: dict[str, Record]) -> list[Cell]:
        """The cells that are not done; failed ones are tried again."""
        return [cell for cell in self.cells if cell.id not in records or records[cell.id].status == "failed"]


def plan(suite: Suite) -> Plan:
    """All cells of a suite: per seed and defense its release first, then everything that reads it."""
    identity = f"{suite.name}-{suite.hash}"

    def cell(defense: str, task: str, method: str, seed: int) -> Cell:
        return Cell(suite=identity, dataset=suite.dataset, defense=defense, task=task, method=method, seed=seed)

    def cells() -> Iterator[Cell]:
        for seed in range(suite.seeds):
            yield cell("", "oracle", suite.teacher.network, seed)
            for spec in suite.defenses:
                yield cell(spec, "release", "", seed)
                yield cell(spec, "visual", "", seed)
                labels = ["hard"] + ["soft"] * bool(parse(spec, defenses).publishes_soft_labels)
                yield from (cell(spec, "utility", f"{n}:{k}", seed) for n in suite.student.networks for k in labels)
                yield from (cell(spec, "attack", attack, seed) for attack in suite.attacks)

    return Plan(tuple(cells()))


def run_cell(bench: Bench, cell: Cell) -> Record:
    """Compute one cell; whatever goes wrong becomes its record."""
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    reason, outcome, start = "", Outcome(()), time.perf_counter()
    needs_release = cell.task not in ("oracle", "release")
    try:
        if needs_release and not bench.folder.has_release(cell.defense, cell.seed):
            raise RuntimeError("the release that this cell reads was not made; see its own record")
        outcome = STAGES[cell.task](bench, cell)
    except Exception as error:  # noqa: BLE001 - the one place where a failure becomes a record instead of an end
        reason = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
    claim = parse(cell.defense, defenses).claim if cell.defense else None
    attack = parse(cell.method, attacks) if cell.task == "attack" else None
    family = {"family": attack.family, "goal": attack.goal} if attack else {}
    return Record(
        cell=cell,
        status="failed" if reason else "ok",
        reason=reason,
        measurements=outcome.measurements,
        absent=outcome.absent,
        conditions=family | outcome.conditions,
        roc=outcome.roc,
        claim=asdict(claim) if claim else {},
        seconds=round(time.perf_counter() - start, 3),
        peak_memory=peak_memory(bench.device),
        environment=environment(bench.device.type),
    )


def describe(suite: Suite, bench: Bench, data: Path | None, plugins: dict[str, str]) -> dict[str, Any]:
    """The content of run.json: the resolved suite, the data, and what makes it this run."""
    return {
        # Seed 0's members stand for the data: a run on other images must not take these releases for its own.
        "identity": {"suite": suite.name, "hash": suite.hash, "members": digest(bench.parts(0).members)}
        | ({"plugins": plugins} if plugins else {}),
        "suite": suite.model_dump(mode="json"),
        "data": data.name if data else "",
        "environment": environment(bench.device.type),
    }


def run(
    suite: Suite,
    pool: Pool,
    *,
    out: Path,
    cache: Path,
    data: Path | None,
    device: torch.device,
    listener: Listener,
    plugins: dict[str, str] | None = None,
) -> dict[str, Record]:
    """Run what is left of a suite.

    Args:
        suite: the grid.
        pool: the dataset.
        out: the run folder.
        cache: of trained networks.
        data: where the dataset came from, for the description.
        device: where to compute.
        listener: told how it goes.
        plugins: a hash of the source of each plug-in, by name: another source makes another run.

    Returns:
        The records of the suite's cells, by id.

    Raises:
        RequestProblems: `out` holds another run, or an attack asks for more than fits.
        DataProblems: the dataset cannot be split as the suite asks.
    """
    folder = RunFolder(out)
    bench = Bench(suite, pool, folder, Cache(cache), device, listener.advanced)
    for seed in range(suite.seeds):
        bench.parts(seed)  # a dataset that is too small is refused before anything starts
    members = bench.parts(0).members
    for line in capacities(suite, tuple(members.pixels.shape[1:]), len(members.classes)):  # type: ignore[arg-type]
        listener.announced(line)
    folder.open(describe(suite, bench, data, plugins or {}))
    grid = plan(suite)
    for cell in grid.left(folder.records()):
        listener.started(cell)
        record = run_cell(bench, cell)
        folder.append(record)
        listener.finished(record)
    records = folder.records()
    return {cell.id: records[cell.id] for cell in grid.cells}
