"""Audits that look at whole pictures alone, and bars that say how far an audit is."""

import io

import pytest
import torch
from rich.console import Console
from torchvision.transforms.v2.functional import center_crop, resize

from leakbench.benchmarks.audit.copy_verdict import MISSED
from leakbench.benchmarks.audit.folders import open_folders
from leakbench.benchmarks.audit.report import content
from leakbench.benchmarks.audit.verdict import audit
from leakbench.benchmarks.cli.bars import bars
from leakbench.metrics.decision import LEAKS, NOTHING, UNKNOWN
from tests.pictures import textured

COUNT = 60


@pytest.fixture(scope="module")
def pictures():
    """Private ones, others, a holdout, and a release with crops of ten private ones."""
    private, others = textured("private", COUNT), textured("others", COUNT)
    crops = torch.cat([resize(center_crop(private[:10], [58, 58]), [96, 96], antialias=True), others[10:]])
    return private, others, textured("holdout", COUNT), crops


def verdicts(found):
    return {part.question: part.verdict for part in found.parts}


@pytest.mark.slow
def test_parts_are_not_looked_for_and_that_is_said(pictures):
    private, _, holdout, crops = pictures
    assert verdicts(audit(open_folders(private, crops, holdout)))["copies"] == LEAKS
    found = audit(open_folders(private, crops, holdout, details=False))
    assert found.verdict == UNKNOWN, "never silent, because parts would have been missed"
    assert verdicts(found)["membership"] == NOTHING
    (missed,) = (reason for reason in found.reasons if "no number of hidden copies" in reason)
    assert "crop to 50 % (0 of 4)" in missed
    assert "flip" not in missed
    assert any(reason.startswith("quick: no local features were looked at") for reason in content(found)["looked"])
    assert set(content(found)["looked"]) - {f"Not found: {MISSED}"} <= set(found.reasons)


def test_whole_pictures_are_found(pictures):
    private, others, holdout, _ = pictures
    shown = torch.cat([private[:1].flip(3), others[1:]])
    found = audit(open_folders(private, shown, holdout, details=False))
    assert found.verdict == LEAKS
    assert list(found.copies.why) == ["copy, mirrored"]


def test_every_stage_is_watched(pictures):
    private, others, holdout, _ = pictures
    seen = {}

    def track(what, things, total):
        seen[what] = (0, total)
        for thing in things:
            yield thing
            seen[what] = (seen[what][0] + 1, total)

    audit(open_folders(private, others, holdout, details=False, track=track), track=track)
    assert seen == {
        "reading --private": (COUNT, COUNT),
        "reading --released": (COUNT, COUNT),
        "reading --holdout": (COUNT, COUNT),
        "looking for copies": (2, 2),
        "attacking": (5, 5),
        "looking for changed private pictures": (2, 2),
    }


def test_bars_are_drawn_on_a_terminal_alone():
    for terminal in (True, False):
        drawn = io.StringIO()
        with bars(Console(file=drawn, force_terminal=terminal, width=80)) as track:
            assert list(track("reading [b]names[/b]", iter("abc"), 3)) == list("abc")
        assert ("reading [b]names[/b]" in drawn.getvalue()) is terminal
