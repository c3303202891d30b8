"""T2: distances between sets of images have columns where records speak of them."""

from dataclasses import replace

from leakbench.reports.tables import tables
from leakbench.reports.verdicts import Results
from tests.reports.test_tables import figure, record

KERNEL = "kernel distance to private images (1/1000)"
CONTROL = "control: kernel distance to strangers (1/1000)"
FRECHET = "Fréchet distance to private images"


def visual(defense, *measured, **absent):
    names = [figure(name, value, None, None) for name, value in measured]
    return replace(record(defense, "visual", "", [figure("paired.ssim", 0.5, 0.4, 0.6), *names]), absent=absent)


def shown(*records):
    (table,) = [table for table in tables(Results(list(records))) if table.name == "T2"]
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return table, {row["Defense"]: row for row in rows}


def test_what_was_measured_has_columns():
    one = visual("noise", ("private.kernel", 2.5), ("stranger.kernel", 2.0), ("private.frechet", 9.0))
    table, rows = shown(one, visual("identity", ("private.kernel", 1.0), ("stranger.kernel", 0.5)))
    assert (rows["noise"][KERNEL], rows["noise"][CONTROL], rows["noise"][FRECHET]) == ("2.500", "2.000", "9.000")
    assert rows["identity"][FRECHET] == "n/a"
    ranks = {table.columns[column] for _, column in table.ranks}
    assert KERNEL not in ranks, "a control does not compete"
    another = visual("blur:sigma=2", ("private.kernel", 1.5), ("private.frechet", 5.0))
    table, _ = shown(one, another)
    ranks = {table.columns[column] for _, column in table.ranks}
    assert KERNEL in ranks
    assert FRECHET not in ranks, "of sets of other sizes none is better"
    assert not any("kernel" in note for note in table.notes)


def test_where_no_network_was_at_hand_the_reason_stands_below():
    why = {"private.kernel": "get one", "stranger.kernel": "get one", "private.frechet": "too few"}
    table, rows = shown(visual("noise", **why))
    assert sum("get one" in note for note in table.notes) == 1
    assert rows["noise"][KERNEL] == "n/a"
    assert f"{KERNEL}: not applicable: get one." in table.notes
    assert FRECHET not in table.columns, "of small sets nobody has one"
    assert "No Fréchet distance: too few." in table.notes


def test_records_of_an_older_version_have_none():
    table, _ = shown(visual("noise"))
    assert not {KERNEL, CONTROL, FRECHET} & set(table.columns)
