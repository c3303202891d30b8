"""The package from Python: what `leakbench run`, `load` and `compare` are in a notebook."""

import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console

from leakbench.attacks.attack import Attack, attacks
from leakbench.benchmarks.audit.files import within_sources, write
from leakbench.benchmarks.audit.folders import open_folders
from leakbench.benchmarks.audit.kept import FOLDER, unfit
from leakbench.benchmarks.audit.result import Audit
from leakbench.benchmarks.audit.verdict import Limits
from leakbench.benchmarks.audit.verdict import audit as judge
from leakbench.benchmarks.cli.progress import Live
from leakbench.benchmarks.execution import runner
from leakbench.benchmarks.execution.cell import RunConfig
from leakbench.benchmarks.execution.executors import Executor, InProcess
from leakbench.benchmarks.execution.runner import Listener, local_executor, prepare_run
from leakbench.benchmarks.storage.environment import pick_device
from leakbench.benchmarks.storage.store import default_cache
from leakbench.benchmarks.suite.model import Suite, load_suite
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.benchmarks.suite.public import ask_for_public
from leakbench.reports import compare as comparing
from leakbench.reports.verdicts import Results
from leakbench.reports.write import load_run
from leakbench.synth.data.datasets import Pool, folder_pool, open_pool
from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.defense import Defense
from leakbench.synth.images import Images
from leakbench.synth.registry import Registry, defenses

Methods = Sequence[str | Defense | Attack]


def run(
    suite: str,
    *,
    defenses: Methods | None = None,
    attacks: Methods | None = None,
    data: Any = None,
    dataset: str | None = None,
    public: Path | str | None = None,
    simulate_public: bool = False,
    out: Path | str | None = None,
    cache: Path | str | None = None,
    seeds: int | None = None,
    image_size: int | None = None,
    device: str = "auto",
    processes: int = 1,
    progress: bool = True,
) -> Results:
    """Run a suite, or go on with it where it was interrupted.

    Args:
        suite: its name.
        defenses: specs, or defenses; the suite's by default. Without `identity` and `disjoint` no verdict counts.
        attacks: specs, or attacks; the suite's by default.
        data: a source of pictures in class folders, or with labels: a folder, an archive or a file of arrays, images,
            a dataset of torch or of Hugging Face; digits and cifar10 need none.
        dataset: another dataset than the suite's; ``imagefolder`` where `data` is given and nothing is said.
        public: a folder of other people's images, for defenses that read public ones.
        simulate_public: let a part of the data stand in for them.
        out: the run folder; ``runs/SUITE`` by default.
        cache: of what was computed before.
        seeds: repetitions.
        image_size: side to resize and crop folders' images to.
        device: ``auto``, ``cpu`` or ``cuda``.
        processes: at once; with one, everything runs in this process, defenses of this notebook too.
        progress: whether to draw bars.

    Returns:
        The results; the run folder has the records, and what `leakbench report` makes of them.

    Raises:
        RequestProblems: everything that is wrong with the request.
        DataProblems: everything that is wrong with the data.
    """
    _check(data, dataset, image_size, processes)
    chosen = load_suite(
        suite,
        dataset=dataset or ("imagefolder" if data is not None else None),
        defenses=_texts(defenses, _DEFENSES),
        attacks=_texts(attacks, _ATTACKS),
        seeds=seeds,
        image_size=image_size,
    )
    given = _given(data, image_size)
    others = None if public is None else Path(public)
    ask_for_public(chosen, given, others, simulate_public)
    config = prepare_run(
        chosen,
        _pool(chosen, given),
        out=Path(out or Path("runs") / suite),
        cache=Path(cache or default_cache()),
        device=pick_device(device),
        public=others,
    )
    with Live(Console(stderr=True)) if progress else nullcontext(_Silent()) as listener:
        records = runner.run(
            config,
            listener,
            data=given if isinstance(given, Path) else None,
            start=_here if processes == 1 else local_executor(processes),
        )
    return Results(records.values(), seeds=chosen.seeds)


def _check(data: object, dataset: str | None, image_size: int | None, processes: int) -> None:
    problems = []
    if isinstance(data, Images) and (dataset or image_size):
        problems.append("data are images as they are; leave dataset and image_size out")
    if processes < 1:
        problems.append(f"processes must be >= 1, got {processes}")
    if problems:
        raise RequestProblems(problems)


def _given(data: Any, image_size: int | None) -> Path | Images | None:
    """A path, or images: what else there may be is read."""
    if data is None or isinstance(data, Path | str):
        return None if data is None else Path(data)
    if isinstance(data, Images):
        return data
    pool = folder_pool(data, image_size, check_all=True)
    return Images(pool.draw(torch.arange(len(pool.labels))), pool.labels, pool.classes)


