"""Where cells are computed: in this process, in several on this machine, or on a Ray cluster (`ray_executor`)."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import get_context, parent_process
from typing import Any, Protocol

import psutil
import torch
from pebble import ProcessExpired, ProcessPool

from benchmarks import plugins
from benchmarks.bench import Bench
from benchmarks.environment import keep_freed_memory
from benchmarks.suite import RequestProblems
from benchmarks.work import Workplace, endless, is_foreign, run_cell, torch_threads
from reports.records import Cell, Record

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

LATE = 124
"""Exit status of a worker that stopped a plug-in, as of timeout(1)."""

GRACE = 10.0
"""Seconds after which it is stopped from outside: code that never lets go of the interpreter keeps it from leaving."""


class WorkerDied(RuntimeError):
    """The process that worked on a cell is gone: killed, out of memory, or its machine was lost."""


class Executor(Protocol):
    """Somewhere to compute cells."""

    @property
    def slots(self) -> int:
        """Cells that it takes at a time."""

    def submit(self, cell: Cell, needs: Sequence[Cell]) -> "Future[Record]":
        """Begin a cell whose needs are all done; the future may raise :class:`WorkerDied`."""

    def close(self) -> None:
        """Stop whatever is under way."""


class InProcess:
    """One cell after another, in this process; plug-ins are never stopped here.

    Args:
        workplace: what to work with.
        progress: called with (done, total) of whatever is under way.
    """

    slots = 1

    def __init__(self, workplace: Workplace, progress: Callable[[int, int], None]) -> None:
        self.threads = workplace.threads
        self.bench = workplace.bench(progress)

    def submit(self, cell: Cell, needs: Sequence[Cell]) -> "Future[Record]":
        """Compute a cell now."""
        found: Future[Record] = Future()
        with torch_threads(self.threads):
            found.set_result(run_cell(self.bench, cell))
        return found

    def close(self) -> None:
        """Nothing is under way between two calls."""


class Processes:
    """Several processes on this machine, each with its own torch threads, and its own GPU where there are any.

    Args:
        workplace: what to work with; its tensors are shared, not copied.
        processes: how many.
    """

    def __init__(self, workplace: Workplace, processes: int) -> None:
        self.slots, self.workplace = processes, workplace
        self.pools = self._pools()

    def _pools(self) -> dict[bool, ProcessPool]:
        """Of processes for cells of ours, and for those in which a plug-in's code runs; they start when needed."""
        return {foreign: self._pool(tasks=int(foreign)) for foreign in (False, True)}

    def _pool(self, tasks: int) -> ProcessPool:
        """Processes that end after so many cells, if any: nobody knows what a plug-in's code leaves behind."""
        context = get_context("spawn")  # a forked process would inherit the locks of torch's threads
        given = (self.workplace, context.Value("i", 0))
        return ProcessPool(self.slots, tasks, context=context, initializer=begin_worker, initargs=given)

    def submit(self, cell: Cell, needs: Sequence[Cell]) -> "Future[Record]":
        """Hand a cell to the next free process."""
        found: Future[Record] = Future()
        patience, foreign = self.workplace.patience, is_foreign(cell)
        limit = patience + GRACE if foreign else None
        work: dict[str, Any] = {"args": [cell, patience], "timeout": limit}

        def hand_over(done: "Future[Record]") -> None:
            error = None if done.cancelled() else done.exception()
            if done.cancelled():
                found.set_exception(WorkerDied("the process that worked on it was stopped, because another one died"))
            elif limit and (isinstance(error, TimeoutError) or getattr(error, "exitcode", None) == LATE):
                found.set_result(endless(cell, patience))
            elif isinstance(error, ProcessExpired):
                found.set_exception(WorkerDied(f"the process that worked on it died (exit code {error.exitcode})"))
            elif isinstance(error, BrokenProcessPool):
                found.set_exception(WorkerDied("the process that was to work on it died as it started"))
            elif error is not None:
                found.set_exception(error)
            else:
                found.set_result(done.result())

        with _uninterrupted():
            try:
                scheduled = self.pools[foreign].schedule(work_here, **work)
            except RuntimeError:  # a process died that nothing had been handed to; the pool cannot be used any more
                self.renew()
                scheduled = self.pools[foreign].schedule(work_here, **work)
        scheduled.add_done_callback(hand_over)
        return found

    def renew(self) -> None:
        """Take other processes; what was under way is cancelled."""
        self.close()
        self.pools = self._pools()

    def close(self) -> None:
        """Kill the processes."""
        for pool in self.pools.values():
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Threads that begin meanwhile, and processes that they begin, never see Ctrl-C, not even as they start."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


worker: list[Bench | RequestProblems] = []
"""What this process works with, once it has been made ready, or why it cannot be."""


def begin_worker(workplace: Workplace, started: Any = None) -> None:
    """Make a new process ready: its plug-ins, its threads, its device."""
    die_with_parent()
    keep_freed_memory()
    torch.set_num_threads(workplace.threads)
    plugins.installed()
    try:
        plugins.load(workplace.plugins)
    except RequestProblems as error:  # raised where somebody reads it, at the first cell
        worker[:] = [error]
        return
    if workplace.device == "cuda" and started is not None:
        with started.get_lock():
            workplace = replace(workplace, device=f"cuda:{started.value % torch.cuda.device_count()}")
            started.value += 1
    worker[:] = [workplace.bench()]


def work_here(cell: Cell, patience: float) -> Record:
    """Compute a cell in a process that has been made ready, and that leaves if a plug-in takes longer than this."""
    bench = worker[0]
    if isinstance(bench, RequestProblems):
        raise bench
    if not is_foreign(cell):
        return run_cell(bench, cell)
    with _no_longer_than(patience):
        return run_cell(bench.apart(), cell)


@contextmanager
def _no_longer_than(patience: float) -> Iterator[None]:
    """Leave if it takes longer; what was started meanwhile ends in any case."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # processes whose own parents are gone are found among the children, too

    def end_children() -> None:
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()

    def leave() -> None:
        end_children()
        os._exit(LATE)

    late = threading.Timer(patience, leave)
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()
        end_children()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def die_with_parent() -> None:
    """Have Linux kill this process when the run is killed, so that no orphan goes on computing."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = parent_process()
    if parent is not None and not parent.is_alive():  # it was killed before the kernel knew
        os.kill(os.getpid(), signal.SIGKILL)


def default_threads(device: str) -> int:
    """Threads of torch in each process: by the machine alone, so that figures do not depend on the processes.

    One for every eight cores: cells that do not need each other use cores better than the threads of one cell do.
    """
    cores = _cores()
    return max(1, cores // torch.cuda.device_count()) if device == "cuda" else max(1, cores // 8)


def default_processes(workplace: Workplace) -> int:
    """How many processes the cores, the memory and the GPUs of this machine allow."""
    device = torch.device(workplace.device).type
    if device == "cuda":
        return torch.cuda.device_count()
    fit = psutil.virtual_memory().available // memory_of_a_process(workplace.image_bytes)
    return int(max(1, min(_cores() // workplace.threads, fit)))


def memory_of_a_process(images: int) -> int:
    """Bytes for so many bytes of images: 1.3 GiB were measured for `quick`, 2.2 GiB for `cifar10-cpu` (140 MB)."""
    return int(1.3 * 2**30 + 7 * images)


def _cores() -> int:
    return len(psutil.Process().cpu_affinity()) if sys.platform == "linux" else psutil.cpu_count() or 1
