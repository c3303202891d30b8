"""The label-robust figures, solved by hand."""

import pytest

from leakbench.reports.label_robust import columns, hard_label_recovery, improvement_over_random
from leakbench.reports.spec import RUNGS
from leakbench.reports.tables import tables
from leakbench.reports.verdicts import Results
from tests.reports.test_tables import figure, record


def released(defense, images, **accuracies):
    size = figure("release.images", float(images), None, None, better="higher")
    students = [
        record(defense, "utility", f"resnet20:{rung}", [figure("student.accuracy", v, v - 3, v + 3, better="higher")])
        for rung, v in accuracies.items()
    ]
    return [record(defense, "release", "", [size]), *students]


def run(*more):
    records = [
        *released("identity", 1000, hard=80.0, teacher=81.0),
        *released("subset:num_images=50", 50, hard=40.0, teacher=60.0),
        *released("edc", 50, hard=20.0, soft=45.0, teacher=68.0),
    ]
    return Results([*records, *more])


def test_both_figures_by_hand():
    results = run()
    lost = hard_label_recovery(results, "edc", "resnet20")
    assert (lost.value, lost.better) == (60.0, "lower")
    assert hard_label_recovery(results, "identity", "resnet20") is None
    gained = improvement_over_random(results, "edc", "resnet20:teacher")
    assert (gained.value, gained.better) == (8.0, "higher")
    assert gained.high - gained.value == pytest.approx(18**0.5)


def test_random_images_must_be_as_many_and_have_the_rung():
    results = run(*released("rded", 60, hard=50.0), *released("mixup", 50, soft=70.0))
    assert improvement_over_random(results, "rded", "resnet20:hard") is None
    assert improvement_over_random(results, "mixup", "resnet20:soft") is None
    assert improvement_over_random(results, "subset:num_images=50", "resnet20:hard") is None
    assert improvement_over_random(results, "edc", "resnet20:hard").value == -20.0
    assert hard_label_recovery(results, "mixup", "resnet20") is None


def test_utility_has_columns_where_there_is_something_to_compare():
    table = next(table for table in tables(run()) if table.name == "T1").frame()
    heads = [f"resnet20, {rung}: improvement over random (points)" for rung in ("hard labels", RUNGS["teacher"])]
    assert list(table.columns[-3:]) == ["resnet20: hard label recovery (points)", *heads]
    assert table.iloc[2, -3:].tolist() == ["60.0 [55.8, 64.2]", "-20.0 [-24.2, -15.8]", "8.0 [3.8, 12.2]"]
    assert table.iloc[1, -1] == "n/a"
    alone = Results([r for r in run().records if not r.cell.defense.startswith("subset")])
    assert list(columns(alone)) == []
    heads = next(table for table in tables(alone) if table.name == "T1").columns
    assert not any("random" in head for head in heads)
