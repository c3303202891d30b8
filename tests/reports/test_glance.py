"""Page 1: every cell of the matrix, the shares of the plot, and the sentences, of records written by hand."""

from dataclasses import replace
from itertools import pairwise

import pytest
from PIL import Image

from leakbench.reports.content import content
from leakbench.reports.findings import findings, told_by
from leakbench.reports.glance import (
    FAMILIES,
    LEGEND,
    SIGNS,
    families,
    keenest,
    matrix,
    share,
    strongest,
    unseen,
    utility,
)
from leakbench.reports.pictures import SHOWN, SIDE, strip, worst
from leakbench.reports.records import Attacked
from leakbench.reports.sentences import three_sentences
from leakbench.reports.spec import PRIVATE, slug
from leakbench.reports.table import Table
from leakbench.reports.tradeoff import _apart, tradeoff
from leakbench.reports.verdicts import Results
from tests.reports.test_tables import accuracy, attack, figure, good_run, members, record

SIGN = "sign:num_images=8"
CONTROLS = [members("identity", 0.5, 0.9), members("disjoint", 0.0, 0.0)]


def cell(results, defense, family):
    return matrix(results)[defense][family]


def test_every_outcome_has_a_sign_of_its_own_and_a_legend():
    assert len(set(SIGNS.values())) == len(SIGNS)
    assert list(LEGEND) == list(SIGNS)


def test_a_leak_that_one_attack_proves_is_the_familys():
    quiet = [members(d, a, t, method="nearest") for d, a, t in (("identity", 0.5, 0.9), ("disjoint", 0.0, 0.0))]
    results = Results([*CONTROLS, members("noise", 0.0, 0.3), *quiet, members("noise", 0.0, 0.0, method="nearest")])
    found = cell(results, "noise", "membership")
    assert (found.outcome, found.detail) == ("leaks", "by gan-leaks")
    both = Results([*CONTROLS, members("noise", 0.0, 0.3), *quiet, members("noise", 0.4, 0.9, method="nearest")])
    assert cell(both, "noise", "membership").detail == "by nearest, gan-leaks", "the strongest first"


def test_a_silence_comes_with_its_power():
    results = Results([*CONTROLS, members("noise", 0.01, 0.0)])
    found = cell(results, "noise", "membership")
    assert found.outcome == "no leak found"
    assert found.detail.startswith("from AUC 0.6")


def test_a_failure_is_no_silence():
    failed = record("noise", "attack", "nearest", status="failed", reason="boom")
    failed = replace(failed, attacked=replace(CONTROLS[0].attacked))
    results = Results([*CONTROLS, members("noise", 0.0, 0.0), failed])
    assert cell(results, "noise", "membership").outcome == "failed"
    leaky = Results([*CONTROLS, members("noise", 0.3, 0.5), failed])
    assert cell(leaky, "noise", "membership").outcome == "leaks"


def test_what_is_not_validated_says_why_and_what_is_not_applicable_says_nothing():
    alone = Results([members("noise", 0.3, 0.5)])
    found = cell(alone, "noise", "membership")
    assert (found.outcome, found.detail) == ("not validated", "identity not measured, disjoint not measured")
    none = replace(members("noise", 0.3, 0.5), status="not_applicable", reason="no images", measurements=())
    assert cell(Results([*CONTROLS, none]), "noise", "membership").outcome == "not applicable"


def test_an_attack_that_shows_classes_and_has_no_power_on_members_says_both():
    def gan(defense, shown):
        names = {"class.oracle.excess": shown, "private.ssim.excess": 0.0}
        figures = [figure(name, v, v - 0.05, v + 0.05) for name, v in names.items()]
        return record(defense, "attack", "gan-inversion", figures, attacked=Attacked(family="gan"))

    results = Results([gan("identity", 0.5), gan("disjoint", 0.0), gan("noise", 0.5), gan("blur", 0.0)])
    shown, hidden = (cell(results, defense, "gan") for defense in ("noise", "blur"))
    assert shown.outcome == hidden.outcome == "not validated"
    assert shown.detail == "shows classes; of members no power shown on identity"
    assert hidden.detail == "no power shown on identity"


def test_one_validated_silence_among_others_says_how_many_are_not():
    powerless = [members("identity", 0.0, 0.0, method="nearest"), members("disjoint", 0.0, 0.0, method="nearest")]
    results = Results([*CONTROLS, members("noise", 0.0, 0.0), *powerless, members("noise", 0.0, 0.0, method="nearest")])
    found = cell(results, "noise", "membership")
    assert found.outcome == "no leak found"
    assert found.detail.endswith("; 1 of 2 not validated")


