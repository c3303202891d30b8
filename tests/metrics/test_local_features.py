"""Pictures and parts of them, found by local features whatever was done."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import affine, crop, resize

from leakbench.metrics import local_features, shown
from leakbench.metrics.described import described
from leakbench.metrics.local_features import SCALE, Features, gathered
from leakbench.metrics.shown import AGREE, NEIGHBOURS, Shown, _alike, _mirrored
from tests.metrics.test_copies import find_copies
from tests.pictures import textured

COUNT, SIDE = 20, 96


def matches(private, released):
    return described(released).shown.copies(described(private).points)


def cut(images, share):
    side = round(SIDE * share)
    return resize(crop(images, 7, 11, side, side), [SIDE, SIDE], antialias=True)


def stamped(images):
    changed = images.clone()
    changed[:, :, -20:-4, 4:60] = 255
    return changed


CHANGES = {
    "crop of 70 %": lambda x: cut(x, 0.7),
    "crop of 50 %": lambda x: cut(x, 0.5),
    "3 degrees": lambda x: affine(x, 3, [0, 0], 1.0, [0.0, 0.0]),
    "15 degrees": lambda x: affine(x, 15, [0, 0], 1.0, [0.0, 0.0]),
    "gray": lambda x: x.float().mean(1, keepdim=True).expand_as(x).byte(),
    "stamp": stamped,
    "squeezed": lambda x: resize(resize(x, [SIDE, SIDE * 3 // 4]), [SIDE, SIDE]),
    "mirrored and cropped": lambda x: cut(x.flip(3), 0.7),
    "rolled": lambda x: x.roll((19, 17), (2, 3)),
    "half of a collage": lambda x: torch.cat(
        [resize(x, [SIDE // 2, SIDE]), resize(textured("o"), [SIDE // 2, SIDE])], 2
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_was_done(change):
    private = textured("private")
    released = torch.cat([textured("others"), CHANGES[change](private)])
    found = {copy.private: copy for copy in find_copies(private, released)}
    assert len(found) >= 0.9 * COUNT
    assert all(copy.released == COUNT + copy.private for copy in found.values())


def test_unrelated_pictures_are_no_copies():
    assert find_copies(textured("private", 30), textured("others", 30)) == []


def test_what_was_done_is_said():
    private = textured("private")
    (match,) = matches(private[3:4], affine(private, 15, [0, 0], 1.0, [0.0, 0.0])[3:4])
    assert (match.ours, match.theirs, match.mirrored) == (0, 0, False)
    assert abs(match.angle) == pytest.approx(15, abs=1)
    assert match.scale == pytest.approx(1, abs=0.05)
    (match,) = matches(private[:1], cut(private[:1], 0.7))
    assert match.scale == pytest.approx(1 / 0.7, abs=0.05)
    (copy,) = find_copies(private[:1], cut(private[:1].flip(3), 0.7))
    assert copy.why.startswith("the same picture or a part of it, mirrored, scaled by 1.4")
    assert not copy.exact


def test_features_in_the_mirror_are_those_of_the_mirrored_picture():
    """By the layout of descriptors: the nearest to most of them is in its place, and all but the same."""
    image = textured("private")[:1]
    here, there = described(image).points, described(image.flip(3)).points
    looks = torch.cdist(
        *(torch.from_numpy(looks).float() / SCALE for looks in (_mirrored(here.looks), there.looks))
    ).min(1)
    where = torch.from_numpy(there.places[:, :2])[looks.indices]
    expected = torch.from_numpy(here.places[:, :2]) * torch.tensor([-1, 1]) + torch.tensor([local_features.SIDE - 1, 0])
    assert ((where - expected).norm(dim=1) < 3).double().mean() > 0.7
    assert looks.values.median() < 0.3


def test_matches_are_turned_and_scaled_as_the_map_does():
    """By 90 degrees and to twice the size: as they are, turned by 30 more, larger by 1.7, smaller by 1.5."""
    map_ = np.array([[0.0, -2.0, 5.0], [2.0, 0.0, 7.0]])
    ours = np.array([[3.0, 4.0, 10.0, 20.0]] * 4, np.float32)
    theirs = np.array(
        [[0, 0, size, turned] for size, turned in ((20, 110), (20, 140), (34, 110), (13, 460))], np.float32
    )
    assert _alike(map_, ours, theirs).tolist() == [True, False, False, True]


FRAME = (512, 384)


def points_of(*pictures):
    """Pictures of which nothing is known but where their features lie (F, 4)."""
    return gathered([Features(places, np.zeros((len(places), 128), np.uint8), FRAME) for places in pictures])


def anywhere(rng, count):
    return rng.uniform([0, 0, 2, 0], [*FRAME, 8, 360], (count, 4)).astype(np.float32)


def test_places_that_agree_prove_nothing_where_directions_do_not():
    """Of small folders chance matches lie on some map, as 12 of 100 did of blood smears, turned anyhow."""
    rng = np.random.default_rng(0)
    ours = anywhere(rng, 30)
    moved = ours + np.float32([20, 10, 0, 0])
    anyhow = moved.copy()
    anyhow[:, 3] = rng.uniform(0, 360, 30)
    pairs = np.stack([np.arange(30)] * 2, 1)
    assert Shown(points_of(moved))._verified(points_of(ours), 0, 0, pairs, mirrored=False).agree == 30
    assert Shown(points_of(anyhow))._verified(points_of(ours), 0, 0, pairs, mirrored=False) is None


@pytest.mark.parametrize("true", [0, 14])
def test_a_small_part_is_found_among_many_chance_matches(true):
    """14 of 314: three that are right are drawn once in 11,000 times, unless matches that are turned alike go first."""
    rng = np.random.default_rng(0)
    ours, theirs = anywhere(rng, 300 + true), anywhere(rng, 300 + true)
    theirs[300:] = ours[300:] * np.float32([0.5, 0.5, 0.5, 1]) + np.float32([90, 40, 0, 0])
    pairs = np.stack([np.arange(300 + true)] * 2, 1)
    match = Shown(points_of(theirs))._verified(points_of(ours), 0, 0, pairs, mirrored=False)
    assert (match is None) == (true == 0)
    assert match is None or (match.agree == true and match.scale == pytest.approx(0.5, abs=0.02))


def test_a_feature_has_one_vote_a_picture_by_what_is_nearest_there():
    rng = np.random.default_rng(0)
    released = Shown(points_of(anywhere(rng, 20), anywhere(rng, 20)))
    near = np.stack([np.arange(20), (np.arange(20) + 5) % 20, np.arange(20, 40)], 1)
    votes = dict(released._voted(near))
    assert sorted(votes) == [0, 1]
    for picture in (0, 1):
        assert votes[picture].tolist() == [[i, i] for i in range(20)]
    assert released._voted(near[: AGREE - 1]) == []
    assert near.shape[1] == NEIGHBOURS


def test_a_part_is_found_in_a_release_of_one_picture():
    """All features have their neighbours there, and chance matches are many: they must not count against the others."""
    private = textured("private")
    found = [find_copies(private, cut(private[i : i + 1], 0.5)) for i in range(8)]
    assert [[copy.private for copy in copies] for copies in found] == [[i] for i in range(8)]
    assert not any(find_copies(private, other[None]) for other in textured("others", 8))


def test_parts_of_dim_pictures_are_found():
    """A fifth of the contrast: at a threshold of 0.02 too few of their features are left."""
    private = (textured("private").float() / 5 + 100).round().byte()
    found = find_copies(private, torch.cat([textured("others"), cut(private, 0.7)]))
    assert sum(copy.released == COUNT + copy.private for copy in found) >= 0.9 * COUNT


@pytest.mark.parametrize("most", [10**9, 500])
def test_hidden_pictures_are_looked_for_in_all_that_is_released(monkeypatch, most):
    """As if they were released themselves: among all, or in the cells of what is; where others take all places, not."""
    monkeypatch.setattr(shown, "FLAT", most)
    private, parts, others = textured("private"), cut(textured("private"), 0.7), textured("others")
    ours, hidden = described(private), described(parts)
    found = Shown(described(others).points).hiding(hidden.points).copies(ours.points)
    assert sum(match.ours == match.theirs for match in found) >= 0.9 * COUNT
    if most > 500:
        released = described(torch.cat([others, parts]))
        assert [replace(match, theirs=match.theirs + COUNT) for match in found] == released.shown.copies(ours.points)
    crowd = described(torch.cat([private] * NEIGHBOURS))
    assert len(crowd.shown.copies(ours.points)) == COUNT
    assert crowd.shown.hiding(hidden.points).copies(ours.points) == []
    assert len(crowd.shown.copies(ours.points)) == COUNT, "what was hidden is not left there"


def test_features_of_some_pictures_leave_the_others_without():
    points = described(textured("private", 4)).points
    some = points.of([2, 0])
    assert np.diff(some.ends).tolist() == [few if i in (0, 2) else 0 for i, few in enumerate(np.diff(points.ends))]
    assert np.array_equal(some.looks, points.take([0, 2]).looks)
    assert len(some.frames) == 4


def test_many_are_looked_for_in_cells(monkeypatch):
    made, factory = [], shown.faiss.index_factory
    monkeypatch.setattr(shown.faiss, "index_factory", lambda *what: made.append(what) or factory(*what))
    private = described(textured("private"))
    released = described(torch.cat([textured("others"), cut(textured("private"), 0.7)]))
    for most, indices in ((len(released.points.looks), 0), (500, 1)):
        monkeypatch.setattr(shown, "FLAT", most)
        assert len(Shown(released.points).copies(private.points)) >= 0.9 * COUNT
        assert len(made) == indices


def test_cells_find_the_nearest_that_comparing_all_finds(monkeypatch):
    """Of features that nobody shares, too: what cells hold must be the features, which copies alone do not show."""
    released, strangers = (described(textured(name, 60)).points.looks for name in ("released", "strangers"))
    everything = shown._neighbours(released).nearest(strangers)
    monkeypatch.setattr(shown, "FLAT", 500)
    half = len(released) // 2
    for cells in (shown._neighbours(released), shown._neighbours(released[:half]).beside(released[half:])):
        same = [len(set(some) & set(true)) for some, true in zip(cells.nearest(strangers), everything, strict=True)]
        assert sum(same) > 0.97 * NEIGHBOURS * len(strangers)


@pytest.mark.parametrize("side", [16, 96])
def test_flat_pictures_and_none_have_no_features(side):
    flat = torch.full((3, 3, side, side), 90, dtype=torch.uint8)
    assert matches(flat, flat) == []
    assert matches(flat, flat[:0]) == []
    assert matches(flat[:0], textured("private")) == []


def test_a_blank_picture_is_nobodys_copy():
    """Black frames and white pages are in every folder; one with a mark on it is a copy."""
    blank = torch.full((2, 3, 32, 32), 255, dtype=torch.uint8)
    blank[1, :, 5:20, 9:12] = 0
    assert [copy.private for copy in find_copies(blank, blank)] == [1]
    faint = (textured("private", 2) // 16 + 100)[:, :, :32, :32]
    assert len(find_copies(faint, faint)) == 2, "what is there is there, however faint"
