"""Where cells are computed: in this process, in several on this machine, or on a Ray cluster (`ray_executor`)."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing import get_context
from typing import Any, Protocol

import psutil
import torch
from pebble import ProcessExpired, ProcessPool

from leakbench.benchmarks.execution import plugins
from leakbench.benchmarks.execution.cell import (
    RunConfig,
    failed,
    methods,
    run_cell,
    runs_plugin,
    timed_out,
)
from leakbench.benchmarks.execution.contained import (
    children_end,
    die_with_parent,
    mute,
    run_in_subprocess,
    took_too_long,
)
from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.storage.allocator import keep_freed_memory
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.metrics.threads import torch_threads
from leakbench.reports.records import Cell, Record


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
        config: what to work with.
        progress: called with (done, total) of whatever is under way.
    """

    slots = 1

    def __init__(self, config: RunConfig, progress: Callable[[int, int], None]) -> None:
        self.threads = config.threads
        self.context = config.context(progress)

    def submit(self, cell: Cell, needs: Sequence[Cell]) -> "Future[Record]":
        """Compute a cell now."""
        found: Future[Record] = Future()
        with torch_threads(self.threads):
            found.set_result(run_cell(self.context, cell))
        return found

    def close(self) -> None:
        """Nothing is under way between two calls."""


class Processes:
    """Several processes on this machine, each with its own torch threads, and its own GPU where there are any.

    Args:
        config: what to work with; its tensors are shared, not copied.
        processes: how many.
    """

    def __init__(self, config: RunConfig, processes: int) -> None:
        self.slots, self.config = processes, config
        self.context = get_context("spawn")  # a forked process would inherit the locks of torch's threads
        self.started = self.context.Value("i", 0)
        self.pool = self._pool()
        self.ends: ExitStack | None = None
        """Of what plug-ins start, once the first of their cells is handed over."""

    def _pool(self) -> ProcessPool:
        """For cells of ours; they start when needed."""
        given = (self.config, self.started)
        return ProcessPool(self.slots, context=self.context, initializer=begin_worker, initargs=given)

    def submit(self, cell: Cell, needs: Sequence[Cell]) -> "Future[Record]":
        """Hand a cell to the next free process; one of a plug-in has its own, as nobody knows what it leaves behind."""
        found: Future[Record] = Future()
        of_plugin, plugin_timeout = runs_plugin(cell), self.config.plugin_timeout

        def hand_over(done: "Future[Record]") -> None:
            error = None if done.cancelled() else done.exception()
            if done.cancelled():
                found.set_exception(WorkerDied("the process that worked on it was stopped, because another one died"))
            elif of_plugin and took_too_long(error):
                found.set_result(timed_out(cell, plugin_timeout))
            elif isinstance(error, ProcessExpired):
                found.set_exception(WorkerDied(_death(error.exitcode)))
            elif isinstance(error, BrokenProcessPool):
                found.set_exception(WorkerDied("the process that was to work on it died as it started"))
            elif isinstance(error, PluginLost):
                found.set_result(failed(cell, str(error)))
            elif error is not None:
                found.set_exception(error)
            else:
                found.set_result(done.result())

        with _uninterrupted():
            begin = self._begin_apart if of_plugin else self._begin
            begin(cell).add_done_callback(hand_over)
        return found

    def _begin(self, cell: Cell) -> "Future[Record]":
        try:
            scheduled: Future[Record] = self.pool.schedule(run_in_worker, args=[cell])
        except RuntimeError:  # a process died that nothing had been handed to; the pool cannot be used any more
            _stop(self.pool)
            self.pool = self._pool()
            scheduled = self.pool.schedule(run_in_worker, args=[cell])
        return scheduled

    def _begin_apart(self, cell: Cell) -> "Future[Record]":
        if self.ends is None:
            self.ends = ExitStack()
            self.ends.enter_context(children_end())
        needed = plugins.behind(self.config.plugins, methods(cell))
        return run_in_subprocess(
            run_in_own_process, self.config, self.started, needed, cell, seconds=self.config.plugin_timeout
        )

    def close(self) -> None:
        """Kill the processes, and what plug-ins have started."""
        try:
            _stop(self.pool)
        finally:
            if self.ends is not None:
                self.ends.close()


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _death(status: int) -> str:
    """How a process ended, in words."""
    killed = ": killed, as happens where memory runs out; if it did, take fewer --processes"
    return f"the process that worked on it died (status {status}{killed * (status == -signal.SIGKILL)})"


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Threads that begin meanwhile, and processes that they begin, never see Ctrl-C, not even as they start."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class PluginLost(RuntimeError):
    """A plug-in that was imported where the run began cannot be imported where its cell is computed."""


worker: list[RunContext] = []
"""What this process works with, once it has been made ready."""


def begin_worker(config: RunConfig, started: Any = None) -> None:
    """Make a new process ready: its threads and its device."""
    die_with_parent()
    mute()
    keep_freed_memory()
    torch.set_num_threads(config.threads)
    if config.device == "cuda" and started is not None:
        with started.get_lock():
            config = replace(config, device=f"cuda:{started.value % torch.cuda.device_count()}")
            started.value += 1
    worker[:] = [config.context()]


def run_in_worker(cell: Cell) -> Record:
    """Compute a cell in a process that has been made ready."""
    return run_cell(worker[0], cell)


def run_in_own_process(config: RunConfig, started: Any, needed: tuple[str, ...], cell: Cell) -> Record:
    """Compute a plug-in's cell in a new process, with images of its own."""
    begin_worker(config, started)
    return run_plugin_cell(worker[0], needed, cell)


def run_plugin_cell(context: RunContext, needed: tuple[str, ...], cell: Cell) -> Record:
    """Import what a plug-in's cell needs, and compute it with images of its own."""
    load_plugins(needed)
    try:
        return run_cell(context.apart(), cell)
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt, too, would end the whole run
        return failed(cell, f"{type(error).__name__}: {error}")


def load_plugins(needed: tuple[str, ...]) -> None:
    """Import plug-ins into a process that computes a cell of theirs.

    Raises:
        PluginLost: one of them cannot be imported.
    """
    plugins.installed()
    try:
        plugins.load(needed)
    except RequestProblems as error:
        raise PluginLost("; ".join(error.problems)) from error


def default_threads(device: str) -> int:
    """Threads of torch in each process: by the machine alone, so that measurements do not depend on the processes.

    One for every eight cores: cells that do not need each other use cores better than the threads of one cell do.
    """
    cores = _cores()
    return max(1, cores // torch.cuda.device_count()) if device == "cuda" else max(1, cores // 8)


def default_processes(config: RunConfig) -> int:
    """How many processes the cores, the memory and the GPUs of this machine allow."""
    device = torch.device(config.device).type
    if device == "cuda":
        return torch.cuda.device_count()
    fit = psutil.virtual_memory().available // memory_of_a_process(config.image_bytes)
    return int(max(1, min(_cores() // config.threads, fit)))


def memory_of_a_process(images: int) -> int:
    """Bytes for so many bytes of images: 1.3 GiB were measured for `quick`, 2.2 GiB for `cifar10-cpu` (140 MB)."""
    return int(1.3 * 2**30 + 7 * images)


def _cores() -> int:
    return len(psutil.Process().cpu_affinity()) if sys.platform == "linux" else psutil.cpu_count() or 1
