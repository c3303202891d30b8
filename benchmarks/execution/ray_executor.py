"""Cells on a Ray cluster: an existing one by its address, or one on this machine (extra ``[ray]``)."""

import platform
import signal
import socket
import tempfile
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from leakbench.benchmarks.execution import plugins
from leakbench.benchmarks.execution.cell import COMPUTING, RunConfig, failed, methods, run_cell, runs_plugin
from leakbench.benchmarks.execution.contained import no_longer_than
from leakbench.benchmarks.execution.executors import (
    PluginLost,
    WorkerDied,
    begin_worker,
    memory_of_a_process,
    run_plugin_cell,
    worker,
)
from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.storage.environment import code
from leakbench.benchmarks.storage.store import Store, default_cache
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.reports.records import Cell, Record

Parcel = tuple[bytes, dict[str, bytes]]
"""What a cell left behind, packed, and the networks that it made, as they are stored."""

CELLS_PER_GPU = 4
"""Not measured; Ray shares out parts of a card, and networks for images of 32 pixels are small."""


class OnRay:
    """Every cell is a Ray task with its cores, its memory and its part of a GPU; Ray decides where it runs.

    What a task leaves behind comes back through Ray's object store, and so do the releases that it reads. Where the
    nodes see the cache folder of the run they share it; elsewhere each has its own, and networks that a cell reads come
    with it. A cell that is lost with its worker or its node raises `executors.WorkerDied`.

    Args:
        config: what to work with; the images travel once to each node.
        address: of a cluster; None starts one on this machine.
        shared: False has nodes not even look whether they see the cache folder.

    Raises:
        RequestProblems: ray is not installed, or there is no such cluster.
    """

    def __init__(self, config: RunConfig, address: str | None = None, *, shared: bool = True) -> None:
        self.ray = _connected(address)
        self.folder, self.store = config.folder, Store(config.cache)
        self.left_behind: dict[str, Any] = {}
        self.plugin_timeout, self.plugins = config.plugin_timeout, config.plugins
        self.token = config.cache / f"token-{uuid.uuid4().hex}" if shared else None
        if self.token is not None:
            self.token.touch()
        far = replace(config, device=config.device.partition(":")[0])
        self.run, self.config = uuid.uuid4().hex, self.ray.put(far)
        self.takes = {"CPU": float(config.threads), "memory": float(memory_of_a_process(config.image_bytes))}
        if far.device == "cuda":
            self.takes["GPU"] = 1 / CELLS_PER_GPU
        self._fits()
        self.tasks = {of_plugin: self._task(calls=int(of_plugin)) for of_plugin in (False, True)}

    def _task(self, calls: int) -> Any:
        """What computes a cell, in workers that end after so many of them, if any, as those of `Processes` do."""
        task = self.ray.remote(
            num_cpus=self.takes["CPU"],
            num_gpus=self.takes.get("GPU", 0),
            memory=self.takes["memory"],
            max_retries=0,
            max_calls=calls,
        )
        return task(run_on_node)

    @property
    def slots(self) -> int:
        """One cell more than there is room for now: a cluster that grows by demand sees that it should."""
        return 1 + sum(self._room())

    def _room(self) -> list[int]:
        """How many cells each node that is there has room for."""
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        return [min(int(node.get(kind, 0) // amount) for kind, amount in self.takes.items()) for node in nodes]

    def _fits(self) -> None:
        """A task that no node has room for would wait for ever."""
        if not any(self._room()):
            gpus, memory = self.takes.get("GPU", 0), self.takes["memory"] / 2**30
            need = f"{self.takes['CPU']:g} CPUs, {gpus:g} GPUs and {memory:.1f} GiB of one cell"
            problem = f"--executor ray: no node of the cluster has the {need}; take fewer --threads, or larger nodes"
            raise RequestProblems([problem])

    def submit(self, cell: Cell, needs: Sequence[Cell]) -> "Future[Record]":
        """Begin a cell whose needs are all done."""
        found: Future[Record] = Future()
        parcels = [self._left_behind(need, {}) for need in needs]
        of_plugin = runs_plugin(cell)
        needed = plugins.behind(self.plugins, methods(cell)) if of_plugin else None
        about = (self.run, code(*COMPUTING), self.config, cell, needed, self.token)
        reference = self.tasks[of_plugin].remote(*about, *parcels)

        def hand_over(done: "Future[Parcel]") -> None:
            try:
                packed, networks = done.result()
                record = self.folder.unpack(packed)
                assert record is not None
                for key, content in networks.items():
                    self.store.put(key, content)
                self._left_behind(cell, networks)
                found.set_result(record)
            except self.ray.exceptions.RayTaskError as error:
                lost = isinstance(error.cause, PluginLost)
                found.set_result(failed(cell, str(error.cause))) if lost else found.set_exception(error.cause)
            except self.ray.exceptions.RayError as error:
                stopped = f", or it did not end within {self.plugin_timeout:g} s (--plugin-timeout)" * of_plugin
                found.set_exception(WorkerDied(f"its worker or node was lost ({type(error).__name__}){stopped}"))
            except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the future
                found.set_exception(error)

        reference.future().add_done_callback(hand_over)
        return found

    def _left_behind(self, cell: Cell, networks: dict[str, bytes]) -> Any:
        """What a cell left behind, owned by this process: a lost node takes nothing with it."""
        if cell.id not in self.left_behind:
            self.left_behind[cell.id] = self.ray.put((self.folder.pack(cell), networks))
        return self.left_behind[cell.id]

    def close(self) -> None:
        """Leave the cluster; what is under way there is given up."""
        if self.token is not None:
            self.token.unlink(missing_ok=True)
        self.ray.shutdown()


_ready: list[str] = []
"""The run that this process has been made ready for."""


def run_on_node(
    run: str,
    source: str,
    config: RunConfig,
    cell: Cell,
    needed: tuple[str, ...] | None,
    token: Path | None,
    *parcels: Parcel,
) -> Parcel:
    """Compute a cell on a node of a cluster, and pack what it leaves behind; one of a plug-in needs some imported."""
    shared = token is not None and token.exists()
    with tempfile.TemporaryDirectory(prefix="leakbench-") as folder:
        if _ready != [run]:
            if code(*COMPUTING) != source:
                raise RequestProblems([f"node {platform.node()}: has another version of leakbench; install this one"])
            begin_worker(replace(config, cache=config.cache if shared else default_cache()))
            _ready[:] = [run]
        context = worker[0]
        context.folder.root = Path(folder)
        for packed, networks in parcels:
            context.folder.unpack(packed)
            for key, content in networks.items():
                if context.store.fetch(key) is None:
                    context.store.put(key, content)
        context.store.made.clear()
        record = run_cell(context, cell) if needed is None else _apart(context, config.plugin_timeout, needed, cell)
        made = [] if shared else [key for key in context.store.made if key.startswith("network-")]
        found = {key: context.store.fetch(key) for key in made}
        return context.folder.pack(cell, record), {key: content for key, content in found.items() if content}


def _apart(context: RunContext, plugin_timeout: float, needed: tuple[str, ...], cell: Cell) -> Record:
    """A plug-in's cell, with images of its own, in a process that ends after it."""
    with no_longer_than(plugin_timeout):
        return run_plugin_cell(context, needed, cell)


def _connected(address: str | None) -> Any:
    try:
        import ray
    except ImportError as error:
        raise RequestProblems(["--executor ray: ray is not installed; pip install 'leakbench[ray]'"]) from error
    before = signal.getsignal(signal.SIGTERM)
    try:
        _reachable(address)
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, logging_level="error")
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RequestProblems([f"--address {address}: there is no Ray cluster to connect to: {reason}"]) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)  # Ray takes it for itself
    return ray


def _reachable(address: str | None) -> None:
    """Ray itself tries for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()
