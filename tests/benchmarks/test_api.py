"""`leakbench.run` in a notebook: images in memory are as private as a folder of them."""

import json

import pytest
import torch

import leakbench

CALM = {"device": "cpu", "progress": False}


def test_a_part_of_images_in_memory_is_not_taken_for_public_unasked(digits, suites, tmp_path):
    place = {"data": digits.members, "out": tmp_path / "run", "cache": tmp_path / "cache"}
    with pytest.raises(leakbench.RequestProblems, match="disjoint: reads images of other people"):
        leakbench.run("tiny", defenses=["identity", "disjoint"], attacks=["gan-leaks"], **place, **CALM)
    assert not (tmp_path / "run").exists()


def test_images_in_memory_are_attacked_and_loaded_again(digits, suites, tmp_path):
    place = {"data": digits.members, "out": tmp_path / "run", "cache": tmp_path / "cache"}
    found = leakbench.run("tiny", defenses=["identity"], attacks=["gan-leaks"], **place, **CALM)
    assert {record.status for record in found.records} == {"ok"}
    assert found.detected("identity", "gan-leaks", "members")
    assert len(leakbench.load(tmp_path / "run").frame()) == len(found.frame())


def test_arrays_and_datasets_are_data_as_well(digits, suites, tmp_path):
    place = {"out": tmp_path / "run", "cache": tmp_path / "cache"}
    data = torch.utils.data.TensorDataset(digits.members.pixels, digits.members.labels)
    found = leakbench.run("tiny", defenses=["identity"], attacks=["gan-leaks"], data=data, **place, **CALM)
    assert {record.status for record in found.records} == {"ok"}
    with pytest.raises(leakbench.DataProblems, match="--data: is a int; give a folder"):
        leakbench.run("tiny", data=3, **place)


@pytest.mark.slow
def test_an_audit_of_arrays(digits, tmp_path):
    private, released, holdout = (part.pixels for part in (digits.members, digits.public, digits.holdout))
    found = leakbench.audit(private.permute(0, 2, 3, 1).numpy(), private[:50], holdout, out=tmp_path / "out")
    assert found.verdict == "leaks"
    assert {row["private"] for row in found.risky} >= {f"{i:06d}" for i in range(50)}
    assert (tmp_path / "out" / "riskiest.png").stat().st_mode & 0o077 == 0
    assert leakbench.audit(private, released).verdict == "cannot tell"
    with pytest.raises(leakbench.DataProblems, match="--holdout /nowhere"):
        leakbench.audit(private, released, "/nowhere")


def test_an_audit_as_frames_and_what_is_left_of_the_release(digits):
    """Twice the same private picture, mirrored and as it is, and a stranger's between."""
    private, strangers, holdout = (part.pixels for part in (digits.members, digits.public, digits.holdout))
    released = torch.stack([private[3], strangers[0], private[3].flip(2), private[8], strangers[1]])
    found = leakbench.audit(private, released, holdout)
    assert set(found.copies["private"]) == {"000003", "000008"}
    assert list(found.copies.columns[:3]) == ["private", "released", "why"]
    assert found.without_copies() == ["000001", "000004"]
    named = found.figures.set_index(["attack", "name"])
    assert named.loc[("nearest", "members.auc.excess"), "value"] == pytest.approx(
        next(one.value for one in found.measured["nearest"] if one.name == "members.auc.excess")
    )
    assert {"low", "high", "n", "p"} <= set(named.columns)
    assert json.loads(json.dumps(found.as_json()))["figures"].keys() == found.measured.keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"processes": 0}, "processes must be >= 1, got 0"),
        ({"defenses": "identity"}, "is one text; give a list"),
        ({"defenses": [3]}, "int is no defense that is registered"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(arguments, message, suites, tmp_path):
    with pytest.raises(leakbench.RequestProblems, match=message):
        leakbench.run("tiny", out=tmp_path / "run", **arguments)
