"""`leakbench.run` in a notebook: images in memory are as private as a folder of them."""

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


def test_an_audit_of_arrays(digits, tmp_path):
    private, released, holdout = (part.pixels for part in (digits.members, digits.public, digits.holdout))
    found = leakbench.audit(private.permute(0, 2, 3, 1).numpy(), private[:50], holdout, out=tmp_path / "out")
    assert found.verdict == "leaks"
    assert {row["private"] for row in found.risky} >= {f"{i:06d}" for i in range(50)}
    assert (tmp_path / "out" / "riskiest.png").stat().st_mode & 0o077 == 0
    assert leakbench.audit(private, released).verdict == "cannot tell"
    with pytest.raises(leakbench.DataProblems, match="--holdout /nowhere"):
        leakbench.audit(private, released, "/nowhere")


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
