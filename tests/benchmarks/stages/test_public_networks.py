"""What looks through a public network is kept by that network, and what serves all releases is made once."""

import json
from types import SimpleNamespace

import pytest
from torch import nn

from leakbench.attacks.membership.teacher import TeacherTraining
from leakbench.benchmarks.execution.cell import cell_key
from leakbench.benchmarks.stages import context as context_module
from leakbench.benchmarks.stages import seen, visual
from leakbench.reports.records import Cell
from leakbench.synth.defense import Release
from leakbench.synth.defenses.dp_linear_probe import DPLinearProbe
from leakbench.synth.networks import public
from leakbench.synth.networks.architectures import PROBE
from tests.benchmarks.conftest import run_tiny
from tests.benchmarks.stages.test_context import TRAINING, context, key

__all__ = ["context"]


@pytest.mark.parametrize(
    ("defense", "task", "kept"),
    [
        ("dp-labelled-public-images", "release", 3),
        ("dp-bn-matching:teacher=public", "release", 3),
        ("noise", "visual", 3),
        ("noise", "release", 1),
    ],
)
def test_a_cell_is_kept_by_the_network_that_it_looks_through(defense, task, kept, context, digits, monkeypatch):
    context.attacked = lambda spec, seed: (Release(digits.members), None)
    keys = set()
    for network in (None, SimpleNamespace(digest="one"), SimpleNamespace(digest="two")):
        monkeypatch.setattr(public, "public_network", lambda network=network: network)
        keys.add(cell_key(context, Cell(suite="s", dataset="d", defense=defense, task=task, method="")))
    assert len(keys) == kept


def test_a_pretrained_student_is_kept_by_the_network_below_it(context, digits, monkeypatch):
    """One that the suite trains, one that a defense trains, and one of an attacker's; others are not."""
    monkeypatch.setattr(context_module, "build", lambda *how, **what: nn.Identity())
    monkeypatch.setattr(DPLinearProbe, "prepared", lambda self, network: network)
    context.attacked = lambda spec, seed: (Release(digits.members), None)
    found = {}
    for network in ("one", "two"):
        monkeypatch.setattr(public, "public_network", lambda network=network: SimpleNamespace(digest=network))
        learner = TeacherTraining(network=PROBE, recipe=TRAINING.recipe)
        found[network] = [
            key(lambda: context._student("noise", 0, PROBE, "hard")),
            key(lambda: context._student("dp-linear-probe", 0, PROBE, "hard")),
            key(lambda learner=learner: context._remembered(digits.auxiliary, 0)(learner)),
            key(lambda: context._student("noise", 0, "dcgan", "hard")),
        ]
    assert [one == two for one, two in zip(found["one"], found["two"], strict=True)] == [False, False, False, True]


def test_what_copies_are_looked_for_of_is_described_once_for_all_releases(context, monkeypatch):
    described = []
    monkeypatch.setattr(seen, "described", lambda pixels: described.append(len(pixels)))
    assert context.looked_for(0) is context.looked_for(0)
    assert len(described) == 2


def test_a_public_network_looks_at_members_and_strangers_once_for_all_releases(context, monkeypatch):
    looked = []
    monkeypatch.setattr(
        seen, "public_features", lambda device: lambda p: looked.append(len(p)) or p.float().mean((2, 3))
    )
    assert context.seen_publicly(0) is context.seen_publicly(0)
    assert looked == [min(len(context.parts(0).members), len(context.parts(0).holdout))] * 2


def test_a_run_looks_through_a_network_that_has_come(suites, tmp_path, monkeypatch):
    """Once, and at nothing else that it has done."""
    chosen = ("--defense", "identity", "--defense", "disjoint", "--attack", "sign:num_images=2")

    def records():
        return [json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]

    assert run_tiny(tmp_path, *chosen) == 0
    count = len(records())
    monkeypatch.setattr(visual, "missing", lambda: "")
    monkeypatch.setattr(visual, "digests", lambda: ("abcdef",))
    for module in (visual, seen):
        monkeypatch.setattr(module, "public_features", lambda device: lambda pixels: pixels.float().mean((2, 3)))
    for _ in range(2):
        assert run_tiny(tmp_path, *chosen, cache="another") == 0
        more = records()[count:]
        assert [record["cell"]["task"] for record in more] == ["visual", "visual"]
        assert all("private.kernel" in {m["name"] for m in record["measurements"]} for record in more)
    assert "kernel distance" in (tmp_path / "run" / "tables" / "T2.md").read_text()
