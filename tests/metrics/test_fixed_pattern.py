"""What one camera leaves in all its pictures proves nothing; the same picture many times is no pattern."""

import numpy as np
import torch

from leakbench.metrics.copies import find_copies
from leakbench.metrics.described import described
from leakbench.metrics.fixed_pattern import marked
from leakbench.metrics.local_features import Features, gathered
from tests.metrics.test_local_features import cut
from tests.pictures import textured


def by_one_camera(pictures):
    """With the same logo in a corner of all of them."""
    logo = textured("logo", 1)[:, :, :28, :56]
    taken = pictures.clone()
    taken[:, :, -30:-2, -58:-2] = logo
    return taken


def test_a_logo_is_in_all_pictures_and_makes_none_a_copy():
    private, others = (described(by_one_camera(textured(name))) for name in ("private", "others"))
    assert others.shown.copies(private.points), "logos agree, which is what this is about"
    assert find_copies(private, others) == []


def test_copies_by_that_camera_are_found():
    private = by_one_camera(textured("private"))
    released = torch.cat([by_one_camera(textured("others")), cut(private, 0.7)])
    found = {copy.private: copy.released for copy in find_copies(described(private), described(released))}
    assert len(found) >= 18
    assert all(theirs == 20 + ours for ours, theirs in found.items())


def test_the_same_picture_in_many_versions_is_no_pattern():
    """Three of each, as folders have them that were augmented: what they share is what gives them away."""
    four = textured("private", 4)
    private = described(torch.cat([four, four // 2 + 64, four // 4 * 4]))
    assert private.points.fixed.mean() <= 0.05
    found = find_copies(private, described(cut(four, 0.7)))
    assert {copy.private % 4 for copy in found} == {0, 1, 2, 3}


def test_a_part_of_a_folder_knows_the_pattern_of_all_of_it():
    """Two pictures have no pattern of their own; what the folder has is none of what they are recognised by."""
    private, others = (described(by_one_camera(textured(name))) for name in ("private", "others"))
    two = private.take(torch.tensor([7, 3]))
    assert two.points.fixed.any()
    assert two.points.ends.tolist()[-1] == len(two.points.places) == len(two.points.fixed)
    assert find_copies(two, others) == []
    found = find_copies(two, described(cut(by_one_camera(textured("private")), 0.7)))
    assert {(copy.private, copy.released) for copy in found} == {(0, 7), (1, 3)}
    assert len(private.points.take([]).places) == 0


def made(places, frame=(512, 512)):
    places = np.array(places, np.float32).reshape(-1, 4)
    return Features(places, np.arange(len(places), dtype=np.uint8)[:, None].repeat(128, 1), frame)


def test_what_lies_where_others_have_it_goes_and_all_else_stays_with_its_picture():
    rng = np.random.default_rng(0)
    shared = [100.0, 200.0, 3.0, 45.0]
    own = rng.uniform(0, [512, 512, 8, 360], (3, 4, 4)).tolist()
    pictures = gathered(
        [made([*own[0][:2], shared, *own[0][2:]]), made([]), made([shared, *own[1]]), made([*own[2], shared])]
    )
    kept = marked(pictures).distinctive
    assert kept.ends.tolist() == [0, 4, 4, 8, 12]
    assert kept.places.tolist() == np.array(own, np.float32).reshape(-1, 4).tolist()
    assert kept.looks[:, 0].tolist() == [0, 1, 3, 4, 1, 2, 3, 4, 0, 1, 2, 3]
    assert kept.frames.tolist() == pictures.frames.tolist()


def test_two_pictures_have_no_pattern_and_another_direction_is_another_feature():
    places = [[100.0, 200.0, 3.0, 45.0], [300.0, 20.0, 3.0, 0.0], [10.0, 400.0, 3.0, 0.0], [60.0, 70.0, 3.0, 200.0]]
    two = gathered([made(places)] * 2)
    assert len(marked(two).distinctive.places) == 8
    turned = gathered([made([[100.0, 200.0, 3.0, angle]]) for angle in (0.0, 120.0, 240.0)])
    assert len(marked(turned).distinctive.places) == 3
    nothing = gathered([])
    assert marked(nothing) is nothing


def test_a_border_between_cells_divides_no_pattern():
    rng = np.random.default_rng(1)
    jittered = [[[100.0 + 0.2 * side, 200.0, 3.0, 45.0]] for side in (-1, 1, -1, 1)]
    own = rng.uniform(0, [512, 512, 8, 360], (4, 5, 4)).tolist()
    pictures = gathered([made([*j, *o]) for j, o in zip(jittered, own, strict=True)])
    kept = marked(pictures).distinctive
    assert np.diff(kept.ends).tolist() == [5, 5, 5, 5]
    shared = gathered([made(j) for j in jittered])
    assert len(marked(shared).distinctive.places) == 4, "pictures with nothing else are the same picture"
