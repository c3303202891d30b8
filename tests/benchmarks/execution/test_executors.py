"""The same records wherever cells are computed, and what happens when that goes wrong."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import psutil
import pytest
import torch

from leakbench.benchmarks.execution import plugins
from leakbench.benchmarks.execution.executors import Processes, WorkerDied
from leakbench.benchmarks.execution.runner import prepare_run
from leakbench.benchmarks.stages import stages
from leakbench.benchmarks.storage.run_folder import RunFolder
from leakbench.benchmarks.suite.graph import plan
from leakbench.benchmarks.suite.model import load_suite
from leakbench.reports.records import read_records
from leakbench.synth.data.datasets import open_pool
from tests.benchmarks.conftest import run_tiny

SMALL = ("--defense", "identity", "--defense", "bn-matching:images_per_statistic=1,num_images=20,steps=3,batch_size=20")
SMALL += ("--attack", "loss-threshold", "--attack", "sign:num_images=2")
PARTING = """
import os, pathlib, signal
from leakbench.synth.defenses.controls import Identity
from leakbench.synth.registry import defenses
from dataclasses import dataclass

@defenses.register("parting")
@dataclass(frozen=True, kw_only=True)
class Parting(Identity):
    '''Dies as often as its file says.'''
    times: int = 1

    def release(self, members, resources):
        deaths = pathlib.Path(__file__).with_suffix(".deaths")
        count = len(deaths.read_text()) if deaths.exists() else 0
        if count < self.times:
            deaths.write_text("x" * (count + 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().release(members, resources)
"""


def found(folder):
    """The records of a run without what may differ: times, memory and host."""
    records = read_records(folder / "records.jsonl").values()
    kept = [{k: v for k, v in asdict(r).items() if k not in ("seconds", "peak_memory", "environment")} for r in records]
    return {json.dumps(record["cell"], sort_keys=True): record for record in kept}


def test_the_stage_graph(suites):
    grid = plan(load_suite("tiny"))
    named = {(c.defense.split(":")[0], c.task, c.method): c for c in grid.cells}

    def needs(*name):
        return {(n.defense.split(":")[0], n.task) for n in grid.needs[named[name].id]}

    assert needs("bn-matching", "release", "") == {("", "teacher")}
    assert needs("identity", "release", "") == set()
    assert needs("identity", "visual", "") == {("identity", "release")}
    assert needs("identity", "attack", "sign:num_images=2") == {("identity", "release")}
    hitaj = "hitaj:start_round=1,generator_steps=1,local_steps=1,samples=2"
    assert needs("identity", "attack", hitaj) == {("identity", "release"), ("", "oracle")}
    assert ("identity", "utility") in needs("identity", "attack", "lira:shadows=2,variance=fixed")
    assert grid.depth == 4  # teacher, release, student, attack on the student
    ready = grid.order(list(grid.cells)).get_ready()
    assert {c.task for c in ready} == {"blind", "oracle", "teacher", "release"}


@pytest.mark.usefixtures("whole")
def test_serial_parallel_and_resumed_agree(suites, tmp_path):
    assert run_tiny(tmp_path, *SMALL, out="serial", cache="one") == 0
    assert run_tiny(tmp_path, *SMALL, "--processes", "2", out="parallel", cache="two") == 0
    serial, parallel = found(tmp_path / "serial"), found(tmp_path / "parallel")
    assert len(serial) == 2 + 2 * (1 + 1 + 2 + 2) + 2
    assert serial == parallel
    for name in ("T1.csv", "T2.md", "T4.tex", "T6.csv"):
        one, other = (tmp_path / run / "tables" / name for run in ("serial", "parallel"))
        assert one.read_bytes() == other.read_bytes(), "rows stand in the order of the suite, whoever was first"
    lines = (tmp_path / "serial" / "records.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "serial" / "records.jsonl").write_text("".join(lines[:5]))
    assert run_tiny(tmp_path, *SMALL, out="serial", cache="three") == 0
    assert found(tmp_path / "serial") == parallel


def test_another_run_takes_from_the_cache_what_this_one_made(suites, tmp_path, monkeypatch):
    more = ("--defense", "identity", "--attack", "sign:num_images=2")
    assert run_tiny(tmp_path, *more, out="first") == 0
    for task in stages.STAGES:
        monkeypatch.setitem(stages.STAGES, task, lambda context, cell: pytest.fail("computed again"))
    assert run_tiny(tmp_path, *more, out="second") == 0
    first, second = (tmp_path / run for run in ("first", "second"))
    assert found(first) == found(second)
    assert {f.name for f in (second / "galleries").iterdir()} == {f.name for f in (first / "galleries").iterdir()}
    for file in (f for f in (first / "tables").iterdir()):
        assert file.read_bytes() == (second / "tables" / file.name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("times", "status"), [(1, 0), (2, 1)])
def test_a_worker_that_dies_costs_its_cell_one_retry(times, status, suites, tmp_path, unregister, capfd):
    (tmp_path / "parting.py").write_text(PARTING)
    more = ("--plugin", str(tmp_path / "parting.py"), "--defense", "identity", "--defense", f"parting:times={times}")
    assert run_tiny(tmp_path, *more, "--attack", "loss-threshold", "--processes", "2") == status
    records = read_records(tmp_path / "run" / "records.jsonl").values()
    failed = {r.cell.defense for r in records if r.status == "failed"}
    assert failed == ({"parting:times=2"} if status else set()), "it costs nobody else's cells"
    reasons = [r.reason for r in records if r.cell.task == "release" and r.status == "failed"]
    assert all("died (status -9: killed" in reason for reason in reasons)
    assert len(records) == len({r.cell.id for r in records}) == 2 * 5


WAITING = """
import os, pathlib, time
from leakbench.synth.defenses.controls import Identity
from leakbench.synth.registry import defenses
from dataclasses import dataclass

@defenses.register("waiting")
@dataclass(frozen=True, kw_only=True)
class Waiting(Identity):
    '''Says who it is, and waits.'''

    def release(self, members, resources):
        pathlib.Path(__file__).with_suffix(".pid").write_text(str(os.getpid()))
        time.sleep(600)
"""


@pytest.mark.slow
def test_a_process_that_dies_idle_costs_no_cell(suites, tmp_path, unregister):
    """Neither one that comes after it, nor a plug-in's, which has a process of its own."""
    (tmp_path / "waiting.py").write_text(WAITING)
    plugins.load([str(tmp_path / "waiting.py")])
    suite = load_suite("tiny", defenses=["waiting", "identity", "disjoint"], attacks=[])
    pool = open_pool("digits", None, None)
    config = prepare_run(suite, pool, out=tmp_path / "run", cache=tmp_path / "cache", device=torch.device("cpu"))
    config = replace(config, plugins=(str(tmp_path / "waiting.py"),))
    releases = {c.defense: c for c in plan(suite).cells if c.task == "release"}
    executor, pid = Processes(config, 1), tmp_path / "waiting.pid"
    try:
        waiting = executor.submit(releases["waiting"], [])
        while not pid.exists() or not pid.read_text():
            time.sleep(0.1)
        assert executor.submit(releases["identity"], []).result(timeout=120).status == "ok"
        living = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
        workers = [p for p in living if "spawn_main" in " ".join(p.cmdline())]
        (idle,) = [p for p in workers if p.pid != int(pid.read_text())]
        idle.kill()
        time.sleep(2)
        assert executor.submit(releases["disjoint"], []).result(timeout=120).status == "ok"
        assert not waiting.done()
    finally:
        executor.close()
    assert isinstance(waiting.exception(timeout=120), WorkerDied)


def test_a_full_disk_stops_the_run_and_keeps_what_is_done(suites, tmp_path, monkeypatch, capsys):
    real = stages.STAGES["visual"]

    def full(context, cell):
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere.png")

    monkeypatch.setitem(stages.STAGES, "visual", full)
    more = ("--defense", "identity", "--attack", "sign:num_images=2")
    assert run_tiny(tmp_path, *more) == 1
    assert "somewhere.png: no space is left; what is done is kept" in capsys.readouterr().err
    before = found(tmp_path / "run")
    assert {json.loads(name)["task"] for name in before} == {"blind", "release"}
    monkeypatch.setitem(stages.STAGES, "visual", real)
    assert run_tiny(tmp_path, *more) == 0
    assert before.items() <= found(tmp_path / "run").items()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_disk_that_is_full_for_records(suites, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "records.jsonl").symlink_to("/dev/full")
    assert run_tiny(tmp_path, "--defense", "identity", "--attack", "sign:num_images=2") == 1
    assert "no space is left" in capsys.readouterr().err


def test_a_run_folder_is_one_runs_at_a_time(suites, tmp_path, capsys):
    with RunFolder(tmp_path / "run").held():
        assert run_tiny(tmp_path) == 2
    assert "another run is under way there" in capsys.readouterr().err


def workers(process, count):
    """The processes that it has started, once there are so many."""
    deadline = time.monotonic() + 60
    while True:
        children = psutil.Process(process.pid).children(recursive=True)
        found = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        if len(found) == count:
            return found
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_termination_takes_the_workers_along(suites, tmp_path):
    """A run that is killed leaves no process behind."""
    from tests.benchmarks.execution.test_faults import begin

    process = begin(tmp_path, "--processes", "2")
    children = workers(process, 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 1, 3])
def test_ctrl_c_at_any_time_is_one_sentence(suites, tmp_path, seconds):
    """Also while processes start, which a terminal interrupts with the first one."""
    from tests.benchmarks.execution.test_faults import begin

    process = begin(tmp_path, "--processes", "2")
    workers(process, 2)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "Interrupted; finished cells are kept" in said


@pytest.mark.parametrize(
    ("module", "said"),
    [("app", ""), ("reading", "Interrupted; finished cells are kept, and the same command resumes.\n")],
)
def test_ctrl_c_while_the_command_is_imported(module, said):
    code = f"""
import sys
sys.argv[1:] = ["list", "suites"]
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "leakbench.benchmarks.cli.{module}":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from leakbench.__main__ import main
main()
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", said)


def test_a_log_of_json(suites, tmp_path, capsys):
    more = ("--defense", "identity", "--attack", "sign:num_images=2", "--json-logs")
    assert run_tiny(tmp_path, *more) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines][:2] == ["announced", "began"]
    assert {line["event"] for line in lines} == {"announced", "began", "started", "finished"}
    assert [line["status"] for line in lines if line["event"] == "finished"] == ["ok"] * 6


def test_the_dry_run_counts_what_the_cache_has(suites, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("leakbench.benchmarks.suite.estimate._seconds_per_image", lambda suite, network, device: 1e-3)
    more = ("--defense", "identity", "--attack", "sign:num_images=2")
    for count in (0, 6):
        assert run_tiny(tmp_path, *more, "--threads", "1", "--dry-run", out="dry") == 0
        printed = capsys.readouterr().out
        assert f"has {count} of the 6 cells" in printed
        assert "stage graph: " in printed
        assert not (tmp_path / "dry").exists()
        assert run_tiny(tmp_path, *more, "--threads", "1") == 0
        capsys.readouterr()


def test_json_logs_are_json_and_nothing_else(suites, tmp_path, capsys):
    assert run_tiny(tmp_path, "--defense", "identity", "--attack", "gan-leaks", "--json-logs") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["event"] for e in events if e["event"] != "announced"][:2] == ["began", "started"]
    assert any(e["event"] == "announced" and e["line"].endswith("report.pdf") for e in events)
    (begun,) = [e for e in events if e["event"] == "began"]
    assert [e["status"] for e in events if e["event"] == "finished"] == ["ok"] * begun["cells"]
