"""The pages on the paper's claims and on European practice, marked cells, and the tidy file."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from leakbench.reports.formats import to_csv, to_latex, to_markdown
from leakbench.reports.paper_claims import claims
from leakbench.reports.practice import practice
from leakbench.reports.records import Attacked, append_record
from leakbench.reports.table import merit, ranked
from leakbench.reports.tables import tables
from leakbench.reports.verdicts import Results
from leakbench.reports.write import load_run, write_reports
from tests.reports.test_tables import accuracy, attack, figure, good_run, members, record

CLASS, ONE = "bn-matching:images_per_statistic=class,num_images=10", "bn-matching:images_per_statistic=1,num_images=10"


def visual(defense, paired, stranger=0.2):
    names = (("paired.ssim", paired), ("stranger.ssim", stranger))
    return record(defense, "visual", "", [figure(name, v, v - 0.01, v + 0.01) for name, v in names])


def verdicts(records):
    return {row[0].split(" ")[-1]: row[1] for row in claims(Results(records)).rows}


def test_each_claim_with_its_verdict():
    records = [*good_run(), visual("identity", 1.0)]
    assert claims(Results(records)) is None, "nobody made a release of the paper's"
    records += [accuracy(CLASS, 30), attack(CLASS, 0.8, 0.0), visual(CLASS, 0.1)]
    found = [row[1] for row in claims(Results(records)).rows]
    assert found == ["does not hold", "holds", "open", "holds", "open"]
    records += [accuracy(ONE, 79), attack(ONE, 0.8, 0.5), visual(ONE, 0.3)]
    found = [row[1] for row in claims(Results(records)).rows]
    assert found == [
        "only when images_per_statistic=1",
        "only when images_per_statistic=class",
        "open",
        "only when images_per_statistic=class",
        "open",
    ]
    figures = [row[2] for row in claims(Results(records)).rows]
    assert "images_per_statistic=1: beaten by sign" in figures[3]
    assert "% of 80.0 %" in figures[0]


def test_what_cannot_be_judged_is_open():
    records = [r for r in good_run() if r.cell.defense != "identity"]
    records += [accuracy(CLASS, 79), attack(CLASS, 0.8, 0.5)]
    assert {row[1] for row in claims(Results(records)).rows} == {"open"}


def test_an_accuracy_whose_interval_holds_the_bar_decides_nothing():
    records = [*good_run(), accuracy(CLASS, 72.5)]
    assert claims(Results(records)).rows[0][1] == "open"


def test_the_three_questions():
    rows = {row[0]: row for row in practice(Results(good_run())).rows}
    assert rows["Singling out"][2:4] == ("not asked in this run", "open")
    assert rows["Linkability"][2] == "sign"
    assert "identity: yes; disjoint: no leak found by sign (from SSIM +0.143); blur: yes" in rows["Linkability"][3]
    loud = [*good_run(), members("identity", 0.0, 0.0), members("disjoint", 0.0, 0.0)]
    assert (
        "identity: open: gan-leaks (not validated)"
        in {r[0]: r for r in practice(Results(loud)).rows}["Singling out"][3]
    )
    assert all(row[4] for row in rows.values()), "something always stays open"


def test_a_link_that_was_not_measured_is_no_silence():
    """On a release whose images have no one source, an attack on membership says nothing of links."""
    linked = [figure("linkage.top-1.excess", 0.5, 0.4, 0.6)]
    shown = [with_more(members(d, v, v / 2), linked) for d, v in (("identity", 0.4), ("blur:sigma=2", 0.4))]
    shown += [with_more(members("disjoint", 0.0, -0.1), [figure("linkage.top-1.excess", 0.0, -0.1, 0.1)])]
    records = [*shown, members("noise", 0.4, 0.2)]
    finding = {row[0]: row for row in practice(Results(records)).rows}["Linkability"][3]
    assert "blur: yes" in finding
    assert "noise: open: gan-leaks (n/a)" in finding


def with_more(found, figures):
    return replace(found, measurements=(*found.measurements, *figures))


def test_one_silent_attack_does_not_make_up_for_one_that_failed():
    strong = "lsb:num_images=8"
    shown = [attack("identity", 0.8, 0.8, strong), attack("disjoint", 0.8, 0.0, strong)]
    broken = record(CLASS, "attack", strong, status="failed", reason="RuntimeError: x")
    results = Results([*good_run(), *shown, accuracy(CLASS, 30), attack(CLASS, 0.8, 0.0), broken])
    claim = {row[0]: row for row in claims(results).rows}["It resists model memorization"]
    assert claim[1:3] == ("open", f"{CLASS}: no leak found by sign (from SSIM +0.143); open: lsb (failed)")
    link = {row[0]: row for row in practice(results).rows}["Linkability"][3]
    assert "no leak found by sign (from SSIM +0.143), open: lsb (failed)" in link


def test_what_an_attack_adds_to_the_release_stands_beside_it():
    led = [figure("linked.statistics.attack", 0.75, 0.6, 0.9), figure("linked.statistics.baseline", 1.0, 0.8, 1.0)]
    records = [*good_run(), with_more(attack(ONE, 0.8, 0.8), led)]
    (claim,) = [row for row in claims(Results(records)).rows if row[0] == "It resists model memorization"]
    assert "beaten by sign (source first by statistics: 0.75, from the release itself 1.00)" in claim[2]


def test_a_claim_on_accuracy_is_one_on_all_students():
    other = [
        replace(r, cell=replace(r.cell, method="lenet:hard")) for r in (accuracy("identity", 90), accuracy(ONE, 20))
    ]
    records = [*good_run(), accuracy(ONE, 79), *other]
    assert claims(Results(records)).rows[0][1] == "does not hold"


def test_a_student_that_only_another_defense_has_leaves_the_claim_on_accuracy():
    """A private trainer's own network: the release under test was never to have one."""
    probe = accuracy("dp-linear-probe", 75)
    probe = replace(probe, cell=replace(probe.cell, method="linear-probe:hard"))
    records = [*good_run(), accuracy(CLASS, 30)]
    planned = [r.cell.id for r in (*records, probe)]
    assert claims(Results([*records, probe], planned=planned)).rows[0] == claims(Results(records)).rows[0]
    assert claims(Results(records)).rows[0][1] == "does not hold"