def test_canaries_have_a_column_of_their_own_and_are_no_members():
    found = [replace(r, attacked=replace(r.attacked, goal="canaries")) for r in (*CONTROLS, members("dp", 0.5, 0.9))]
    results = Results(found)
    assert list(families(results)) == ["canaries"]
    assert cell(results, "dp", "canaries").outcome == "leaks"
    assert strongest(results, "dp") is None


def test_shares_are_of_what_the_photographs_give_away():
    results = Results([*good_run(), *CONTROLS])
    assert share(results, "identity", SIGN) == 1
    assert share(results, "blur:sigma=2", SIGN) == pytest.approx(0.3 / 0.8)
    assert share(results, "noise", SIGN) == 0
    assert strongest(results, "blur:sigma=2") == (pytest.approx(0.3 / 0.8), SIGN)
    assert share(Results([members("noise", 0.3, 0.5)]), "noise", "gan-leaks") is None, "not validated"


def test_the_largest_share_of_any_measurement_that_decides_counts():
    """By AUC 0.04 / 0.5 of it and not for sure; the few who are given away for sure are 0.6 / 0.9."""
    results = Results([*CONTROLS, members("noise", 0.04, 0.6)])
    assert share(results, "noise", "gan-leaks") == pytest.approx(0.6 / 0.9)
    assert told_by(results, "noise", "gan-leaks") == "members.tpr-at-1"


def test_an_area_below_chance_has_a_share_too():
    assert share(Results([*CONTROLS, members("shy", -0.3, 0.0)]), "shy", "gan-leaks") == pytest.approx(0.3 / 0.5)


def test_what_a_silent_attack_would_have_seen_is_on_the_same_scale():
    results = Results([*CONTROLS, members("noise", 0.0, 0.0)])
    worth = results.power("noise", "gan-leaks", "members")
    assert unseen(results, "noise") == pytest.approx(worth.smallest / 0.5)
    assert unseen(Results([*CONTROLS, members("noise", 0.3, 0.5)]), "noise") is None


def test_utility_is_a_share_of_identitys():
    assert utility(Results(good_run()), "noise")[1] == pytest.approx(0.5)
    assert utility(Results(CONTROLS), "identity") == (None, None)


def test_three_sentences_name_leaks_silences_and_what_was_not_tested():
    records = [*good_run(), *CONTROLS]
    first, second, third = three_sentences(Results(records, planned=[r.cell.id for r in records]))
    assert first.startswith("Members are given away by blur (by sign; keeps 62 %")
    assert "noise (from SSIM +0.143; keeps 50 % of the accuracy of the photographs)" in second
    assert "identity" not in first + second
    assert "this run has no attack of Gradient matching and GAN-based" in third
    assert "silence is not safety" in third
    (only, _) = three_sentences(Results([*CONTROLS, members("noise", 0.3, 0.5)]))
    assert only.startswith("Members are given away by noise (by gan-leaks)")


def test_where_nothing_is_known_no_sentence_says_that_nothing_leaks():
    (only,) = three_sentences(Results([members("noise", 0.0, 0.0)]))
    assert only.startswith("Not tested: nothing is known of noise;")
    failed = replace(
        record("noise", "attack", "nearest", status="failed", reason="boom"), attacked=CONTROLS[0].attacked
    )
    (only,) = three_sentences(Results([*CONTROLS, members("noise", 0.0, 0.0), failed]))
    assert "nothing is known of noise, of which some attacks did not finish" in only


def test_what_an_attack_sees_below_chance_on_identity_is_no_power():
    """Validated by an area below chance: a share of that would be negative, and the keenest of all."""
    odd = [members(d, a, 0.0, method="nearest") for d, a in (("identity", -0.5), ("disjoint", 0.0), ("noise", 0.0))]
    results = Results([*CONTROLS, members("noise", 0.0, 0.0), *odd])
    assert keenest(results, "noise", ["nearest", "gan-leaks"]) == results.power("noise", "gan-leaks", "members")
    assert 0 < unseen(results, "noise") <= 1


