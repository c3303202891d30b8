"""The last guard: it finds members however they are turned, and nobody else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leakbench.synth import guard
from leakbench.synth.defense import Claim, Defense, PrivateTrainer, Synthesizer
from leakbench.synth.images import Images
from leakbench.synth.registry import defenses


def images(pixels):
    return Images(pixels, torch.zeros(len(pixels), dtype=torch.long), ("a",))


def drawn(count, seed, channels=3, size=(8, 8)):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, *size), generator=rng, dtype=torch.uint8)


@given(st.integers(0, 10**6), st.integers(0, 31), st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_a_member_is_found_however_it_is_turned(seed, way, where):
    members, others = drawn(6, seed), drawn(5, seed + 1)
    ways = list(guard.every_way(members[2:3]))
    assert len(ways) == 8 * 2 * 2
    others[where] = ways[way][0]
    assert guard.Guard(images(members)).private_among(others).tolist() == [where]


def test_every_way_is_another():
    ways = torch.cat(list(guard.every_way(drawn(1, 0))))
    assert len(ways.flatten(1).unique(dim=0)) == len(ways)


def test_a_picture_that_is_not_square_is_found_too():
    members = drawn(3, 0, size=(8, 6))
    assert guard.Guard(images(members)).private_among(members.flip(2)).tolist() == [0, 1, 2]


def test_one_other_value_is_another_image():
    members = drawn(3, 0)
    near = members.clone()
    near[:, 0, 0, 0] ^= 1
    assert not len(guard.Guard(images(members)).private_among(near))


def test_gray_members_are_found_in_color():
    members = drawn(3, 0, channels=1)
    assert len(guard.Guard(images(members)).private_among(members.repeat(1, 3, 1, 1))) == 3


def test_what_public_images_show_is_nobodys_and_so_is_one_color():
    members = drawn(3, 0)
    members[1] = 255
    assert guard.Guard(images(members)).private_among(members).tolist() == [0, 2]
    assert guard.Guard(images(members), images(members[:1].flip(3))).private_among(members).tolist() == [2]


def test_who_changes_the_members_afterwards_hides_nothing():
    members = drawn(3, 0)
    known, copies = guard.Guard(images(members)), members.clone()
    members ^= 1
    assert len(known.private_among(copies)) == 3


def test_refusing_says_how_many():
    with pytest.raises(guard.PrivateImagesReleased, match=r"2 of 3 released images are private ones, .*nothing was"):
        guard.Guard(images(drawn(2, 0))).check(images(drawn(3, 0)))
    guard.Guard(images(drawn(3, 1))).check(images(drawn(3, 0)))


def test_a_claim_is_a_property():
    for wrong in ({"release_claim": lambda self: None}, {"__annotations__": {"release_claim": Claim}}):
        with pytest.raises(ValueError, match=r"Odd\.release_claim must be a property that returns a Claim"):
            defenses.register("odd")(type("Odd", (Synthesizer,), wrong))


@pytest.mark.parametrize(
    ("bases", "method", "message"),
    [
        ((Defense,), "release", "has `release`: subclass leakbench.Synthesizer"),
        ((Synthesizer,), "train", "has `train`: subclass leakbench.PrivateTrainer"),
        ((PrivateTrainer,), "share", "has `share`: subclass leakbench.GradientFilter"),
        ((Defense,), "nothing", "has no role: subclass Synthesizer"),
    ],
)
def test_what_a_class_does_is_said_by_its_roles(bases, method, message):
    with pytest.raises(ValueError, match=message):
        defenses.register("odd")(type("Odd", bases, {method: lambda self: None}))
    assert "odd" not in defenses
