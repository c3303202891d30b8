"""The work on one cell, wherever it is done: a function of the config and the cell."""

import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError

from leakbench.benchmarks.execution.inapplicable import inapplicable, lacking
from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.stages.publish import (
    SIMULATED,
    VOID_SEED,
    claim_of,
    synthesizer,
    unpublishable,
)
from leakbench.benchmarks.stages.stages import STAGES
from leakbench.benchmarks.storage.disk import FULL
from leakbench.benchmarks.storage.environment import environment, is_plugin, peak_memory, result_key
from leakbench.benchmarks.storage.run_folder import RunFolder
from leakbench.benchmarks.storage.store import Store
from leakbench.benchmarks.suite.graph import networks_of
from leakbench.benchmarks.suite.model import Suite
from leakbench.benchmarks.suite.spec import attack_of, defense_of
from leakbench.metrics import lpips
from leakbench.metrics.threads import torch_threads
from leakbench.reports.records import Attacked, Cell, Guarantee, Record
from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.defense import Synthesizer
from leakbench.synth.images import Split
from leakbench.synth.networks.architectures import PROBE
from leakbench.synth.networks.compilation import can_compile
from leakbench.synth.networks.pretrained import PretrainedWeights
from leakbench.synth.networks.public import digests

COMPUTING = ("synth", "metrics", "attacks", "benchmarks")
"""The packages whose code measurements come from."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What a process needs in order to work on the cells of a run; it can be sent to another one.

    Args:
        suite: the grid.
        splits: the parts of the dataset, by seed.
        out: the run folder.
        cache: of the store.
        device: ``cpu``, or a CUDA device.
        threads: of torch, on a CPU; the last bits of measurements depend on them.
        plugin_timeout: seconds that a cell may take in which a plug-in's code runs.
        plugins: files and modules to import.
        weights: the teacher's, where somebody published them.
        public: what the public images' folder is called; None for a part of the dataset.
    """

    suite: Suite
    splits: tuple[Split, ...]
    out: Path
    cache: Path
    device: str
    threads: int
    plugins: tuple[str, ...] = ()
    plugin_timeout: float = 6 * 3600.0
    weights: PretrainedWeights | None = None
    public: str | None = None

    @property
    def image_bytes(self) -> int:
        """Of one seed's images."""
        return sum(part.pixels.numel() for part in vars(self.splits[0]).values())

    @property
    def folder(self) -> RunFolder:
        """The run folder."""
        return RunFolder(self.out, self._publishable)

    def _publishable(self, spec: str) -> bool:
        why = unpublishable(synthesizer(spec), public_given=self.public is not None, known_seed=True)
        return not why

    def context(self, progress: Callable[[int, int], None] = lambda done, total: None) -> RunContext:
        """What the stages share in this process."""
        return RunContext(
            self.suite,
            self.splits.__getitem__,
            self.folder,
            Store(self.cache),
            torch.device(self.device),
            progress,
            self.weights,
            self.public,
        )


def run_cell(context: RunContext, cell: Cell) -> Record:
    """Compute one cell, whose release is there, or take it from the store; whatever goes wrong becomes its record.

    Raises:
        OSError: the disk is full.
    """
    if reason := inapplicable(context.suite, context.weights is not None, cell):
        return replace(failed(cell, reason), status="not_applicable")
    try:
        key = cell_key(context, cell)
    except (DataProblems, SafetensorError, ValueError) as error:
        where = context.folder.release_folder(cell.defense, cell.seed)
        return failed(cell, f"{where} is damaged; delete it, and the same command makes it again: {error}")
    if key is None:
        return measure(context, cell)
    measured: list[Record] = []

    def packed() -> bytes | None:
        measured.append(measure(context, cell))
        return context.folder.pack(cell, measured[0]) if measured[0].status == "ok" else None

    found = context.store.once(key, packed)
    if measured:
        return measured[0]
    assert found is not None
    kept = context.folder.unpack(found)
    assert kept is not None
    return replace(kept, cell=cell)


def without_release(folder: RunFolder, cell: Cell) -> Record | None:
    """The record of a cell that reads a release which was not made; None where it can be computed."""
    if not reads_release(cell) or folder.has_release(cell.defense, cell.seed):
        return None
    if reason := lacking(cell):
        return replace(failed(cell, reason), status="not_applicable")
    return failed(cell, "the release that this cell reads was not made; see its own record")


