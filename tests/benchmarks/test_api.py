"""`leakbench.run` in a notebook: images in memory are as private as a folder of them."""

import pytest

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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"processes": 0}, "processes must be >= 1, got 0"),
        ({"data": 3}, "data must be a folder or leakbench.Images, got int"),
        ({"defenses": "identity"}, "is one text; give a list"),
        ({"defenses": [3]}, "int is no defense that is registered"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(arguments, message, suites, tmp_path):
    with pytest.raises(leakbench.RequestProblems, match=message):
        leakbench.run("tiny", out=tmp_path / "run", **arguments)
