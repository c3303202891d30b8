"""Copies of private images against copies of images that were not used."""

import numpy as np
import pytest
import torch

from leakbench.benchmarks.audit import copy_verdict
from leakbench.benchmarks.audit.copy_verdict import featureless, holdout_released, judge_copies, like_private
from leakbench.benchmarks.audit.folders import open_folders
from leakbench.benchmarks.audit.verdict import audit
from leakbench.metrics.copies import Copy
from leakbench.metrics.decision import LEAKS, NOTHING, UNKNOWN
from tests.benchmarks.audit.test_audit import shaken
from tests.metrics.test_fixed_pattern import by_one_camera
from tests.pictures import pictures, textured


def judged(ours, theirs, size, holdout, exact=False):
    """The word for so many copies among so many private images, and so many among the holdout."""
    copies, others = ([Copy(i, 0, exact, "", 1.0) for i in range(count)] for count in (ours, theirs))
    return judge_copies(copies, others, 0, size, holdout, 0)[0]


@pytest.mark.parametrize(("size", "holdout"), [(60, 60), (300, 300), (2000, 40), (100, 1000)])
@pytest.mark.parametrize("rate", [0.002, 0.02, 0.2])
def test_near_copies_by_chance_raise_few_alarms(size, holdout, rate):
    """Private images and others have as many copies: 5 % of 2,000 audits at most say that they leak, and 3 sigma."""
    rng = np.random.default_rng(0)
    found = zip(rng.binomial(size, rate, 2000), rng.binomial(holdout, rate, 2000), strict=True)
    alarms = sum(judged(ours, theirs, size, holdout) == LEAKS for ours, theirs in found)
    assert alarms <= 0.05 * 2000 + 3 * (2000 * 0.05 * 0.95) ** 0.5


def test_few_copies_by_hand():
    assert judged(5, 0, 10_000, 40) == UNKNOWN, "a coin that falls on heads in 996 of 1,000 tosses"
    assert judged(5, 0, 60, 60) == LEAKS, "1 / 32"
    assert judged(4, 0, 60, 60) == UNKNOWN, "1 / 16"
    assert judged(1, 5, 60, 60, exact=True) == LEAKS


@pytest.mark.slow
def test_near_copies_that_strangers_have_as_well_are_no_leak():
    """Photographs of the same thing: the release shows it, and so do private images and the holdout alike."""
    twins = pictures("twins", 4)
    private, released, holdout = (
        torch.cat([shaken(twins[:count], k), pictures(name, 60 - count)])
        for k, (name, count) in enumerate((("p", 4), ("r", 4), ("h", 3)))
    )
    found = audit(open_folders(private, released, holdout))
    assert found.reasons[0].startswith("4 of 60 private images have a copy in the release (0 exact); 3 of 60")
    assert found.verdict == UNKNOWN
    assert "3 of these look like private images" in found.reasons[0]
    other = torch.cat([shaken(pictures("s", 3), 4), pictures("h", 57)])
    shown = torch.cat([released[:4], shaken(pictures("s", 3), 5), pictures("r", 53)])
    found = audit(open_folders(private, shown, other))
    assert "so many more may be chance (p = 0.50)" in found.reasons[0], "the holdout's are nobody's of ours"
    assert found.verdict == UNKNOWN
    found = audit(open_folders(private, released, pictures("x", 60)))
    assert found.verdict == UNKNOWN
    assert "so many more may be chance (p = 0.06)" in found.reasons[0], "four heads in four tosses of a coin"
    exact = torch.cat([private[:1], released[1:]])
    assert audit(open_folders(private, exact, holdout)).verdict == LEAKS, "an exact copy has no excuse"


@pytest.mark.parametrize("count", [1, 4, 10])
def test_re_encoded_private_images_in_the_holdout_excuse_nothing(count):
    """The release and the holdout both have near copies of the same private images."""
    private = pictures("p", 60)
    released, holdout = (
        torch.cat([shaken(private[:count], k), pictures(name, 60 - count)]) for k, name in enumerate("rh")
    )
    found = audit(open_folders(private, released, holdout))
    assert (
        f"{count} of 60 of the holdout, which was not used, do; {count} of these look like private images"
        in found.reasons[0]
    )
    assert found.verdict == UNKNOWN


def test_tolerated_copies_and_none():
    assert judged(0, 0, 60, 60) == NOTHING
    assert judged(0, 9, 60, 60) == NOTHING


def test_a_holdout_that_was_used_as_well_excuses_nothing():
    """Everything came back, as JPEG files or moved: who was not used cannot be told."""
    assert judged(60, 60, 60, 60) == UNKNOWN
    assert judged(3, 5, 60, 60) == UNKNOWN


@pytest.mark.parametrize(
    ("ours", "theirs", "exact", "said"),
    [(0, 0, False, False), (0, 5, False, True), (5, 5, False, False), (5, 1, True, True)],
)
def test_a_holdout_that_was_released_is_none(ours, theirs, exact, said):
    """More of it than of the private images (of 5 to 0 the chance is 1 / 32), or any of it as it is."""
    copies, others = (
        [Copy(i, 0, False, "", 1.0) for i in range(ours)],
        [Copy(i, 0, exact, "", 1.0) for i in range(theirs)],
    )
    assert holdout_released(copies, others, 60, 60).startswith("the holdout was released") is said


def test_a_release_of_the_holdout_itself_cannot_be_judged():
    private, holdout = pictures("p", 60), pictures("h", 60)
    found = audit(open_folders(private, holdout, holdout))
    assert found.verdict == UNKNOWN
    assert "60 of its 60 images have a copy in the release (60 exact)" in " ".join(found.reasons)


def test_what_was_not_looked_for_is_said_with_and_without_a_holdout():
    """Smooth pictures have no local features; what a camera leaves in all of them proves nothing."""
    smooth, others, holdout = (pictures(name, 60) for name in ("p", "r", "h"))
    for folders in (open_folders(smooth, others, holdout), open_folders(smooth, others)):
        said = audit(folders).reasons
        (few,) = (reason for reason in said if reason.endswith("too few local features for parts of them to be found"))
        assert 50 <= int(few.split()[0]) <= 60
        assert not any("count for nothing" in reason for reason in said)
    private, released = (by_one_camera(textured(name)) for name in ("private", "others"))
    (said,) = featureless(open_folders(private, released))
    share = float(said.split(" %")[0])
    assert 1 < share < 50
    assert "lie at the same place in many of them (dead pixels, logos, frames) and count for nothing" in said


def test_a_logo_on_holdout_and_private_pictures_makes_neither_doubtful():
    """The pattern is the folder's, also of the few pictures of it that are looked at."""
    private, holdout = (by_one_camera(textured(name, count)) for name, count in (("private", 20), ("holdout", 45)))
    folders = open_folders(private, by_one_camera(textured("others")), holdout)
    assert like_private([Copy(i, 0, False, "", 0.9) for i in (3, 8)], folders) == 0


def test_where_not_all_released_features_are_compared_it_is_said(monkeypatch):
    folders = open_folders(textured("private", 3), textured("released", 4))
    among = len(folders.released.described.points.looks)
    for most, said in ((among, []), (among - 1, [f"the released images have {among:,} local features: those"])):
        monkeypatch.setattr(copy_verdict, "FLAT", most)
        assert [line.partition(" of private")[0] for line in featureless(folders)] == said
