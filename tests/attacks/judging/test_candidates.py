"""Identification where candidates are equal."""

import torch

from leakbench.attacks.judging.candidates import identification_hits
from leakbench.synth.images import Images


def test_an_exact_tie_is_a_miss():
    """Were it a hit, a data set of equal images would be told apart for certain."""
    equal = Images(torch.full((5, 1, 2, 2), 100, dtype=torch.uint8), torch.zeros(5, dtype=torch.long), ("a",))
    right = equal.take(torch.arange(2))
    guess = right.pixels.float() / 255
    assert identification_hits(guess, right, equal, seed=0) == [0, 0]
    other = Images(torch.full((2, 1, 2, 2), 200, dtype=torch.uint8), right.labels, ("a",))
    assert identification_hits(other.pixels.float() / 255, other, equal, seed=0) == [1, 1], "one that differs is found"
