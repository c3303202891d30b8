import json

import pytest

from leakbench.reports.compare import compare
from leakbench.reports.records import append_record
from leakbench.reports.write import ReportProblem
from tests.benchmarks.conftest import call
from tests.reports.test_tables import accuracy, attack, good_run


def folder(root, records, *, suite="s", members="m"):
    root.mkdir()
    for record in records:
        append_record(root / "records.jsonl", record)
    run = {"suite": {"name": suite, "dataset": "d", "seeds": 1}, "identity": {"hash": "h", "data": members}}
    (root / "run.json").write_text(json.dumps(run))
    return root


def test_a_run_and_itself_differ_in_nothing(tmp_path):
    table = compare([folder(tmp_path / "a", good_run()), folder(tmp_path / "b", good_run())])[-1]
    assert {row[-1] for row in table.rows} == {"no"}
    assert {row[-2] for row in table.rows} == {"+0"}
    assert table.notes == ()


def test_what_changed_by_how_much_and_is_it_outside(tmp_path):
    first = folder(tmp_path / "a", [accuracy("noise", 50), attack("noise", 0.5, 0.0)])
    other = folder(tmp_path / "b", [accuracy("noise", 70), attack("noise", 0.55, 0.0), accuracy("new", 3)])
    rows = {(row[0], row[2]): row for row in compare([first, other])[-1].rows}
    assert rows["noise", "student.accuracy"][-2:] == ("+20", "yes")
    assert rows["noise", "trained.ssim.excess"][-2:] == ("+0.05", "no")
    assert rows["new", "student.accuracy"][3] == "incomplete"
    assert rows["new", "student.accuracy"][-2:] == ("n/a", "n/a")


def test_other_suites_and_members_are_said(tmp_path):
    first = folder(tmp_path / "a", good_run())
    other = folder(tmp_path / "b", good_run(), suite="t", members="n")
    assert compare([first, other])[-1].notes == (
        "Not the same in all runs: the suite: s (h); t (h).",
        "Not the same in all runs: the members: m; n.",
    )


def test_each_run_has_its_matrix_and_what_turned_is_said(tmp_path):
    first = folder(tmp_path / "a", good_run())
    worse = [
        attack("noise", 0.6, 0.5) if r.cell.task == "attack" and r.cell.defense == "noise" else r for r in good_run()
    ]
    tables = compare([first, folder(tmp_path / "b", worse)])
    assert [table.title for table in tables] == ["A: a", "B: b", "Runs side by side"]
    row = next(row for row in tables[1].rows if row[0] == "noise")
    assert row[1:] == ("40.0", "■ leaks by sign")
    assert tables[2].notes == ("noise, Memorization by training code: no leak found in A: a, leaks in B: b.",)


def test_the_command_line(tmp_path, capsys):
    runs = [folder(tmp_path / name, good_run()) for name in "abc"]
    assert call("compare", *runs) == 0
    assert "A: a" in capsys.readouterr().out
    assert call("compare", runs[0]) == 2
    assert "needs two run folders" in capsys.readouterr().err
    assert call("compare", runs[0], tmp_path) == 2
    assert "is not a run folder" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[]", "{", '{"suite": []}', '{"suite": {"name": "s"}}', '"identity"'])
def test_a_damaged_run_is_said(content, tmp_path, capsys):
    runs = [folder(tmp_path / name, good_run()) for name in "ab"]
    (runs[1] / "run.json").write_text(content)
    assert call("compare", *runs) == call("report", runs[1]) == 2
    assert capsys.readouterr().err.count("is damaged; run the suite again") == 2


def test_one_run_is_refused(tmp_path):
    with pytest.raises(ReportProblem, match="two run folders at least"):
        compare([folder(tmp_path / "a", good_run())])
