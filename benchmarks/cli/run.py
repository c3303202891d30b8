"""The command `run`."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from leakbench.benchmarks.cli.console import show_plan, show_store, show_summary
from leakbench.benchmarks.cli.durations import seconds
from leakbench.benchmarks.cli.exits import refuse
from leakbench.benchmarks.cli.options import (
    Data,
    Device,
    ImageSize,
    Plugins,
    Public,
    error_console,
    load_plugins,
    open_suite,
    out_console,
)
from leakbench.benchmarks.cli.progress import Live, json_lines
from leakbench.benchmarks.execution import plugins
from leakbench.benchmarks.execution.cell import RunConfig
from leakbench.benchmarks.execution.executors import Executor
from leakbench.benchmarks.execution.runner import Listener, local_executor, prepare_run
from leakbench.benchmarks.execution.runner import run as run_suite
from leakbench.benchmarks.storage.environment import pick_device
from leakbench.benchmarks.storage.store import default_cache
from leakbench.benchmarks.suite.graph import plan
from leakbench.benchmarks.suite.model import load_suite
from leakbench.benchmarks.suite.public import ask_for_public
from leakbench.reports.verdicts import Results
from leakbench.reports.write import write_reports
from leakbench.synth.data.datasets import DATASETS


class Executors(StrEnum):
    """Where cells are computed."""

    local = "local"
    ray = "ray"


def _on_ray(address: str | None) -> Callable[[RunConfig, Listener], Executor]:
    from leakbench.benchmarks.execution.ray_executor import OnRay  # ray takes seconds to import

    return lambda config, listener: OnRay(config, address)


def run(
    suite: Annotated[str, typer.Argument(help="A suite's name: see `leakbench list suites`.")],
    out: Annotated[Path | None, typer.Option(help="The run folder (default: runs/SUITE[-DATASET]).")] = None,
    data: Data = None,
    dataset: Annotated[str | None, typer.Option(help="Another dataset than the suite's.")] = None,
    defense: Annotated[
        list[str] | None, typer.Option(help="A defense, NAME[:key=value,…]; repeat for more; replaces the suite's.")
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(help="An attack, NAME[:key=value,…][@SCENARIO]; repeat for more; replaces the suite's."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Repetitions, each with a split of its own.")] = None,
    image_size: ImageSize = None,
    classes: Annotated[
        str | None, typer.Option(help="Classes of the dataset that are kept, separated by commas; all by default.")
    ] = None,
    teacher_weights: Annotated[
        str | None, typer.Option(help="Somebody's weights instead of training: torchvision, or a .safetensors file.")
    ] = None,
    plugin: Plugins = None,
    public: Public = None,
    simulate_public: Annotated[
        bool,
        typer.Option(
            "--simulate-public",
            help="Let a part of --data stand in for public images: for a benchmark dataset that lies in folders.",
        ),
    ] = False,
    plugin_timeout: Annotated[str, typer.Option(help="Time that a cell of a plug-in may take: 90s, 10m, 6h.")] = "6h",
    device: Device = "auto",
    cache: Annotated[
        Path | None, typer.Option(help="Folder of what was computed before, by this run or others.")
    ] = None,
    executor: Annotated[Executors, typer.Option(help="Where cells are computed.")] = Executors.local,
    address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster; `auto` finds it. Without it one is started.")
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes that compute cells at the same time (default: as many as the machine allows)."
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of torch in each process (default: by the machine).")
    ] = None,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="A line of JSON for everything that happens.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the cells and estimate the cost; run nothing.")
    ] = False,
) -> None:
    """Run a suite; the same command again resumes it."""
    sources, limit = load_plugins(plugin), seconds("--plugin-timeout", plugin_timeout)
    chosen = load_suite(
        suite,
        dataset=dataset,
        defenses=defense,
        attacks=attack,
        seeds=seeds,
        image_size=image_size,
        classes=classes and sorted(set(classes.split(","))),
        teacher_weights=teacher_weights,
    )
    ask_for_public(chosen, data, public, simulate_public)
    where = pick_device(device)
    folder = out or Path("runs") / (f"{suite}-{dataset}" if dataset else suite)
    _agree(executor, address, processes)
    if dry_run:
        show_plan(out_console, chosen, plan(chosen), where.type)
        if data is None and not DATASETS[chosen.dataset].embedded:
            out_console.print("with --data DIR, what the cache already has is counted too")
            return
    config = prepare_run(
        chosen,
        open_suite(chosen, data),
        out=folder,
        cache=cache or default_cache(),
        device=where,
        threads=threads,
        plugins=sources,
        plugin_timeout=limit,
        public=public,
        announce=lambda line: error_console.print(line, soft_wrap=True),
    )
    if dry_run:
        show_store(out_console, config)
        return
    with json_lines() if json_logs else Live(out_console) as live:
        records = run_suite(
            config,
            live,
            data=data,
            plugins=sources | plugins.versions(),
            start=_on_ray(address) if executor is Executors.ray else local_executor(processes),
        )
    _report(folder, live)
    if not json_logs:
        show_summary(out_console, Results(records.values(), seeds=chosen.seeds))
    if any(record.status == "failed" for record in records.values()):
        raise typer.Exit(1)


def _agree(executor: Executors, address: str | None, processes: int | None) -> None:
    """Refuse options of the other executor."""
    if address and executor is not Executors.ray:
        raise refuse(["--address is that of a Ray cluster; give --executor ray too"])
    if processes and executor is Executors.ray:
        raise refuse(["--processes is for --executor local; a Ray cluster takes as many cells as it has room for"])


def _report(folder: Path, listener: Listener) -> None:
    """Write the reports, and say where those lie that people read."""
    for file in write_reports(folder):
        if file.suffix in (".pdf", ".html"):
            listener.announced(f"report: {file}")
