"""The runner: from a suite to records, resumable at any moment."""

import heapq
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any, Protocol

import torch

from leakbench.benchmarks.execution.cell import COMPUTING, RunConfig, failed, read_by, runs_plugin, without_release
from leakbench.benchmarks.execution.executors import (
    Executor,
    InProcess,
    Processes,
    WorkerDied,
    default_processes,
    default_threads,
)
from leakbench.benchmarks.execution.inapplicable import inapplicable
from leakbench.benchmarks.stages.visual import lacks_network
from leakbench.benchmarks.storage.environment import arithmetic, code, environment
from leakbench.benchmarks.storage.run_folder import RunFolder
from leakbench.benchmarks.storage.store import Store, digest
from leakbench.benchmarks.suite.capacity import capacities
from leakbench.benchmarks.suite.graph import Plan, plan
from leakbench.benchmarks.suite.model import Suite
from leakbench.benchmarks.suite.public import others_of
from leakbench.reports.records import Cell, Record
from leakbench.synth.data.datasets import Pool
from leakbench.synth.data.split import split
from leakbench.synth.networks.pretrained import PretrainedWeights, pretrained_weights
from leakbench.synth.seeds import derive_seed

ATTEMPTS = 2
"""Tries at a cell whose worker dies."""


class Listener(Protocol):
    """Whoever wants to know how a run goes."""

    def announced(self, line: str) -> None:
        """Something worth knowing."""

    def began(self, grid: Plan, left: list[Cell], slots: int) -> None:
        """The run begins with what is left of it."""

    def started(self, cell: Cell) -> None:
        """A cell begins."""

    def advanced(self, done: int, total: int) -> None:
        """Progress within what is under way."""

    def finished(self, record: Record) -> None:
        """A cell has left its record."""


def describe(config: RunConfig, grid: Plan, data: Path | None, sources: dict[str, str]) -> dict[str, Any]:
    """The content of run.json: the resolved suite, the data, and what makes it this run."""
    suite, device = config.suite, torch.device(config.device).type
    return {
        # Records of another identity are not this run's: what stands in one report was computed alike.
        "identity": {
            "suite": suite.name,
            "hash": suite.hash,
            "data": digest(*vars(config.splits[0]).values()),
            "code": code(*COMPUTING),
            "libraries or hardware": arithmetic(torch.device(config.device)),
            "threads": config.threads,
            "plugins": sources,
            "public": config.public,
            "teacher weights": config.weights.digest if config.weights else "",
            "public network": sorted(
                {read for cell in grid.cells if not runs_plugin(cell) for read in read_by(suite, cell)}
            ),
        },
        "suite": suite.model_dump(mode="json"),
        "cells": [cell.id for cell in grid.cells],
        "data": data.name if data else "",
        "environment": environment(device) | {"threads": str(config.threads)},
    }


def local_executor(processes: int | None = None) -> Callable[[RunConfig, Listener], Executor]:
    """The executor ``local``: as many processes as asked for, or as the machine allows.

    One is this process, but for plug-ins, which must be stopped where they do not end.
    """

    def start(config: RunConfig, listener: Listener) -> Executor:
        count = processes or default_processes(config)
        if count == 1 and not any(map(runs_plugin, plan(config.suite).cells)):
            return InProcess(config, listener.advanced)
        return Processes(config, count)

    return start


