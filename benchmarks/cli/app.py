"""The command line: `leakbench run | synthesize | audit | report | compare | list | check | doctor`."""

import json
import signal
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table as Grid
from rich.text import Text

from leakbench.benchmarks.audit.folders import open_folders
from leakbench.benchmarks.audit.verdict import LEAKS, UNKNOWN, Limits, write
from leakbench.benchmarks.audit.verdict import audit as judge
from leakbench.benchmarks.cli import doctor as health
from leakbench.benchmarks.cli.console import show_plan, show_store, show_summary
from leakbench.benchmarks.cli.durations import seconds
from leakbench.benchmarks.cli.exits import guarded, refuse, terminate
from leakbench.benchmarks.cli.options import (
    Data,
    Device,
    ImageSize,
    Plugins,
    Public,
    error_console,
    load_plugins,
    out_console,
)
from leakbench.benchmarks.cli.progress import Live, json_lines
from leakbench.benchmarks.execution import contract, plugins
from leakbench.benchmarks.execution.cell import Workplace
from leakbench.benchmarks.execution.executors import Executor
from leakbench.benchmarks.execution.runner import Listener, equip, here
from leakbench.benchmarks.execution.runner import run as run_suite
from leakbench.benchmarks.stages.publish import synthesizer
from leakbench.benchmarks.stages.synthesize import synthesize as synthesize_release
from leakbench.benchmarks.storage.environment import keep_freed_memory, pick_device
from leakbench.benchmarks.storage.store import default_cache
from leakbench.benchmarks.suite.graph import plan
from leakbench.benchmarks.suite.model import RequestProblems, Suite, available, load_suite
from leakbench.benchmarks.suite.public import ask_for_public
from leakbench.reports.compare import compare as compare_runs
from leakbench.reports.verdicts import Results
from leakbench.reports.write import EVERYTHING, write_reports
from leakbench.synth.data.datasets import DATASETS, Pool, open_pool

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="What does a synthetic image dataset give away about the private images behind it, and what is it good for?",
)


class Executors(StrEnum):
    """Where cells are computed."""

    local = "local"
    ray = "ray"


STATUS = {LEAKS: 3, UNKNOWN: 4}
"""What an audit leaves with: a gate must not open because nobody could tell."""


def _on_ray(address: str | None) -> Callable[[Workplace, Listener], Executor]:
    from leakbench.benchmarks.execution.ray_executor import OnRay  # ray takes seconds to import

    return lambda workplace, listener: OnRay(workplace, address)


def _open(suite: Suite, data: Path | None) -> Pool:
    return open_pool(suite.dataset, data, suite.image_size)


@app.command()
def run(
    suite: Annotated[str, typer.Argument(help="A suite's name: see `leakbench list suites`.")],
    out: Annotated[Path | None, typer.Option(help="The run folder (default: runs/SUITE[-DATASET]).")] = None,
    data: Data = None,
    dataset: Annotated[str | None, typer.Option(help="Another dataset than the suite's.")] = None,
    defense: Annotated[list[str] | None, typer.Option(help="NAME[:key=value,…]; repeat; replaces the suite's.")] = None,
    attack: Annotated[
        list[str] | None, typer.Option(help="NAME[:key=value,…][@SCENARIO]; repeat; replaces the suite's.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Repetitions.")] = None,
    image_size: ImageSize = None,
    classes: Annotated[
        str | None, typer.Option(help="Of the dataset, separated by commas; the others are left out.")
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
    plugin_timeout: Annotated[str, typer.Option(help="What a cell of a plug-in may take: 90s, 10m, 6h.")] = "6h",
    device: Device = "auto",
    cache: Annotated[Path | None, typer.Option(help="What was computed before, by this run or others.")] = None,
    executor: Annotated[Executors, typer.Option(help="Where cells are computed.")] = Executors.local,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster; `auto` finds it. Else one is started.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="At once (default: what the machine allows).")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of each process (default: by the machine).")] = None,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="A line of JSON for everything that happens.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the cells and estimate the cost; run nothing.")
    ] = False,
) -> None:
    """Run a suite; the same command again resumes it."""
    sources, patience = load_plugins(plugin), seconds("--plugin-timeout", plugin_timeout)
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
    if address and executor is not Executors.ray:
        raise refuse(["--address is that of a Ray cluster; give --executor ray too"])
    if processes and executor is Executors.ray:
        raise refuse(["--processes is for --executor local; a Ray cluster takes as many cells as it has room for"])
    if dry_run:
        show_plan(out_console, chosen, plan(chosen), where.type)
        if data is None and chosen.dataset != "digits":
            out_console.print("with --data DIR, what the cache already has is counted too")
            return
    workplace = equip(
        chosen,
        _open(chosen, data),
        out=folder,
        cache=cache or default_cache(),
        device=where,
        threads=threads,
        plugins=sources,
        patience=patience,
        public=public,
    )
    if dry_run:
        show_store(out_console, workplace)
        return
    with json_lines() if json_logs else Live(out_console) as live:
        records = run_suite(
            workplace,
            live,
            data=data,
            plugins=sources | plugins.versions(),
            start=_on_ray(address) if executor is Executors.ray else here(processes),
        )
    for file in write_reports(folder):
        if file.suffix in (".pdf", ".html"):
            live.announced(f"report: {file}")
    if not json_logs:
        show_summary(out_console, Results(records.values(), seeds=chosen.seeds))
    if any(record.status == "failed" for record in records.values()):
        raise typer.Exit(1)


