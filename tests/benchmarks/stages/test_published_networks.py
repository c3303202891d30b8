"""Which network an attack gets: a student, one of soft labels, or the teacher, where that counts as published."""

import pytest

from leakbench.benchmarks.execution.inapplicable import inapplicable
from leakbench.benchmarks.suite.graph import plan
from leakbench.benchmarks.suite.model import Teacher, load_suite
from leakbench.reports.records import read_records
from tests.benchmarks.conftest import TINY, run_tiny

ATTACKS = ("loss-threshold", "loss-threshold-soft", "loss-threshold-teacher", "whitened-linkage-teacher")
MATCHING = "bn-matching:images_per_statistic=class,num_images=20,steps=2"


def attacked(tmp_path, *defenses, out="run"):
    chosen = [part for name in ATTACKS for part in ("--attack", name)]
    assert run_tiny(tmp_path, *(p for d in defenses for p in ("--defense", d)), *chosen, out=out) == 0
    records = read_records(tmp_path / out / "records.jsonl").values()
    return {(r.cell.defense, r.cell.method): r for r in records if r.cell.task == "attack"}


def auc(record):
    return next(m.value for m in record.measurements if m.name == "members.auc.attack")


def test_each_attack_looks_at_its_own_network(suites, tmp_path):
    found = attacked(tmp_path, "identity", "disjoint", "mixup", MATCHING)
    assert {record.status for record in found.values()} == {"ok"}
    by = {name: found["mixup", name].attacked.victim for name in ATTACKS}
    assert by["loss-threshold"].endswith("by a student of the release (lenet)")
    assert by["loss-threshold-soft"].endswith("by a student of the release and its soft labels (lenet)")
    assert by["loss-threshold-teacher"].endswith("or a network of the release where there is none (resnet20)")
    assert auc(found["mixup", "loss-threshold"]) != auc(found["mixup", "loss-threshold-soft"])
    # Without soft labels their student is that of hard ones.
    assert auc(found["identity", "loss-threshold"]) == auc(found["identity", "loss-threshold-soft"])
    # The teacher has learned the members; of a defense that reads none, it has learned the release.
    assert auc(found[MATCHING, "loss-threshold-teacher"]) != auc(found["disjoint", "loss-threshold-teacher"])


def test_no_attack_gets_a_teacher_that_is_not_published(suites, tmp_path):
    (suites / "tiny.toml").write_text(TINY.replace("[teacher]\n", "[teacher]\npublished = false\n"))
    found = attacked(tmp_path, "identity", MATCHING)
    for (_, name), record in found.items():
        assert record.status == ("not_applicable" if name.endswith("-teacher") else "ok")
    assert "does not count as published" in found[MATCHING, "whitened-linkage-teacher"].reason


def test_that_it_is_published_is_what_suites_have_always_meant(suites):
    """Seeds follow from a suite's hash: saying aloud what was meant changes none, saying the other does."""
    suite = load_suite("tiny")
    aloud = suite.model_copy(update={"teacher": Teacher(**suite.teacher.model_dump())})
    hidden = suite.model_copy(update={"teacher": Teacher(**suite.teacher.model_dump() | {"published": False})})
    assert suite.hash == aloud.hash != hidden.hash


@pytest.mark.parametrize(("attack", "labels"), [("loss-threshold", {"hard"}), ("loss-threshold-soft", {"soft"})])
def test_an_attack_waits_for_its_own_student(suites, attack, labels):
    suite = load_suite("tiny", defenses=("mixup",), attacks=(attack,))
    planned = plan(suite)
    (cell,) = [cell for cell in planned.cells if cell.task == "attack"]
    waited = {need.method for need in planned.needs[cell.id] if need.task == "utility"}
    assert waited == {f"lenet:{label}" for label in labels}


def test_a_public_teacher_has_seen_nobody(suites):
    """Whoever attacks somebody else's network learns nothing of members; whoever looks through it at a release may."""
    suite = load_suite("tiny", defenses=("identity", MATCHING), attacks=ATTACKS)
    cells = {(cell.defense, cell.method): cell for cell in plan(suite).cells if cell.task == "attack"}
    withheld = {names for names, cell in cells.items() if inapplicable(suite, True, cell)}
    assert not any(inapplicable(suite, False, cell) for cell in cells.values())
    assert withheld == {(MATCHING, "loss-threshold-teacher")}
    assert "has seen none of the members" in inapplicable(suite, True, cells[MATCHING, "loss-threshold-teacher"])
