"""Runs that are killed at any moment, as often as LEAKBENCH_KILLS says, and nodes that are lost."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from leakbench.synth.data.datasets import open_pool
from tests.benchmarks.conftest import TINY

MAIN = """
import sys
from pathlib import Path
from leakbench.benchmarks.suite import model as suite
suite.FOLDER = Path(sys.argv.pop(1))
from leakbench.benchmarks.cli import app as cli
if __name__ == "__main__":
    cli.main()
"""
DEFENSES = ("identity", "disjoint", "bn-matching:images_per_statistic=1,num_images=20,steps=3,batch_size=20")
ATTACKS = (
    "inverting-gradients:iterations=3",
    "sign:num_images=2",
    "gan-leaks",
    "lira:shadows=2,variance=fixed",
    "loss-threshold",
)


def begin(root, *more, run="run", cache="cache"):
    """The command line in a process, and a process group, of its own."""
    suites = root / "suites"
    suites.mkdir(exist_ok=True)
    (suites / "tiny.toml").write_text(TINY)
    (root / "main.py").write_text(MAIN)
    chosen = [part for name in DEFENSES for part in ("--defense", name)]
    chosen += [part for name in ATTACKS for part in ("--attack", name)]
    places = ["--out", root / run, "--cache", root / cache, "--device", "cpu", "--threads", "1"]
    command = [sys.executable, root / "main.py", suites, "run", "tiny", *places, *chosen, *more]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        list(map(str, command)),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def tables(folder):
    """All tables but that of costs, whose seconds no two runs share."""
    files = [file for file in (folder / "tables").iterdir() if not file.name.startswith("T7")]
    assert files
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["1", "2"])
def test_killed_at_any_moment(processes, tmp_path):
    rng, kills = random.Random(f"kills {processes}"), int(os.environ.get("LEAKBENCH_KILLS", "30")) // 2 + 1
    start = time.monotonic()
    process = begin(tmp_path, "--processes", processes, run="whole", cache="whole-cache")
    assert process.wait() == 0, process.stderr.read()
    whole, wanted = time.monotonic() - start, tables(tmp_path / "whole")
    killed, finished = 0, 0
    while killed < kills or not finished:
        process = begin(tmp_path, "--processes", processes)
        try:
            allowed = whole * rng.random() if killed < kills else None
            assert process.wait(timeout=allowed) == 0, process.stderr.read()
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
            continue
        finished += 1
        assert tables(tmp_path / "run") == wanted
        shutil.rmtree(tmp_path / "run")
        shutil.rmtree(tmp_path / "cache")
    assert killed == kills


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_a_cluster_of_two_nodes_loses_one(shared, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    process = begin(tmp_path, "--processes", "1", run="whole", cache="whole-cache")
    assert process.wait() == 0, process.stderr.read()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of-the-node"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    from leakbench.benchmarks.cli.progress import JsonLog
    from leakbench.benchmarks.execution import ray_executor, runner
    from leakbench.benchmarks.suite import model as suite

    (tmp_path / "suites").mkdir(exist_ok=True)
    monkeypatch.setattr(suite, "FOLDER", tmp_path / "suites")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        lost = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address)
        chosen = suite.load_suite("tiny", defenses=list(DEFENSES), attacks=list(ATTACKS))
        config = runner.prepare_run(
            chosen,
            open_pool("digits", None, None),
            out=tmp_path / "run",
            cache=tmp_path / "cache",
            device=torch.device("cpu"),
            threads=1,
        )
        nodes = set()

        class Watcher(JsonLog):
            def finished(self, record):
                nodes.add(record.cell.id)
                if len(nodes) == 8:
                    cluster.remove_node(lost, allow_graceful=False)

        records = runner.run(
            config,
            Watcher(lambda line: None),
            data=None,
            start=lambda place, listener: ray_executor.OnRay(place, cluster.address, shared=shared),
        )
        assert {r.status for r in records.values()} == {"ok"}
    finally:
        ray.shutdown()
        cluster.shutdown()
    from leakbench.reports.write import write_reports

    write_reports(tmp_path / "run", ("csv", "md", "latex"))
    assert tables(tmp_path / "run") == tables(tmp_path / "whole")
    assert (tmp_path / "of-the-node").exists() != shared
