"""How few hidden copies would have been a leak, by what was done to them."""

import pytest
import torch

from leakbench.benchmarks.audit import copy_power as module
from leakbench.benchmarks.audit.changes import CHANGES
from leakbench.benchmarks.audit.copy_power import copy_power
from leakbench.benchmarks.audit.copy_verdict import chance, significant
from leakbench.benchmarks.audit.folders import open_folders
from tests.pictures import textured


@pytest.fixture(scope="module")
def folders():
    return open_folders(textured("private", 30), textured("others", 30), textured("holdout", 40))


@pytest.mark.parametrize(
    ("ours", "theirs", "size", "holdout", "tolerated", "expected"),
    [(5, 0, 60, 60, 0, True), (4, 0, 60, 60, 0, False), (5, 0, 60, 60, 5, False), (9, 3, 60, 60, 0, False)],
)
def test_significance_by_hand(ours, theirs, size, holdout, tolerated, expected):
    assert significant(ours, theirs, size, holdout, tolerated) is expected
    assert chance(4, 0, 60, 60) == pytest.approx(1 / 16)


def test_what_is_found_and_how_few_would_do(folders, monkeypatch):
    """Thirty against forty: (3/7)^3 is 8 %, (3/7)^4 is 3 %."""
    kinds = ("crop to 70 %", "turned by 90°", "JPEG 30")
    monkeypatch.setattr(module, "CHANGES", {kind: CHANGES[kind] for kind in kinds} | {"gone": lambda one, other: other})
    monkeypatch.setattr(module, "HARD", {"gone"})
    powered, lines = copy_power(folders, 0, 0, seed=0)
    assert powered
    assert lines[0].startswith("power: 4 hidden copies of any of these kinds would have been a leak: crop to 70 %")
    assert all(kind in lines[0] for kind in kinds)
    assert lines[1:] == ["power: no number of hidden copies would have been a leak of these: gone (0 of 4)"]
    assert copy_power(folders, 0, 12, seed=0)[1][0].startswith("power: 13 hidden copies"), "12 are tolerated"
    powered, lines = copy_power(folders, 40, 0, seed=0)
    assert not powered, "the holdout has them as well"
    assert "crop to 70 %" in lines[0]


def test_half_that_are_found_take_twice_as_many(folders, monkeypatch):
    monkeypatch.setattr(
        module, "_recalls", lambda folders, seed, track: {"all": (16, 16), "few": (4, 16), "none": (0, 16)}
    )
    _, lines = copy_power(folders, 0, 0, seed=0)
    # Of 21 four are found, eight times in ten.
    assert [line.split(" hidden")[0] for line in lines[:2]] == ["power: 4", "power: 21"]
    assert "few (4 of 16)" in lines[1]
    assert "none (0 of 16)" in lines[2]


def test_silence_takes_power_for_every_kind_that_is_not_said_to_be_hard(folders, monkeypatch):
    def powered(**missed):
        found = dict.fromkeys(CHANGES, (16, 16)) | {kind.replace("_", " ") + " %": (0, 16) for kind in missed}
        monkeypatch.setattr(module, "_recalls", lambda folders, seed, track: found)
        return copy_power(folders, 0, 0, seed=0)[0]

    assert powered()
    assert powered(crop_to_30=True, blend_of_50=True)
    assert not powered(crop_to_50=True)
    assert not powered(crop_to_30=True, blend_of_70=True)
    assert set(CHANGES) > module.HARD


def test_copies_hide_among_what_is_released(folders, monkeypatch):
    """Where each picture is released three times as it is, local features see no fourth; strangers hide nothing."""
    monkeypatch.setattr(module, "CHANGES", {kind: CHANGES[kind] for kind in ("turned by 15°",)})
    private, holdout = textured("private", 30), textured("holdout", 40)
    crowded = open_folders(private, torch.cat([private] * 3), holdout)
    assert copy_power(folders, 0, 0, seed=0)[1][0].endswith(": turned by 15°")
    assert copy_power(crowded, 0, 0, seed=0) == (
        False, ["power: no number of hidden copies would have been a leak of these: turned by 15° (0 of 4)"],
    )  # fmt: skip


def test_of_blank_pictures_nothing_is_found():
    blank = torch.full((30, 3, 96, 96), 250, dtype=torch.uint8)
    assert copy_power(open_folders(blank, blank, textured("holdout", 40)), 0, 0, seed=0) == (False, [])