@app.command()
def synthesize(
    defense: Annotated[str, typer.Argument(help="NAME[:key=value,…]: see `leakbench list defenses`.")],
    dataset: Annotated[str, typer.Option(help="See `leakbench list datasets`.")],
    out: Annotated[Path, typer.Option(help="Where to put the release; must be empty or missing.")],
    data: Data = None,
    public: Public = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="A seed, for experiments: whoever knows it can make the release again, which voids a claim. By "
            "default randomness is the operating system's."
        ),
    ] = None,
    image_size: ImageSize = None,
    plugin: Plugins = None,
    device: Device = "auto",
    members: Annotated[int | None, typer.Option(min=1, help="How many private images to use (default: all).")] = None,
) -> None:
    """Just make the release of a defense: an image folder with release.json."""
    load_plugins(plugin)
    synthesizer(defense)
    where = pick_device(device)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise refuse([f"--out {out}: is not an empty folder; give a new one"])
    suite = load_suite("quick", dataset=dataset, image_size=image_size)
    pool = _open(suite, data)
    count = synthesize_release(suite, defense, pool, out=out, seed=seed, members=members, device=where, public=public)
    out_console.print(f"{count} images in {out}", soft_wrap=True)
    if synthesizer(defense).shows_members:
        error_console.print(f"not for publication: {out} shows private images, as {defense} does on purpose")


@app.command()
def audit(
    private: Annotated[Path, typer.Option(help="The private images, in class folders or not.")],
    released: Annotated[Path, typer.Option(help="The images that are to be published, however they were made.")],
    holdout: Annotated[Path | None, typer.Option(help="Images of the same kind that were not used.")] = None,
    out: Annotated[Path, typer.Option(help="Where audit.json, riskiest.csv and riskiest.png go.")] = Path("runs/audit"),
    image_size: ImageSize = None,
    max_copies: Annotated[int, typer.Option(min=0, help="Private images that may have a copy.")] = 0,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="By which AUC and true positive rates may exceed chance.")
    ] = 0.0,
    budget: Annotated[str, typer.Option(help="Time for training students: 90s, 10m, 1h; 0 for none.")] = "5m",
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Judge a folder of released images against the private ones; status 3 when it leaks, 4 when it cannot tell."""
    limits = Limits(copies=max_copies, tolerance=tolerance, budget=seconds("--budget", budget, none=True))
    for folder in filter(None, (private, released, holdout)):
        if out.resolve().is_relative_to(folder.resolve()):
            raise RequestProblems([f"--out {out}: lies in {folder}; it shows private images, so give another folder"])
    out.mkdir(parents=True, exist_ok=True, mode=0o700)  # it shows private images
    folders = open_folders(private, released, holdout, image_size)
    found = judge(folders, limits)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1))
    else:
        for line in (f"verdict: {found.verdict}", *found.reasons, f"{len(found.risky)} private images in {out}"):
            out_console.print(Text(line), soft_wrap=True)
    write(found, folders, out)
    if found.verdict in STATUS:
        raise typer.Exit(STATUS[found.verdict])


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    format: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(EVERYTHING),
) -> None:
    """Write the tables and the report of a run again, from its records."""
    for file in write_reports(run, tuple(format.split(","))):
        out_console.print(str(file), soft_wrap=True)


@app.command()
def compare(runs: Annotated[list[Path], typer.Argument(help="Run folders, two or more.")]) -> None:
    """Put runs side by side: what changed, by how much, and is it outside the intervals."""
    table = compare_runs(runs)
    grid = Grid(*table.columns)
    for row in table.rows:
        grid.add_row(*map(Text, row))
    out_console.print(grid)
    for note in table.notes:
        out_console.print(Text(note), soft_wrap=True)


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="datasets, defenses, attacks, metrics or suites; all by default.")] = "",
    plugin: Plugins = None,
) -> None:
    """List what there is."""
    load_plugins(plugin)
    found = health.catalogue(DATASETS, available())
    if what and what not in found:
        raise refuse([f"there is no list of {what!r}; there are: {', '.join(found)}"])
    for kind, entries in found.items():
        if what in ("", kind):
            out_console.print(kind, style="bold")
            for name, description in entries.items():
                out_console.print(Text(f"  {name}: {description}"), soft_wrap=True)


@app.command()
def check(
    plugin: Annotated[str, typer.Argument(help="A file or module that registers defenses.")],
) -> None:
    """Try somebody's defenses on small data: pass, or the one thing to change."""
    found = plugins.load([plugin])[plugin].defenses
    if not found:
        raise refuse([f"{plugin}: registers no defense; attacks are tried by `leakbench run`"])
    problems = {name: contract.check_apart(plugin, name) for name in found}
    for name, problem in problems.items():
        out_console.print(Text(f"{name}: {problem or 'pass'}"), soft_wrap=True)
    if any(problems.values()):
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Say what this machine has and what it lacks."""
    for line in health.examine():
        out_console.print(Text(line), soft_wrap=True)


def main() -> None:
    """Entry point: a user's mistake is one sentence and status 2, never a traceback."""
    keep_freed_memory()
    signal.signal(signal.SIGTERM, terminate)
    raise SystemExit(guarded(lambda: app(standalone_mode=False)))


if __name__ == "__main__":
    main()