def test_findings_are_one_row_for_each_attack_with_its_control():
    results = Results([*good_run(), *CONTROLS])
    tables = findings(results)
    assert [table.title for table in tables.values()] == [FAMILIES["memorization"], FAMILIES["membership"]]
    row = next(row for row in tables["memorization"].rows if row[0].startswith("blur"))
    assert row[3:] == ("leaks", "SSIM to private", "0.40", "0.10", "0.30 [0.20, 0.40]")
    asked = Results([*good_run(), *CONTROLS], planned=[r.cell.id for r in (*good_run(), *CONTROLS)])
    assert len(findings(asked)["membership"].rows) == 2, "what the run did not ask for has no row"


@pytest.mark.parametrize(("columns", "parts"), [(8, 1), (9, 2), (14, 2), (15, 3)])
def test_a_wide_table_is_cut_into_parts_that_each_say_whose_row_it_is(columns, parts):
    heads = ("Defense", "Attack", *(f"c{i}" for i in range(columns - 2)))
    found = Table("T", "t", heads, ()).parts()
    assert len(found) == parts
    assert all(part[:2] == [0, 1] and len(part) <= 8 for part in found)
    assert sorted({at for part in found for at in part}) == list(range(columns))


def test_the_plot_has_a_point_for_everything_that_is_known(tmp_path):
    results = Results([*good_run(), *CONTROLS])
    assert tradeoff(results, tmp_path / "plot.svg")
    assert not tradeoff(Results([members("noise", 0.3, 0.5)]), tmp_path / "nothing.svg")
    drawn = (tmp_path / "plot.svg").read_text()
    assert all(f"<!-- {label} -->" in drawn for label in ("identity", "disjoint", "blur", "noise"))


@pytest.mark.parametrize("heights", [[0.0, 0.0, 0.01, 0.9], [0.99, 0.99, 1.0], [0.5]])
def test_labels_lie_apart_within_the_plot(heights):
    moved = _apart(heights, 0.055)
    assert all(high - low >= 0.055 - 1e-9 for low, high in pairwise(moved))
    assert moved[0] >= 0
    assert moved[-1] <= 1


def test_strips_show_several_classes_and_galleries_the_worst(tmp_path):
    results = Results([*good_run(), attack("noise", 0.6, 0.5, method="lsb"), *CONTROLS])
    assert strip(results, "noise", tmp_path) is None
    folder = tmp_path / PRIVATE / f"{slug('noise')}-seed0"
    for label in range(3):
        (folder / str(label)).mkdir(parents=True)
        for number in range(4):
            Image.new("L", (8, 8), 80 * label).save(folder / str(label) / f"{number}.png")
    drawn = Image.open(tmp_path / strip(results, "noise", tmp_path))
    assert drawn.size == (SHOWN * SIDE, SIDE)
    assert {drawn.getpixel((SIDE * i + 5, 5))[0] for i in range(SHOWN)} == {0, 80, 160}
    assert worst(results, "blur:sigma=2", tmp_path) == []
    (tmp_path / "galleries").mkdir(exist_ok=True)
    for one in results.rows("blur:sigma=2", "attack", SIGN):
        Image.new("RGB", (8, 8)).save(tmp_path / "galleries" / f"{one.cell.id}.png")
    (shown,) = worst(results, "blur:sigma=2", tmp_path)
    assert (shown["title"], shown["verdict"]) == ("sign against blur", "leaks")


def test_the_first_page_is_made_of_the_matrix(tmp_path):
    records = [*good_run(), *CONTROLS]
    results = Results(records, planned=[r.cell.id for r in records])
    shown = content(results, {"suite": {"name": "s", "dataset": "d"}}, tmp_path)["glance"]
    rows = {row["label"]: row for row in shown["rows"]}
    assert shown["families"] == [FAMILIES["memorization"], FAMILIES["membership"]]
    assert [row["control"] for row in shown["rows"]] == [True, True, False, False]
    assert rows["noise"]["share"] == pytest.approx(0.5)
    assert [one["outcome"] for one in rows["blur"]["cells"]] == ["leaks", "not applicable"]
    assert "verdicts on members" in shown["alarms"]


def test_the_worth_of_a_release_is_its_first_students_also_where_that_failed():
    """Another network's accuracy in the place of a failed one would hide the failure."""
    second = accuracy("noise", 70)
    second = replace(second, cell=replace(second.cell, method="linear-probe:hard"))
    failed = record("noise", "utility", "resnet20:hard", status="failed", reason="boom")
    results = Results([accuracy("identity", 80), failed, second])
    assert results.hard_student("noise") == "resnet20:hard"
    assert utility(results, "noise") == (None, None)
    alone = Results([accuracy("identity", 80), second])
    assert alone.hard_student("noise") == "linear-probe:hard"
