"""Tables and verdicts of records written by hand."""

import csv
import io
import json
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from leakbench.metrics.measurement import Measurement
from leakbench.reports.content import content
from leakbench.reports.figures import draw
from leakbench.reports.formats import to_csv, to_latex, to_markdown
from leakbench.reports.pdf import write_pdf
from leakbench.reports.records import Attacked, Cell, Record
from leakbench.reports.sentences import sentence
from leakbench.reports.tables import Table, show, tables
from leakbench.reports.verdicts import Results


def figure(name, value, low, high, **fields):
    return Measurement(**{"name": name, "value": value, "low": low, "high": high, "n": 10, "better": "lower"} | fields)


def record(defense, task, method="", measurements=(), seed=0, **fields):
    cell = Cell(suite="s-1", dataset="digits", defense=defense, task=task, method=method, seed=seed)
    return Record(**{"cell": cell, "status": "ok", "measurements": tuple(measurements), "seconds": 2.0} | fields)


def accuracy(defense, value):
    measured = figure("student.accuracy", value, value - 1, value + 1, better="higher", unit="%")
    return record(defense, "utility", "resnet20:hard", [measured])


def attack(defense, trained, private, method="sign:num_images=8"):
    figures = []
    for name, value in (("trained", trained), ("private", private)):
        figures.append(figure(f"{name}.ssim.attack", value + 0.1, value, value + 0.2))
        figures.append(figure(f"{name}.ssim.control", 0.1, 0.05, 0.15))
        figures.append(figure(f"{name}.ssim.baseline", 0.2, 0.15, 0.25))
        figures.append(figure(f"{name}.ssim.excess", value, value - 0.1, value + 0.1))
    return record(
        defense, "attack", method, figures, attacked=Attacked(family="memorization", threat_model=("TRAINER",))
    )


def good_run():
    records = []
    for defense, student, trained, private in (
        ("identity", 80, 0.8, 0.8),
        ("disjoint", 78, 0.8, 0.01),
        ("blur:sigma=2", 50, 0.7, 0.3),
        ("noise", 40, 0.6, 0.02),
    ):
        size = figure("release.images", 100.0, None, None, better="higher")
        records += [
            record(defense, "release", "", [size]),
            accuracy(defense, student),
            attack(defense, trained, private),
        ]
    return records


def test_verdicts():
    results = Results(good_run())
    answers = {d: results.verdict(d, "sign:num_images=8", "private") for d in results.defenses}
    assert answers == {
        "identity": "leaks", "disjoint": "no leak found", "blur:sigma=2": "leaks", "noise": "no leak found",
    }  # fmt: skip
    assert results.verdict("noise", "sign:num_images=8", "trained") == "leaks"


def test_an_attack_without_power_proves_nothing():
    records = [r for r in good_run() if r.cell.task != "attack" or r.cell.defense != "identity"]
    assert "identity not measured" in Results(records).verdict("noise", "sign:num_images=8", "private")
    weak = Results([*records, attack("identity", 0.8, 0.05)])
    assert weak.verdict("noise", "sign:num_images=8", "private") == "not validated: no power shown on identity"
    assert weak.verdict("blur:sigma=2", "sign:num_images=8", "private").startswith("not validated")


def test_a_false_alarm_on_disjoint_invalidates():
    records = [r for r in good_run() if r.cell.task != "attack" or r.cell.defense != "disjoint"]
    assert "disjoint not measured" in Results(records).verdict("noise", "sign:num_images=8", "private")
    loud = Results([*records, attack("disjoint", 0.8, 0.5)])
    assert loud.verdict("blur:sigma=2", "sign:num_images=8", "private") == "not validated: false alarm on disjoint"


def test_identification_alone_is_a_leak():
    """Resemblance to members at large may miss what the pairing shows: every source told from strangers."""
    quiet = attack("pixelate", 0.7, 0.0)
    told = figure("source.identification.excess", 0.5, 0.3, 0.7)
    records = [*good_run(), replace(quiet, measurements=(*quiet.measurements, told))]
    assert Results(records).verdict("pixelate", "sign:num_images=8", "private") == "leaks"
    assert Results([*good_run(), quiet]).verdict("pixelate", "sign:num_images=8", "private") == "no leak found"


def test_an_unfinished_run_has_no_verdicts():
    results = Results(good_run(), seeds=3)
    assert results.verdict("noise", "sign:num_images=8", "private") == "incomplete: 1 of 3 seeds"
    assert "incomplete: 1 of 3 seeds" in tables(results)[0].rows[0][1]


