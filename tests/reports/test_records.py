import json

import pytest

from leakbench.metrics.decision import pooled
from leakbench.metrics.measurement import Measurement
from leakbench.reports.records import Attacked, Cell, Record, append_record, over_seeds, read_records


def cell(**fields):
    return Cell(
        **{"suite": "s-1", "dataset": "digits", "defense": "identity", "task": "attack", "method": "sign"} | fields
    )


def figure(value, low=None, high=None, **fields):
    defaults = {"name": "private.ssim.excess", "n": 10, "better": "lower"}
    return Measurement(value=value, low=low, high=high, **defaults | fields)


def test_ids_are_pinned():
    """A change here makes every old record unread: raise SCHEMA, and say so in the changelog."""
    assert cell().id == "3fd9f4b935fdc14b"
    assert cell(seed=1).id != cell().id


def test_a_record_survives_its_line():
    record = Record(
        cell=cell(), status="ok", measurements=(figure(0.5, 0.4, 0.6),), absent={"lpips": "no weights"},
        attacked=Attacked(family="gan", parameters={"a": 1, "b": "c"}, notes={"x": 0.5}),
        claim={"kind": "none"}, seconds=1.5, peak_memory=3, environment={"torch": "x"},
    )  # fmt: skip
    assert Record.from_line(record.to_line()) == record
    assert json.loads(record.to_line())["id"] == record.cell.id
    assert "\n" not in record.to_line()


def test_the_last_record_counts_and_a_torn_line_harms_only_itself(tmp_path):
    file = tmp_path / "records.jsonl"
    append_record(file, Record(cell=cell(), status="failed", reason="disk"))
    with file.open("a") as stream:
        stream.write('{"cell": {"suite"')
    with file.open("ab") as stream:
        stream.write("é".encode()[:1])  # cut within a character
    append_record(file, Record(cell=cell(), status="ok"))
    append_record(file, Record(cell=cell(seed=1), status="ok"))
    records = read_records(file)
    assert [r.status for r in records.values()] == ["ok", "ok"]
    assert read_records(tmp_path / "none.jsonl") == {}


def test_records_of_another_schema_are_not_read(tmp_path):
    file = tmp_path / "records.jsonl"
    line = json.loads(Record(cell=cell(), status="ok").to_line()) | {"schema": 0}
    file.write_text(json.dumps(line) + "\n")
    assert read_records(file) == {}


@pytest.mark.parametrize(
    "damage",
    [
        {"claim": [1]},
        {"claim": {"epsilon": "eight"}},
        {"attacked": {"family": 1}},
        {"roc": [[0.5]]},
        {"status": "done"},
        {"cell": "identity"},
        {"measurements": [{"name": "x", "value": float("nan"), "n": 1, "better": "lower"}]},
    ],
)
def test_a_damaged_record_is_a_cell_that_is_not_done(damage, tmp_path):
    file = tmp_path / "records.jsonl"
    file.write_text(json.dumps(json.loads(Record(cell=cell(), status="ok").to_line()) | damage) + "\n")
    assert read_records(file) == {}


def test_pooling_by_hand():
    # Means 0.2 and 0.4; half-widths 0.1 and 0.1 add to sqrt(0.02), halved: 0.0707.
    mean = pooled([figure(0.2, 0.1, 0.3), figure(0.4, 0.3, 0.5)])
    assert (mean.value, mean.n) == (pytest.approx(0.3), 20)
    assert (mean.low, mean.high) == (pytest.approx(0.2293, abs=1e-4), pytest.approx(0.3707, abs=1e-4))
    assert pooled([figure(0.2, 0.1, 0.3), figure(0.4)]).low is None
    assert pooled([]) is None
    # Over seeds: mean 0.3, s = 0.1414, t(0.975, 1) = 12.706, half = 12.706 * 0.1414 / sqrt(2).
    wide = over_seeds([figure(0.2, 0.1, 0.3), figure(0.4, 0.3, 0.5)])
    assert wide.high - wide.value == pytest.approx(1.2706, abs=1e-3)
