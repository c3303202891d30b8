"""A defense that acts on training publishes networks and no images: what looks at images has nothing to say of it."""

from leakbench.reports.records import read_records
from tests.benchmarks.conftest import run_tiny

ATTACKS = (
    "loss-threshold",
    "lira:shadows=2,variance=fixed",
    "gan-leaks",
    "lira-pipeline:shadows=2,variance=fixed",
    "sign:num_images=2",
)


def test_attacks_on_images_do_not_apply(suites, tmp_path):
    chosen = [part for name in ATTACKS for part in ("--attack", name)]
    assert (
        run_tiny(tmp_path, "--defense", "identity", "--defense", "dp-sgd:epsilon=50,steps=1,batch_size=60", *chosen)
        == 0
    )
    records = [
        r for r in read_records(tmp_path / "run" / "records.jsonl").values() if r.cell.defense.startswith("dp-sgd")
    ]
    status = {r.cell.method or r.cell.task: (r.status, r.reason) for r in records}
    assert status["visual"] == (
        "not_applicable",
        "this defense releases no images, it publishes networks that it trains on the members",
    )
    assert {name for name, (found, _) in status.items() if found == "not_applicable"} == {
        "release",
        "visual",
        *ATTACKS[2:],
    }
    assert status["gan-leaks"][1].endswith("the attack needs RELEASE")
    assert status["lira-pipeline:shadows=2,variance=fixed"][1].endswith("the attack needs RERUN")
    assert {found for found, _ in status.values()} == {"ok", "not_applicable"}
    rows = (tmp_path / "run" / "tables" / "T6.md").read_text().splitlines()
    (row,) = [r for r in rows if "dp-sgd" in r and "| gan-leaks |" in r]
    assert "leaks |" not in row.replace("gan-leaks |", "")