def cell_key(context: RunContext, cell: Cell) -> str | None:
    """What a cell's result is stored under; None for plug-ins, whose code may change unnoticed."""
    if runs_plugin(cell):
        return None
    reads = [context.release_digest(cell.defense, cell.seed)] if reads_release(cell) else []
    weights = [lpips.unavailable() or lpips.variant()]  # they may come later
    weights += [context.weights.digest] if context.weights else []
    weights += read_by(context.suite, cell)
    compiled = (
        [can_compile(context.device)] if cell.task in ("release", "attack") else []
    )  # which may rerun the defense
    depends = (context.data_digest(cell.seed), context.public, weights, *reads, *compiled)
    return result_key(cell.task, COMPUTING, context.device, cell.id, *depends)


def read_by(suite: Suite, cell: Cell) -> tuple[str, ...]:
    """Digests of what a cell's defense, attack or networks read beside the data: a public network's weights."""
    found = attack_of(cell.method).reads() if cell.task == "attack" else ()
    found += defense_of(cell.defense).reads() if cell.defense else ()
    return found + (digests() if cell.task == "visual" or PROBE in networks_of(suite, cell) else ())


def runs_plugin(cell: Cell) -> bool:
    """Whether a plug-in's code may run in a cell."""
    return any(map(is_plugin, methods(cell)))


def methods(cell: Cell) -> list[type]:
    """The defense and the attack of a cell, as far as it has them."""
    found: list[type] = [type(defense_of(cell.defense))] if cell.defense else []
    return found + ([type(attack_of(cell.method))] if cell.task == "attack" else [])


def timed_out(cell: Cell, plugin_timeout: float) -> Record:
    """The record of a plug-in's cell that was stopped."""
    return failed(cell, f"it did not end within {plugin_timeout:g} s (--plugin-timeout)")


def reads_release(cell: Cell) -> bool:
    """Whether a cell reads a release from the run folder."""
    reads = cell.task not in ("blind", "oracle", "teacher", "release")
    return reads and isinstance(defense_of(cell.defense), Synthesizer)


def stored(config: RunConfig, cells: Sequence[Cell]) -> int:
    """How many of a run's cells would be taken from the store."""
    with tempfile.TemporaryDirectory() as folder, torch_threads(config.threads):
        context, count = replace(config, out=Path(folder)).context(), 0
        for cell in cells:
            there = not reads_release(cell) or context.folder.has_release(cell.defense, cell.seed)
            key = cell_key(context, cell) if there else None
            found = None if key is None else context.store.fetch(key)
            count += found is not None
            if found is not None and cell.task == "release":
                context.folder.unpack(found)
        return count


def measure(context: RunContext, cell: Cell) -> Record:
    """Compute one cell.

    Raises:
        OSError: the disk is full.
    """
    if context.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    record, start = _blank(cell), time.perf_counter()
    try:
        record = replace(record, claim=_claim(cell))
        outcome = STAGES[cell.task](context, cell)
        record = replace(
            record,
            measurements=outcome.judgement.measurements,
            absent=outcome.judgement.absent,
            roc=outcome.judgement.roc,
            attacked=outcome.attacked or record.attacked,
            paired_with=outcome.paired_with,
            public=_public(context, cell),
        )
    except (Exception, SystemExit) as error:  # whatever a cell does wrong is its result, and costs no other cell
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        record = failed(cell, f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
    return replace(
        record,
        seconds=round(time.perf_counter() - start, 3),
        peak_memory=peak_memory(context.device),
        environment=environment(context.device.type) | {"threads": str(torch.get_num_threads())},
    )


def _public(context: RunContext, cell: Cell) -> str:
    """Where the public images came from that a cell's defense reads, if it does."""
    reads = bool(cell.defense) and defense_of(cell.defense).reads_public
    if not reads:
        return ""
    return SIMULATED if context.public is None else context.public


def failed(cell: Cell, reason: str) -> Record:
    """The record of a cell that nobody could finish."""
    return replace(_blank(cell), status="failed", reason=reason)


def _blank(cell: Cell) -> Record:
    """A record without measurements."""
    attack = attack_of(cell.method) if cell.task == "attack" else None
    attacked = Attacked(family=attack.family, goal=attack.goal) if attack else None
    return Record(cell=cell, status="ok", attacked=attacked)


def _claim(cell: Cell) -> Guarantee:
    """What is claimed of what a cell looks at; in a run it is void, since everything follows from a known seed."""
    if not cell.defense:
        return Guarantee()
    claim = claim_of(cell)
    void = Guarantee(void=VOID_SEED) if claim.kind == "differential-privacy" else Guarantee()
    return cast(Guarantee, asdict(claim)) | void