def test_seeds_must_agree():
    """A pooled interval above 0 with one seed below it is no finding."""
    first, second = attack("noise", 0.6, 0.9), attack("noise", 0.6, -0.05)
    second = replace(second, cell=replace(second.cell, seed=1))
    others = [r for r in good_run() if r.cell.defense != "noise" and r.cell.task == "attack"]
    both = others + [replace(r, cell=replace(r.cell, seed=1)) for r in others]
    results = Results([*both, first, second])
    assert results.measurement("noise", "attack", "sign:num_images=8", "private.ssim.excess").low > 0
    assert results.verdict("noise", "sign:num_images=8", "private") == "no leak found"


def test_members_nearer_to_strangers_on_disjoint_is_a_broken_split():
    records = [r for r in good_run() if r.cell.task != "attack" or r.cell.defense != "disjoint"]
    odd = Results([*records, attack("disjoint", 0.8, -0.5)])
    assert "not exchangeable" in odd.verdict("noise", "sign:num_images=8", "private")


def test_a_failed_seed_is_not_averaged_over():
    records = [
        *good_run(),
        record("noise", "attack", "sign:num_images=8", seed=1, status="failed", reason="boom\ntrace"),
    ]
    results = Results(records)
    assert results.measurement("noise", "attack", "sign:num_images=8", "private.ssim.excess") is None
    assert results.verdict("noise", "sign:num_images=8", "private") == "failed"
    t4 = next(t for t in tables(results) if t.name == "T4")
    assert any(row[0] == "noise" and "failed" in row for row in t4.rows)


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.51234, 0.48, 0.54, "0.512 [0.480, 0.540]"),
        (44.04, 41.2, 47.1, "44.0 [41.2, 47.1]"),
        (4404.3, 4100, 4700, "4404 [4100, 4700]"),
        (7, 7, 7, "7.000"),
        (7, None, None, "7.000"),
    ],
)
def test_digits_follow_the_interval(value, low, high, text):
    assert show(figure("x", value, low, high)) == text
    assert show(None, "failed") == "failed"


def test_markdown_golden():
    table = Table("T9", "A <title>", ("Defense", "x|y"), (("a_b", "1.0 [0.9, 1.1]"),), ("note *n* &lt;",))
    assert to_markdown(table) == (
        "### T9 A \\<title\\>\n\n"
        "| Defense | x\\|y |\n| --- | --- |\n| a\\_b | 1.0 \\[0.9, 1.1\\] |\n\nnote \\*n\\* &amp;lt;\n"
    )


def test_latex_golden():
    table = Table("T9", "50 %", ("a", "b"), (("x_y", r"\input{z}"),))
    assert r"x\_y & {\textbackslash}input\{z\} \\" in to_latex(table)
    assert r"\caption{50 \%}" in to_latex(table)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=50))
@settings(max_examples=50, deadline=None)
def test_csv_round_trip(name):
    table = Table("T9", "t", ("a", "b"), ((name, "1"),))
    assert list(csv.reader(io.StringIO(to_csv(table), newline="")))[1] == [name, "1"]


def test_utility_table_has_the_ratio_to_identity():
    t1 = tables(Results(good_run()))[0]
    row = next(row for row in t1.rows if row[0] == "noise")
    assert row[1].endswith("(0.50)")


def test_sentences_never_say_safe():
    results = Results(good_run())
    text = " ".join(sentence(results, defense) for defense in results.defenses)
    assert "noise: a student reaches" in text
    assert "50 % of identity's" in text
    assert "safe" not in text


def test_hostile_names_reach_the_template_as_data(tmp_path):
    evil = 'x"#import "a.typ" b" $ \\input{y} <script> ‮ 😀'
    records = [*good_run(), accuracy(evil, 10), attack(evil, 0.1, 0.0)]
    run = {"suite": {"name": "#panic()", "dataset": "<b>"}, "environment": {}}
    assert json.loads(json.dumps(content(Results(records), run, tmp_path)))["sentences"][-1].startswith(evil)
    file = write_pdf(content(Results(records), run, tmp_path), tmp_path, draw(Results(records), tmp_path / "figures"))
    assert file.read_bytes().startswith(b"%PDF")


def test_the_pdf_is_accessible_has_bookmarks_and_embedded_fonts(tmp_path):
    records = [*good_run(), accuracy("鬼\ue000", 10)]
    run = {"suite": {"name": "s", "dataset": "d"}}
    for found, standard in ((records[:-1], True), (records, False)):
        figures = draw(Results(found), tmp_path / "figures")
        pdf = write_pdf(content(Results(found), run, tmp_path), tmp_path, figures).read_bytes()
        assert all(mark in pdf for mark in (b"/Outlines", b"/StructTreeRoot", b"/FontFile"))
        assert (b"pdfuaid" in pdf) == standard, "a character that no font can show costs the standard, not the report"


