"""The rungs of labels that students learn: which there are, what they wait for, what they are called."""

import pytest

from leakbench.benchmarks.suite.graph import plan, rungs
from leakbench.benchmarks.suite.model import RequestProblems, load_suite
from leakbench.benchmarks.suite.spec import defense_of
from leakbench.reports.records import read_records
from leakbench.reports.tables import tables
from leakbench.reports.verdicts import Results
from tests.benchmarks.conftest import TINY, run_tiny

TAUGHT = TINY.replace('networks = ["lenet", "resnet20"]', 'networks = ["lenet"]\nlabels = ["hard", "soft", "teacher"]')
FEW = ("--attack", "gan-leaks")
MATCHING = "bn-matching:images_per_statistic=class,num_images=20,steps=2"


@pytest.fixture
def taught(suites):
    (suites / "tiny.toml").write_text(TAUGHT)


def test_every_rung_that_there_is_is_a_cell_and_waits_for_what_it_reads(taught):
    suite = load_suite("tiny", defenses=(MATCHING, "identity", "dp-sgd:steps=2"), attacks=("loss-threshold",))
    planned = plan(suite)
    found = {(cell.defense, cell.method): cell for cell in planned.cells if cell.task == "utility"}
    assert {method for spec, method in found if spec == MATCHING} == {"lenet:hard", "lenet:soft", "lenet:teacher"}
    assert {method for spec, method in found if spec == "identity"} == {"lenet:hard", "lenet:teacher"}
    assert {method for spec, method in found if spec == "dp-sgd:steps=2"} == {"lenet:hard"}
    waits = {of: {need.task for need in planned.needs[cell.id]} for of, cell in found.items()}
    assert waits["identity", "lenet:teacher"] == {"release", "teacher"}
    assert waits["identity", "lenet:hard"] == {"release"}
    (attack,) = [c for c in planned.cells if c.task == "attack" and c.defense == MATCHING]
    assert {need.method for need in planned.needs[attack.id] if need.task == "utility"} == {"lenet:hard"}


def test_a_teacher_that_no_defense_reads_is_trained_where_students_ask_it(taught):
    suite = load_suite("tiny", defenses=("identity",), attacks=())
    assert any(cell.task == "teacher" for cell in plan(suite).cells)
    assert rungs(suite, defense_of("identity")) == ["hard", "teacher"]


def test_suites_that_ask_for_none_are_as_before(suites):
    suite = load_suite("tiny", defenses=(MATCHING,), attacks=())
    assert rungs(suite, defense_of(MATCHING)) == ["hard", "soft"]
    (suites / "tiny.toml").write_text(TINY.replace("[student]", '[student]\nlabels = ["hard", "soft"]'))
    assert load_suite("tiny").hash == suite.hash, "seeds follow from it"
    (suites / "tiny.toml").write_text(TINY.replace("[student]", '[student]\nlabels = ["hard"]'))
    assert load_suite("tiny").hash != suite.hash
    (suites / "tiny.toml").write_text(TINY.replace('resnet20"]\nrecipe = {', 'resnet20"]\nrecipe = { cutmix = 0.5,'))
    assert load_suite("tiny").hash != suite.hash


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('labels = ["hard", "soft", "teacher"]', 'labels = ["soft"]'), "labels must name each rung once, and hard"),
        (('"hard", "soft", "teacher"', '"hard", "hard"'), "labels must name each rung once"),
        (
            ("[memorization.default]\nrecipe = {", "[memorization.default]\nrecipe = { cutmix = 0.5,"),
            "cutmix must be 0",
        ),
        (("[student]", "published = false\n[student]"), "labels has teacher, which does not count as published here"),
    ],
)
def test_rungs_that_make_no_sense_are_said(change, said, suites):
    (suites / "tiny.toml").write_text(TAUGHT.replace(*change))
    with pytest.raises(RequestProblems, match=said.replace("[", r"\[")):
        load_suite("tiny")


def test_a_student_of_the_teachers_answers_has_a_column_and_a_note(taught, tmp_path):
    assert run_tiny(tmp_path, "--defense", "identity", "--defense", "noise-images:num_images=30", *FEW) == 0
    records = list(read_records(tmp_path / "run" / "records.jsonl").values())
    accuracies = {
        (r.cell.defense.partition(":")[0], r.cell.method): r.get("student.accuracy").value
        for r in records
        if r.cell.task == "utility"
    }
    assert len(accuracies) == 5
    assert all(0 <= value <= 100 for value in accuracies.values())
    (t1,) = [table for table in tables(Results(records)) if table.name == "T1"]
    rungs_of = ("hard labels", "soft labels", "the published teacher answers")
    assert set(t1.columns) == {"Defense", *(f"lenet, {rung}" for rung in rungs_of)}
    assert any("it is published beside the release" in note for note in t1.notes)
