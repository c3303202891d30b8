"""Who a guess is compared with, by hand."""

import pytest
import torch

from leakbench.attacks.judging.candidates import (
    assign,
    chance,
    class_means,
    identification_hits,
    of_class,
    other_victims,
    similarities,
    without,
)
from leakbench.metrics.metric import Metric
from leakbench.synth.images import Images


def test_an_exact_tie_is_a_miss():
    """Were it a hit, a data set of equal images would be told apart for certain."""
    equal = Images(torch.full((5, 1, 2, 2), 100, dtype=torch.uint8), torch.zeros(5, dtype=torch.long), ("a",))
    right = equal.take(torch.arange(2))
    guess = right.pixels.float() / 255
    assert identification_hits(guess, right, equal, seed=0) == [0, 0]
    other = Images(torch.full((2, 1, 2, 2), 200, dtype=torch.uint8), right.labels, ("a",))
    assert identification_hits(other.pixels.float() / 255, other, equal, seed=0) == [1, 1], "one that differs is found"


def shades(*values, labels=None):
    pixels = torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    return Images(pixels, torch.tensor([0] * len(values) if labels is None else labels), ("a", "b", "c"))


@pytest.mark.parametrize("seed", range(20))
def test_another_victim_is_of_the_class_and_not_attacked(seed):
    """Attacked are 0 and 1 of class a, and 4, the only one of b: for the latter any that is not attacked stands in."""
    images = shades(1, 2, 3, 4, 5, labels=[0, 0, 0, 2, 1])
    found = other_victims(images, torch.tensor([0, 1, 4]), seed=seed).tolist()
    assert found[:2] == [2, 2]
    assert found[2] in (2, 3)


@pytest.mark.parametrize("seed", range(20))
def test_where_all_are_attacked_another_of_them_stands_in(seed):
    images = shades(1, 2, 3, labels=[0, 1, 2])
    found = other_victims(images, torch.tensor([0, 1, 2]), seed=seed)
    assert (found != torch.tensor([0, 1, 2])).all()
    assert len({tuple(other_victims(images, torch.arange(3), seed=s).tolist()) for s in range(20)}) > 1


def test_random_images_are_of_their_class():
    images = shades(1, 2, 3, 4, labels=[0, 1, 0, 1])
    found = {tuple(of_class(images, torch.tensor([1, 0]), seed=s, purpose="p").tolist()) for s in range(40)}
    assert found == {(1, 0), (1, 2), (3, 0), (3, 2)}
    assert without(images, torch.tensor([0, 2])).pixels.flatten(1)[:, 0].tolist() == [2, 4]


def test_the_mean_of_a_class_is_a_guess_and_gray_of_none():
    means = class_means(shades(100, 200, 51, labels=[0, 0, 1]))
    assert means[:, 0, 0, 0].tolist() == pytest.approx([150 / 255, 0.2, 0.5])


def test_a_right_image_is_told_from_those_that_are_farther():
    """Of 0, 100 and 255 the guess 90 / 255 shows 100, not 0; the rounding of 0.999 is 255."""
    right, others = shades(100, 255), shades(0, 254)
    guess = torch.tensor([90 / 255, 0.9995]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    assert identification_hits(guess, right, others, seed=0) == [1, 1]
    assert identification_hits(guess, others, right, seed=0) == [0, 0]
    among = shades(100, 0, 255, 254)
    assert identification_hits(guess, right, among, seed=0, own=torch.tensor([0, 2])) == [1, 1]
    assert identification_hits(guess, right, among, seed=0) == [0, 0], "its own double is a tie"


def test_chance_by_hand():
    """One image a client: one over the candidates, 1/3 and 1/2. Nobody to be mistaken for: certain."""
    others = shades(1, 2, 3, labels=[0, 0, 1])
    pixels, clients = torch.zeros(2, 1, 2, 2), torch.tensor([0, 1])
    assert chance(pixels, clients, torch.tensor([0, 1]), others, seed=0) == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert chance(pixels, clients, torch.tensor([2, 1]), others, seed=0) == pytest.approx((1 + 1 / 2) / 2)
    assert chance(pixels, torch.tensor([0, 0]), torch.tensor([2, 2]), others, seed=0) == 1
    mixed = chance(torch.zeros(3, 1, 2, 2), torch.tensor([0, 0, 1]), torch.tensor([2, 0, 0]), others, seed=0)
    assert mixed == pytest.approx(1 / 3 + 2 / 3 / 3), "a third for certain, and 1/3 of the rest"


NEAR = Metric(name="near", function=lambda x, y: -(x - y).abs().flatten(1).mean(1), variant=lambda: "")


def test_similarities_are_to_those_of_the_class():
    """The guess, 0.5 of class b, is 0.1 from 153 / 255 and 0.3 from 51 / 255; the first candidate is of class a."""
    pool = shades(128, 153, 51, labels=[0, 1, 1])
    scores, allowed = similarities(torch.full((1, 1, 2, 2), 0.5), torch.tensor([1]), pool, NEAR)
    assert allowed.tolist() == [[False, True, True]]
    assert scores[0].tolist() == pytest.approx([0, -0.1, -0.3], abs=1e-6)


def test_a_clients_guesses_are_paired_for_the_least_error_and_others_left_alone():
    """Client 0 has its two the wrong way round, client 1 one, client 2 three of which two are exchanged."""
    targets = torch.tensor([0.1, 0.9, 0.5, 0.2, 0.4, 0.6]).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    guesses = torch.tensor([0.8, 0.0, 0.9, 0.25, 0.65, 0.45]).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    order = assign(guesses, targets, torch.tensor([0, 0, 1, 2, 2, 2]))
    assert order.tolist() == [1, 0, 2, 3, 5, 4]


def test_squares_count_and_not_sums():
    """0.5 stands for 0.9 and 0.45 for 0.4: 0.16 + 0.0025, and the other way round 0.2025 + 0.01."""
    targets = torch.tensor([0.4, 0.9, 0.0]).view(-1, 1, 1, 1).expand(-1, 1, 1, 1)
    guesses = torch.tensor([0.5, 0.0, 0.45]).view(-1, 1, 1, 1).expand(-1, 1, 1, 1)
    assert assign(guesses, targets, torch.tensor([0, 0, 0])).tolist() == [2, 0, 1]


def test_pairing_raises_the_chance_of_an_identification():
    """Gray guesses know nothing; with one image a client their chance is 1 / candidates, with four it is more."""
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (200, 3, 4, 4), dtype=torch.uint8, generator=rng)
    others = Images(pixels, torch.zeros(200, dtype=torch.long), ("a", "b"))
    guesses, labels = torch.rand((8, 3, 4, 4), generator=rng), torch.zeros(8, dtype=torch.long)
    alone = chance(guesses, torch.arange(8), labels, others, seed=0)
    assert alone == pytest.approx(1 / 100)
    together = chance(guesses, torch.tensor([0] * 4 + [1] * 4), labels, others, seed=0)
    assert alone < together < 0.2
