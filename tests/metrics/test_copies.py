"""What `leakbench audit` calls a copy."""

import pytest
import torch
from torchvision.transforms.v2.functional import pad

from leakbench.metrics.copies import find_copies as find_described
from leakbench.metrics.described import described
from tests.pictures import jpeg, pictures


def find_copies(private, released):
    """Of tensors."""
    return find_described(described(private), described(released))


CHANGES = {
    "exactly": lambda x: x,
    "mirrored": lambda x: x.flip(3),
    "brighter": lambda x: (x.float() * 0.8 + 30).round().to(torch.uint8),
    "moved": lambda x: pad(x, [2, 1, 0, 0], padding_mode="reflect")[:, :, :-1, :-2],
    "mirrored and moved": lambda x: pad(x.flip(3), [0, 0, 2, 2], padding_mode="reflect")[:, :, 2:, 2:],
    "re-encoded": lambda x: torch.stack([jpeg(image, 90) for image in x]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_copies_of_any_kind_are_found_and_nobody_elses(change):
    private, others = pictures("private"), pictures("others")
    released = others.clone()
    released[20:30] = CHANGES[change](private[50:60])
    copies = {copy.private: copy for copy in find_copies(private, released)}
    assert len(copies.keys() & set(range(50, 60))) >= 9
    assert not copies.keys() - set(range(50, 60))
    assert all(copy.released == copy.private - 30 for copy in copies.values())
    assert all(copy.exact == (change in ("exactly", "mirrored")) for copy in copies.values())
    assert all(("mirrored" in copy.why) == ("mirrored" in change) for copy in copies.values())
    assert all(("moved" in copy.why) == ("moved" in change) for copy in copies.values())


TURNS = {
    "turned by 180 degrees": lambda x: x.rot90(2, (2, 3)),
    "upside down": lambda x: x.flip(2),
    "turned left": lambda x: x.rot90(1, (2, 3)),
    "turned right": lambda x: x.rot90(-1, (2, 3)),
    "mirrored and turned left": lambda x: x.flip(3).rot90(1, (2, 3)),
    "mirrored and turned right": lambda x: x.flip(3).rot90(-1, (2, 3)),
    "as a negative": lambda x: 255 - x,
    "red and blue exchanged": lambda x: x[:, [2, 1, 0]],
}


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("change", ["exactly", "brighter", "re-encoded"])
def test_turned_copies_are_found_and_nobody_elses(turn, change):
    private, released = pictures("private"), pictures("others")
    released[20:30] = CHANGES[change](TURNS[turn](private[50:60]))
    copies = {copy.private: copy for copy in find_copies(private, released)}
    assert len(copies.keys() & set(range(50, 60))) >= 9
    assert not copies.keys() - set(range(50, 60))
    assert all(f", {turn}" in copy.why for copy in copies.values())
    assert all(copy.exact == (change == "exactly") for copy in copies.values())


def test_how_far_an_image_was_moved():
    image = pictures("moved", 1)
    padded = pad(image, [3, 4, 0, 0], padding_mode="reflect")[:, :, :16, :16]
    (copy,) = find_copies(image, padded)
    assert "moved by 3, 4 pixels" in copy.why


def test_flat_images_are_nobodys_copies():
    dark, light = (torch.full((2, 3, 16, 16), value, dtype=torch.uint8) for value in (40, 60))
    assert find_copies(dark, light) == []
    assert find_copies(dark, dark + 1) == []
    assert find_copies(dark, dark) == [], "a blank page is in every folder"
