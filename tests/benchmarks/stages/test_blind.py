"""What the stages make of splits, and of attacks that break."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from leakbench.attacks.membership.nearest import Nearest
from leakbench.benchmarks.stages.blind import blind_stage
from leakbench.metrics.blind import blind_control
from leakbench.metrics.decision import BLIND_CONTROL
from leakbench.reports.records import Cell, read_records
from tests.benchmarks.conftest import run_tiny


def judged(parts):
    context = SimpleNamespace(parts=lambda seed: parts, seed=lambda *names: 7)
    return blind_stage(context, Cell(suite="s", dataset="d", defense="", task="blind")).judgement


def test_members_are_told_from_holdout_and_nobody_else(digits):
    assert judged(digits).measurements == (blind_control(digits.members.pixels, digits.holdout.pixels, seed=7),)
    dark = replace(digits, members=replace(digits.members, pixels=digits.members.pixels // 2))
    assert judged(dark).measurements[0].low > 0
    few = judged(replace(digits, members=digits.members.take(torch.arange(9))))
    assert not few.measurements
    assert few.absent == {BLIND_CONTROL: "it takes 10 members and as many others"}


def test_scores_that_are_not_numbers_name_their_attack(suites, tmp_path, monkeypatch):
    """Half NaN once turned a bound of 3.9 into 0."""
    real = Nearest.run

    def broken(self, view, *, seed, device):
        found = real(self, view, seed=seed, device=device)
        return replace(found, values=found.values.where(torch.arange(len(found.values)) % 2 == 0, torch.nan))

    monkeypatch.setattr(Nearest, "run", broken)
    assert run_tiny(tmp_path, "--defense", "identity", "--attack", "nearest") == 1
    (failed,) = [r for r in read_records(tmp_path / "run" / "records.jsonl").values() if r.status == "failed"]
    assert failed.reason.startswith("ValueError: nearest: a guess's scores must be finite")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_canaries_that_are_not_numbers_are_refused(value):
    from leakbench.attacks.guess import Canaries

    with pytest.raises(ValueError, match="finite scores"):
        Canaries(torch.tensor([1.0, value]), torch.zeros(2), reruns=1)