def audit(
    private: Any,
    released: Any,
    holdout: Any = None,
    *,
    max_copies: int = 0,
    tolerance: float = 0.0,
    budget: float = 0.0,
    image_size: int | None = None,
    quick: bool = False,
    out: Path | str | None = None,
    index: Path | str | None = None,
    seed: int = 0,
) -> Audit:
    """Judge released pictures against the private ones they were made of, whoever made them.

    Args:
        private: a source of pictures of any size: a folder, an archive or a file of arrays, an array, a tensor, a
            dataset of torch or of Hugging Face.
        released: those that are to be published.
        holdout: pictures of the same kind that were not used; without them only copies can be told.
        max_copies: private pictures that may have a copy.
        tolerance: by which areas and true positive rates may exceed chance.
        budget: seconds for training students, where there are classes.
        image_size: pixels a side that pictures are compared at as a whole; chosen where None.
        quick: whether whole pictures alone are looked at, not their parts; then an audit finds leaks, or cannot tell.
        out: a folder for the report, audit.json and riskiest.csv, which show private pictures; none is written where
            None.
        index: a folder in which what private and holdout pictures are recognised by is kept for the next audit of
            them; it shows private pictures. Nothing is kept where None.
        seed: of what is drawn at random.

    Returns:
        The verdict, its reasons, and the private pictures that are given away, the worst first.

    Raises:
        DataProblems: everything that is wrong with the sources, or a folder to write to lies where it must not.
    """
    written = [Path(place) for place in (out, index) if place is not None]
    problems = [said for place in written for said in within_sources(place, (private, released, holdout))]
    problems += [] if index is None else unfit(Path(index), None if out is None else Path(out))
    if problems:
        raise DataProblems(problems)
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True, mode=0o700)
    folders = open_folders(
        *(private, released, holdout, image_size),
        details=not quick,
        keep=None if out is None else Path(out) / FOLDER,
        index=None if index is None else Path(index),
    )
    found = judge(folders, Limits(copies=max_copies, tolerance=tolerance, budget=budget), seed=seed)
    if out is not None:
        write(found, Path(out))
    return found


def load(folder: Path | str) -> Results:
    """The results of a run folder.

    Raises:
        ReportProblem: the folder is no run, is damaged, or has no records yet.
    """
    return load_run(Path(folder))[0]


def compare(*folders: Path | str) -> pd.DataFrame:
    """Run folders side by side: what changed, by how much, and whether that is outside the intervals.

    Raises:
        ReportProblem: fewer than two folders, or one that is no run.
    """
    return comparing.compare([Path(folder) for folder in folders])[-1].frame()


class _Silent:
    """A listener that says nothing."""

    def announced(self, line: str) -> None: ...
    def began(self, grid: object, left: object, slots: int) -> None: ...
    def started(self, cell: object) -> None: ...
    def advanced(self, done: int, total: int) -> None: ...
    def finished(self, record: object) -> None: ...


def _here(config: RunConfig, listener: Listener) -> Executor:
    return InProcess(config, listener.advanced)


def _pool(suite: Suite, data: Path | Images | None) -> Pool:
    if isinstance(data, Images):
        return Pool(data.labels, data.classes, lambda index: data.pixels[index])
    return open_pool(suite.dataset, data, suite.image_size)


_DEFENSES: Registry[Defense] = defenses
_ATTACKS: Registry[Attack] = attacks


def _texts(methods: Methods | None, registry: Registry[Defense] | Registry[Attack]) -> list[str] | None:
    if isinstance(methods, str):
        raise RequestProblems([f"{registry.kind}s={methods!r} is one text; give a list: [{methods!r}]"])
    return None if methods is None else [m if isinstance(m, str) else spec_of(m, registry) for m in methods]


def spec_of(method: Defense | Attack, registry: Registry[Defense] | Registry[Attack]) -> str:
    """The spec that builds a registered method: its name and the parameters that are not the default.

    Raises:
        RequestProblems: it is no such method, its class is not registered, or a value cannot stand in a spec.
    """
    shown = method.__name__ if isinstance(method, type) else type(method).__name__
    name = next((name for name, cls in registry.items() if cls is type(method)), None)
    if isinstance(method, type):
        raise RequestProblems([f"{shown} is a class; give one of it: {shown}()"])
    if name is None:
        remedy = f"put @register_{registry.kind}('name') from leakbench above its class"
        raise RequestProblems([f"{shown} is no {registry.kind} that is registered; if it is one, {remedy}"])
    given = {f.name: getattr(method, f.name) for f in fields(method) if getattr(method, f.name) != f.default}
    odd = [key for key, value in given.items() if not re.fullmatch(r"[^,@]+", str(value))]
    if odd:
        raise RequestProblems([f"{shown}.{key}: a value with commas cannot stand in a spec" for key in odd])
    return name + ":" * bool(given) + ",".join(f"{key}={value}" for key, value in given.items())
