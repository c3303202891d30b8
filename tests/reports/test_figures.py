from dataclasses import replace

from leakbench.reports.epsilon import epsilon
from leakbench.reports.figures import _sweeps, roc, sweep
from leakbench.reports.sentences import sentence
from leakbench.reports.tables import tables
from leakbench.reports.verdicts import Results
from tests.reports.test_tables import accuracy, figure, good_run, members

CONTROLS = [members("identity", 0.5, 0.9), members("disjoint", 0.0, 0.0)]


def with_epsilon(defense, claim, seed=0, **bounds):
    made = members(defense, 0.5, 0.9)
    made = replace(made, cell=replace(made.cell, seed=seed))
    names = {"replace": "members.epsilon", "add": "members.epsilon-add-remove"}
    extra = tuple(figure(names[kind], value, value, None) for kind, value in bounds.items())
    return replace(made, measurements=(*made.measurements, *extra), claim=claim)


def test_a_claim_is_set_against_the_bound_for_the_same_neighbours():
    claims = {
        "wrong": {"kind": "differential-privacy", "epsilon": 1.0, "delta": 1e-5, "relation": "add/remove one image"},
        "right": {"kind": "differential-privacy", "epsilon": 2.0, "delta": 1e-5, "relation": "add/remove one image"},
        "other": {"kind": "differential-privacy", "epsilon": 1.0, "delta": 1e-5, "relation": "replace one image"},
        "none": {"kind": "none", "epsilon": None},
    }
    results = Results([*CONTROLS, *(with_epsilon(name, claim, replace=3.0, add=1.5) for name, claim in claims.items())])
    table = next(t for t in tables(results) if t.name == "T6")
    column = table.columns.index("epsilon is at least")
    assert [row[column] for row in table.rows[2:]] == [
        "1.50 (add/remove); claim 1: contradicted",
        "1.50 (add/remove); claim 2",
        "3.00; claim 1: contradicted",
        "3.00",
    ]
    assert "its claim on epsilon is contradicted by gan-leaks" in sentence(results, "wrong")
    assert "contradicted" not in sentence(results, "right")


def test_a_bound_for_other_neighbours_contradicts_nothing():
    claim = {"kind": "differential-privacy", "epsilon": 1.0, "delta": 1e-5, "relation": "replace one image"}
    results = Results([*CONTROLS, with_epsilon("d", claim, add=9.0)])
    assert epsilon(results, "d", "gan-leaks").bound.value == 9
    assert not epsilon(results, "d", "gan-leaks").contradicted


def test_nor_does_an_attack_that_is_not_validated_or_one_seed_of_two():
    claim = {"kind": "differential-privacy", "epsilon": 1.0, "delta": 1e-5, "relation": "replace one image"}
    assert not epsilon(Results([with_epsilon("d", claim, replace=9.0)]), "d", "gan-leaks").contradicted
    both = [replace(r, cell=replace(r.cell, seed=1)) for r in CONTROLS]
    seeds = [with_epsilon("d", claim, replace=9.0), with_epsilon("d", claim, seed=1, replace=0.5)]
    found = epsilon(Results([*CONTROLS, *both, *seeds]), "d", "gan-leaks")
    assert found.bound.value == 0.5
    assert not found.contradicted


def test_an_area_below_chance_gives_members_away_as_well():
    found = [members("identity", 0.5, 0.9), members("disjoint", 0.0, 0.0), members("shy", -0.3, 0.0)]
    assert Results(found).member_verdict("shy", "gan-leaks") == "leaks"
    loud = [members("identity", 0.5, 0.9), members("disjoint", -0.3, 0.0)]
    assert Results(loud).member_verdict("identity", "gan-leaks") == "not validated: false alarm on disjoint"


def test_canaries_tell_of_the_defense():
    found = [members("identity", 0.5, 0.9), members("disjoint", 0.0, 0.0), members("noise", 0.0, 0.0)]
    results = Results([replace(r, attacked=replace(r.attacked, goal="canaries")) for r in found])
    assert [results.member_verdict(d, "gan-leaks") for d in results.defenses] == [
        "canaries found",
        "no canary found",
        "no canary found",
    ]
    assert "canaries are found by gan-leaks" in sentence(results, "identity")
    assert "members away" not in sentence(results, "identity")


def test_sweeps_are_found():
    specs = [f"leaky:leaked={share},copies=flip" for share in ("0.01", "0.1", "1")]
    found = list(_sweeps(["identity", *specs, "leaky:leaked=0.5,copies=jpeg", "noise:sigma=1", "noise:sigma=2"]))
    assert found == [("leaked", dict(zip(("0.01", "0.1", "1"), specs, strict=True)))]


def test_figures_are_drawn_where_there_is_something_to_draw(tmp_path):
    assert not roc(Results(good_run()), tmp_path / "roc.svg")
    assert not sweep(Results(good_run()), tmp_path / "sweep.svg")
    swept = [
        replace(members(f"leaky:leaked={p}$", p, p), roc=((0.01, 0.0), (0.1, p), (1.0, 1.0))) for p in (0.1, 0.5, 0.9)
    ]
    results = Results([*swept, *(accuracy(record.cell.defense, 50) for record in swept)])
    assert roc(results, tmp_path / "roc.svg")
    assert sweep(results, tmp_path / "sweep.svg")
    assert "TPR at 1 % FPR" not in (tmp_path / "roc.svg").read_text()
    assert all((tmp_path / f"{name}.svg").stat().st_size > 5000 for name in ("roc", "sweep"))