def test_a_class_that_may_be_shown_leaves_inference_open():
    def gan(defense, shown):
        names = {"class.oracle.excess": shown, "private.ssim.excess": 0.0}
        figures = [figure(name, v, v - 0.05, v + 0.05) for name, v in names.items()]
        return record(defense, "attack", "hitaj", figures, attacked=Attacked(family="gan"))

    weak = Results([*good_run(), gan("identity", 0.0), gan("disjoint", 0.0), gan(CLASS, 0.5)])
    assert {row[0]: row for row in claims(weak).rows}["It resists GAN-based attacks"][1] == "open"
    assert "open: hitaj (not validated)" in {row[0]: row for row in practice(weak).rows}["Inference"][3]
    strong = Results([*good_run(), gan("identity", 0.5), gan("disjoint", 0.0), gan(CLASS, 0.5)])
    assert {row[0]: row for row in claims(strong).rows}["It resists GAN-based attacks"][1] == "does not hold"
    assert "bn-matching: yes" in {row[0]: row for row in practice(strong).rows}["Inference"][3]


def test_best_and_second_best_are_marked():
    figures = [merit(figure("x", v, None, None, better="higher")) for v in (90, 50, 60, 60, 40)]
    assert ranked(1, figures, [True, False, False, False, False]) == {(2, 1): 1, (3, 1): 1}, "nobody is second to two"
    lower = [merit(figure("x", v, None, None, better="lower")) for v in (1, 2)]
    assert ranked(1, lower, [False, False]) == {(0, 1): 1, (1, 1): 2}
    assert ranked(1, [None, lower[0]], [False, False]) == {}, "one alone is not the best of anything"
    t1 = tables(Results(good_run()))[0]
    assert "| **50.0 " in to_markdown(t1)
    assert "| *40.0 " in to_markdown(t1)
    assert r"\textbf{50.0 " in to_latex(t1)
    assert r"\underline{40.0 " in to_latex(t1)
    assert "**" not in to_csv(t1)
    assert "**80" not in to_markdown(t1), "identity is a control"


def test_defenses_are_ranked_by_attacks_that_are_validated_only():
    found = [members(d, auc, 0.0) for d, auc in (("identity", 0.4), ("disjoint", 0.0), ("a", 0.02), ("b", -0.01))]
    (table,) = [t for t in tables(Results(found)) if t.name == "T6"]
    column = table.columns.index("AUC")
    assert [table.rank(row, column) for row in range(4)] == [0, 0, 2, 1], "below chance gives away as much as above"
    for name, figures in (("c", 7), ("d", 0)):
        found.append(
            with_more(members(name, 0.3, 0.0), [figure("members.tp-at-0-fpr.excess", figures - 7, None, None)])
        )
    (table,) = [t for t in tables(Results(found)) if t.name == "T6"]
    column = table.columns.index("members before every other")
    assert table.rank(4, column) == table.rank(5, column), "who gives away fewer than chance explains is no worse"
    silent = [members(d, 0.0, 0.0) for d in ("identity", "disjoint", "a", "b")]
    (table,) = [t for t in tables(Results(silent)) if t.name == "T6"]
    assert not table.ranks, "an attack without power ranks nobody"


@pytest.fixture
def folder(tmp_path):
    failed = record("noise", "visual", status="failed", reason="RuntimeError: =1+1\nmore")
    records = [*good_run(), failed]
    run = {"suite": {"name": "s", "dataset": "d", "seeds": 1}, "cells": [r.cell.id for r in records]}
    (tmp_path / "run.json").write_text(json.dumps(run))
    for one in reversed(records):
        append_record(tmp_path / "records.jsonl", one)
    return tmp_path


def test_rows_stand_in_the_order_of_the_plan(folder):
    assert load_run(folder)[0].defenses == ["identity", "disjoint", "blur:sigma=2", "noise"]


def test_every_measurement_is_in_the_tidy_file(folder):
    (file,) = write_reports(folder, ("parquet",))
    rows = pq.read_table(file).to_pylist()
    assert len(rows) == sum(len(r.measurements) for r in good_run()) + 1
    assert [r["reason"] for r in rows if r["status"] == "failed"] == ["RuntimeError: =1+1\nmore"]
    row = next(r for r in rows if r["defense"] == "noise" and r["measurement"] == "student.accuracy")
    assert (row["value"], row["low"], row["high"], row["level"], row["better"]) == (40, 39, 41, 0.95, "higher")