def test_a_run_with_failures_and_gaps_renders(tmp_path):
    records = [record("identity", "release", status="failed", reason="RuntimeError: boom\ntrace"), accuracy("blur", 5)]
    run = {"suite": {"name": "s", "dataset": "d"}}
    assert "boom" in " ".join(content(Results(records), run, tmp_path)["failed"])
    assert write_pdf(
        content(Results(records), run, tmp_path), tmp_path, draw(Results(records), tmp_path / "figures")
    ).is_file()


def members(defense, auc, tpr, method="gan-leaks"):
    figures = []
    for name, value in (("auc", auc), ("tpr-at-1", tpr)):
        figures += [figure(f"members.{name}.{part}", 0.5, 0.4, 0.6) for part in ("attack", "control", "baseline")]
        figures.append(figure(f"members.{name}.excess", value, value - 0.1, value + 0.1))
    return record(defense, "attack", method, figures, attacked=Attacked(family="membership", victim="4 among 4"))


def test_membership_answers_one_question():
    records = [members("identity", 0.5, 0.9), members("disjoint", 0.0, 0.0), members("noise", 0.0, 0.3)]
    records.append(members("blur", 0.01, 0.02))
    results = Results(records)
    assert results.questions("gan-leaks") == ("members",)
    assert [results.member_verdict(d, "gan-leaks") for d in results.defenses] == [
        "leaks",
        "no leak found",
        "leaks",  # the few who are given away for sure count, though on average nobody is
        "no leak found",
    ]
    assert results.attack_verdict("noise", "gan-leaks") == "-"
    table = next(t for t in tables(results) if t.name == "T6")
    assert [row[-3:] for row in table.rows][2] == ("-", "leaks", "n/a")
    assert "members are given away by gan-leaks" in sentence(results, "noise")
    loud = Results([members("identity", 0.5, 0.9), members("disjoint", 0.3, 0.0)])
    assert loud.member_verdict("identity", "gan-leaks") == "not validated: false alarm on disjoint"


def sanitized(defense, trained, private):
    made = attack(defense, trained, private, method="sign:num_images=8@bf16")
    return replace(made, attacked=replace(made.attacked, sanitized=True, scenario_without_sanitizing="x"))


def test_a_washing_that_works_is_not_a_broken_attack():
    plain = {"sanitized": False, "scenario_without_sanitizing": "x"}
    known = [replace(r, attacked=replace(r.attacked, **plain)) if r.attacked else r for r in good_run()]
    records = [*known, sanitized("identity", 0.0, 0.0), sanitized("disjoint", 0.0, 0.0)]
    results = Results(records)
    assert results.attack_verdict("identity", "sign:num_images=8@bf16") == "no"
    assert results.member_verdict("identity", "sign:num_images=8@bf16") == "no leak found"
    assert "no leak of members is found by sign@bf16" in sentence(results, "identity")
    without = Results([sanitized("identity", 0.0, 0.0), sanitized("disjoint", 0.0, 0.0)])
    assert without.member_verdict("identity", "sign:num_images=8@bf16").startswith("not validated"), (
        "nobody has shown that it works at all"
    )


def test_what_nobody_asked_for_is_not_incomplete():
    """Students on soft labels of a defense that publishes none are no part of the plan; others are."""
    soft = accuracy("blur:sigma=2", 50)
    soft = replace(soft, cell=replace(soft.cell, method="resnet20:soft"))
    records = [*good_run(), soft]
    planned = [r.cell.id for r in records] + [replace(soft.cell, defense="identity").id]
    results = Results(records, planned=planned)
    assert results.missing("identity", "utility", "resnet20:soft") == "incomplete: 0 of 1 seeds"
    assert results.missing("disjoint", "utility", "resnet20:soft") == "n/a: not part of this run"


def test_rows_that_nobody_asked_for_are_left_out():
    alone = attack("blur:sigma=2", 0.8, 0.5, "lsb:num_images=8")
    records = [*good_run(), alone]
    (table,) = [t for t in tables(Results(records, planned=[r.cell.id for r in records])) if t.name == "T4"]
    assert [row[0] for row in table.rows if row[1] == "lsb"] == ["blur"]
    (table,) = [t for t in tables(Results(records)) if t.name == "T4"]
    assert len([row for row in table.rows if row[1] == "lsb"]) == len(Results(records).defenses)
