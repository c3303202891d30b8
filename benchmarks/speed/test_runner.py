"""What the runner itself costs: cells that do nothing, each with its lock, its entry in the store, and its record."""

import torch

from leakbench.benchmarks.cli.progress import JsonLog
from leakbench.benchmarks.execution.runner import local_executor, prepare_run, run
from leakbench.benchmarks.stages import stages
from leakbench.benchmarks.stages.outcome import Outcome
from leakbench.benchmarks.suite.model import load_suite
from leakbench.metrics.measurement import Judgement
from leakbench.synth.data.datasets import open_pool

COUNT = 600


def test_cells_that_do_nothing(benchmark, tmp_path, monkeypatch):
    for task in stages.STAGES:
        monkeypatch.setitem(stages.STAGES, task, lambda context, cell: Outcome(Judgement(())))
    monkeypatch.setattr("leakbench.benchmarks.storage.run_folder.RunFolder.has_release", lambda *_: True)
    monkeypatch.setattr("leakbench.benchmarks.stages.context.RunContext._release_digest", lambda *_: "x")
    attacks = [f"sign:num_images={i}" for i in range(1, COUNT // 2 - 5)]
    suite = load_suite("quick", defenses=["identity", "disjoint"], attacks=attacks)
    monkeypatch.setattr("leakbench.benchmarks.execution.runner.capacities", lambda *_: [])
    folders = iter(range(100))

    def fresh():
        root = tmp_path / str(next(folders))
        pool, device = open_pool("digits", None, None), torch.device("cpu")
        return (prepare_run(suite, pool, out=root / "run", cache=root / "cache", device=device),), {}

    def whole(config):
        return run(config, JsonLog(lambda line: None), data=None, start=local_executor(1))

    records = benchmark.pedantic(whole, setup=fresh, rounds=3)
    benchmark.extra_info["cells a second"] = len(records) / benchmark.stats.stats.median
    print(f"\n{len(records) / benchmark.stats.stats.median:.0f} cells a second")