def prepare_run(
    suite: Suite,
    pool: Pool,
    *,
    out: Path,
    cache: Path,
    device: torch.device,
    threads: int | None = None,
    plugins: Iterable[str] = (),
    plugin_timeout: float = RunConfig.plugin_timeout,
    public: Path | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> RunConfig:
    """Draw the data of a suite, and say where its cells are computed.

    Args:
        suite: the grid.
        pool: the dataset.
        out: the run folder.
        cache: of what was computed before, by this run or others.
        device: where to compute.
        threads: of torch in each process; by the machine by default.
        plugins: files and modules to import.
        plugin_timeout: seconds that a cell may take in which a plug-in's code runs.
        public: a folder of other people's images; a part of the dataset stands in where none is given.
        announce: told which of these were left out.

    Raises:
        DataProblems: the dataset cannot be split as the suite asks, or the teacher's weights do not fit.
    """
    seeds = [derive_seed(suite.hash, "split", seed) for seed in range(suite.seeds)]
    kept = pool.chosen(suite.classes) if suite.classes else pool
    others, left_out = (None, []) if public is None else others_of(public, kept, suite.defenses)
    for line in left_out:
        announce(line)
    splits = tuple(split(kept, suite.sizes, seed=seed, public=others) for seed in seeds)
    return RunConfig(
        suite=suite,
        splits=splits,
        weights=_weights(suite, kept, splits[0].members.side),
        out=out.resolve(),
        cache=cache.resolve(),
        device=str(device),
        threads=threads or default_threads(device.type),
        plugins=tuple(str(Path(name).resolve()) if name.endswith(".py") else name for name in plugins),
        plugin_timeout=plugin_timeout,
        public=None if public is None else public.resolve().name,
    )


def _weights(suite: Suite, pool: Pool, side: int) -> PretrainedWeights | None:
    """The weights of the suite's teacher, if somebody published them."""
    teacher = suite.teacher
    if teacher.weights is None:
        return None
    everything = pool.everything or pool.classes
    return pretrained_weights(teacher.network, teacher.weights, classes=pool.classes, everything=everything, side=side)


def run(
    config: RunConfig,
    listener: Listener,
    *,
    data: Path | None,
    plugins: dict[str, str] | None = None,
    start: Callable[[RunConfig, Listener], Executor] | None = None,
) -> dict[str, Record]:
    """Run what is left of a suite.

    Args:
        config: the suite, its data, and where to compute.
        listener: told how it goes.
        data: where the dataset came from, for the description.
        plugins: a hash of the source of each plug-in, by name: another source makes another run.
        start: makes the executor; processes on this machine by default.

    Returns:
        The records of the suite's cells, by id.

    Raises:
        RequestProblems: the run folder holds another run or is in use, or an attack asks for more than fits.
        OSError: the disk is full; what was done is kept.
    """
    suite, members = config.suite, config.splits[0].members
    for line in capacities(suite, tuple(members.pixels.shape[1:]), len(members.classes)):  # type: ignore[arg-type]
        listener.announced(line)
    Store(config.cache).prepare()
    folder, grid = config.folder, plan(suite)
    with folder.held():
        folder.open(describe(config, grid, data, plugins or {}))
        done = {
            name: record
            for name, record in folder.records().items()
            if _settles(config, record)
            and (
                record.cell.task != "release"
                or record.status == "not_applicable"
                or folder.has_release(record.cell.defense, record.cell.seed)
            )
        }
        left = grid.left(done)
        if left:
            executor = (start or local_executor())(config, listener)
            listener.began(grid, left, executor.slots)
            try:
                complete(grid, left, folder, executor, listener)
            finally:
                executor.close()
        records = folder.records()
    return {cell.id: records[cell.id] for cell in grid.cells}


def _settles(config: RunConfig, record: Record) -> bool:
    """Whether there is nothing more to do: what a machine lacked may be at hand by now."""
    if record.status != "not_applicable" or record.seconds > 0:
        return not lacks_network(record)
    return bool(inapplicable(config.suite, config.weights is not None, record.cell))


def complete(grid: Plan, left: list[Cell], folder: RunFolder, executor: Executor, listener: Listener) -> None:
    """Have an executor compute what is left, each cell when its needs are done, in the order of the plan."""
    order, attempts = grid.order(left), dict.fromkeys((cell.id for cell in left), 0)
    ready: list[tuple[int, Cell]] = []
    running: dict[Future[Record], Cell] = {}

    def begin(cell: Cell) -> None:
        attempts[cell.id] += 1
        record = without_release(folder, cell)
        running[_settled(record) if record else executor.submit(cell, grid.needs[cell.id])] = cell

    while order.is_active():
        for cell in order.get_ready():
            heapq.heappush(ready, (grid.position[cell.id], cell))
        while ready and len(running) < executor.slots:
            _, cell = heapq.heappop(ready)
            listener.started(cell)
            begin(cell)
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            cell = running.pop(future)
            try:
                record = future.result()
            except WorkerDied as error:
                if attempts[cell.id] < ATTEMPTS:
                    listener.announced(f"{error}; trying again: {cell.defense} {cell.task} {cell.method}")
                    begin(cell)
                    continue
                record = failed(cell, f"{error}, {ATTEMPTS} times")
            folder.append(record)
            listener.finished(record)
            order.done(cell)


def _settled(record: Record) -> "Future[Record]":
    """What needs no computing."""
    found: Future[Record] = Future()
    found.set_result(record)
    return found
