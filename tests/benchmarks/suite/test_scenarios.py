"""Scenarios and capacities on the command line: what is refused before a run, and what is said."""

import pytest

from leakbench.benchmarks.suite import model as suite
from leakbench.benchmarks.suite.estimate import estimate
from leakbench.benchmarks.suite.graph import plan
from leakbench.reports.records import read_records
from leakbench.reports.verdicts import Results
from tests.benchmarks.conftest import TINY, call, run_tiny


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--attack", "dlg@nosuch"], "suite tiny has no gradient scenario 'nosuch'; those it has: default, sent"),
        (["--attack", "sign@sent"], "suite tiny has no memorization scenario 'sent'; those it has: default, bf16"),
        (["--attack", "hitaj@sent"], "gan attacks have no scenarios; leave what follows @ out"),
        (["--defense", "blur@sent"], "only attacks have scenarios"),
        (["--attack", "gradinversion:give_up=0.5"], "give_up must be 0"),
    ],
)
def test_scenarios_that_make_no_sense_are_said(option, said, suites, tmp_path, capsys):
    assert run_tiny(tmp_path, *option) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_network_without_batch_norm_has_no_train_mode(suites, tmp_path, capsys):
    text = TINY.replace('network = "lenet"\nvictims = 3', 'network = "lenet"\nvictims = 3\nmode = "train"')
    (suites / "tiny.toml").write_text(text)
    assert run_tiny(tmp_path) == 2
    assert "gradient scenario default: lenet has no batch norm" in capsys.readouterr().err


def test_what_does_not_fit_is_refused_with_the_number_that_fits(suites, tmp_path, capsys):
    asked = ["sign:num_images=11", "correlated-value:num_images=300,gray=true@bf16", "lsb:num_images=2"]
    assert run_tiny(tmp_path, *[word for spec in asked for word in ("--attack", spec)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2, "all problems at once"
    assert said[0].startswith("'sign:num_images=11': resnet20 holds 32 gray or 10 RGB images of 32x32")
    assert said[0].endswith("ask for num_images=10 at most")
    assert said[1].endswith("ask for num_images=245 at most")
    assert not (tmp_path / "run").exists()


def test_capacity_is_printed_before_training(suites, tmp_path, capsys):
    assert run_tiny(tmp_path, "--defense", "identity", "--attack", "lsb:num_images=2@bf16") == 0
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0]
        == "lsb:num_images=2@bf16: resnet20 holds 524 gray or 174 RGB images of 32x32; 2 RGB asked for, 1% of it"
    )
    table = (tmp_path / "run" / "tables" / "T4.csv").read_text()
    assert "resnet20, 4 steps of 20 images, rounded to bf16; holds 524 gray or 174 RGB" in table
    assert "payload intact: 0" in (tmp_path / "run" / "tables" / "T4.md").read_text()


@pytest.mark.parametrize("name", suite.available())
@pytest.mark.parametrize(("attack", "family"), [("sign:num_images=1", "memorization"), ("dlg", "gradient")])
def test_every_suite_takes_or_refuses_a_family_with_scenarios(name, attack, family):
    has = "default" in suite.load_suite(name).scenarios(family)
    if has:
        assert plan(suite.load_suite(name, defenses=("identity",), attacks=(attack,))).cells
        return
    with pytest.raises(suite.RequestProblems, match="scenario 'default'; those it has: none; take another suite"):
        suite.load_suite(name, attacks=(attack,))


def test_a_dry_run_refuses_what_does_not_fit(suites, capsys, monkeypatch):
    monkeypatch.setattr("leakbench.benchmarks.suite.estimate._seconds_per_image", lambda suite, network, device: 1e-3)
    assert call("run", "tiny", "--attack", "sign:num_images=11", "--dry-run", "--device", "cpu") == 2
    assert "ask for num_images=10 at most" in capsys.readouterr().err
    assert call("run", "tiny", "--attack", "sign", "--image-size", "224", "--dry-run", "--device", "cpu") == 2
    assert "nothing fits; take a larger network or smaller images" in capsys.readouterr().err


def test_a_washed_model_has_its_power_shown_unwashed(suites, tmp_path, capsys):
    attacks = ["--attack", "lsb:num_images=4", "--attack", "lsb:num_images=4@bf16"]
    assert run_tiny(tmp_path, "--defense", "identity", "--defense", "disjoint", *attacks) == 0
    out = capsys.readouterr().out
    assert "control of lsb@bf16, worked: validated" in out
    records = read_records(tmp_path / "run" / "records.jsonl").values()
    results = Results(records)
    assert results.attack_verdict("identity", "lsb:num_images=4") == "yes"
    assert results.attack_verdict("identity", "lsb:num_images=4@bf16") == "no", (
        "rounding works, and is not called a broken attack"
    )


def test_a_dry_run_counts_shadows_of_the_teacher_once(suites, monkeypatch):
    """Two shadows of four steps of twenty images, a millisecond each; whatever looks through it trains none."""
    monkeypatch.setattr("leakbench.benchmarks.suite.estimate._seconds_per_image", lambda suite, network, device: 1e-3)
    attacks = ("loss-threshold-teacher", "rmia-teacher:shadows=2", "lira-teacher:shadows=2,variance=fixed")
    tiny = suite.load_suite("tiny", defenses=("identity",), attacks=(*attacks, "whitened-linkage-teacher"))
    costs = {cell.method: cost for cell, cost in estimate(tiny, plan(tiny), "cpu") if cell.task == "attack"}
    beyond = {name: cost - costs["loss-threshold-teacher"] for name, cost in costs.items()}
    assert beyond["rmia-teacher:shadows=2"] == pytest.approx(2 * 4 * 20 * 1e-3)
    assert beyond["lira-teacher:shadows=2,variance=fixed"] == beyond["whitened-linkage-teacher"] == 0
