"""Figures of likeness by hand: best images, labels of clients, bits, and identification against its chance."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.judging import likeness
from leakbench.metrics.metric import image_metrics
from leakbench.synth.images import Images


def flat(*values):
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 16, 16).contiguous()


def test_the_best_image_and_the_best_of_the_control():
    metric = image_metrics()["ssim"]
    scores = [np.array(values) for values in ([0.2, 0.9, 0.4], [0.1, 0.3, 0.5], [0.0, 0.1, 0.2])]
    found = {m.name: m for m in likeness._compared("trained", metric, scores, torch.arange(3), 0)}
    assert found["trained.ssim.best"].value == 0.9
    assert found["trained.ssim.best-control"].value == 0.5
    assert found["trained.ssim.excess"].value == pytest.approx(np.mean([0.1, 0.6, -0.1]))
    assert found["trained.ssim.excess"].better == "lower"
    assert found["trained.ssim.attack"].better == metric.better


def test_errors_are_better_for_the_owner_where_they_are_high():
    found = likeness.means("x", *np.ones((3, 2)), 0, likeness.DISTANCE)
    assert {m.name: m.better for m in found} == dict.fromkeys(
        ("x.attack", "x.control", "x.baseline"), likeness.DISTANCE.better
    ) | {"x.excess": "lower"}


def test_labels_count_as_often_as_a_client_has_them():
    """Three clients: labels 4 1 | 0 0 | 2 4 guessed as 1 4 | 0 3 | 4 4: two, one and one of six."""
    victims = Images(flat(*range(6)), torch.tensor([4, 1, 0, 0, 2, 4]), ("a", "b", "c", "d", "e"))
    clients = torch.tensor([0, 0, 1, 1, 2, 2])
    guess = Reconstructions(victims.float(), torch.tensor([1, 4, 0, 3, 4, 4]), clients)
    found = likeness.label_accuracy(guess, victims)
    assert (found.value, found.n) == (pytest.approx(4 / 6), 6)


def test_bits_by_hand():
    """0 read as 255 has all bits wrong, 3 read as 1 one of eight, and 7 read as 7 none."""
    victims = Images(flat(0, 3, 7), torch.zeros(3, dtype=torch.long), ("a",))
    guess = Reconstructions(flat(255, 1, 7).float() / 255, victims.labels, torch.arange(3))
    found = likeness.bit_errors(guess, victims)
    assert found.value == pytest.approx((1 + 1 / 8 + 0) / 3)
    assert 0 <= found.low < found.value < found.high <= 1
    assert (found.better, found.n) == ("higher", 3)
    exact = likeness.bit_errors(Reconstructions(victims.pixels.float() / 255, victims.labels, torch.arange(3)), victims)
    assert (exact.value, exact.low) == (0, 0)


def test_identification_is_judged_against_its_chance():
    found = {m.name: m for m in likeness._identification("i", np.array([1.0, 0, 1, 1]), np.zeros(4), 0.25, 0.9)}
    assert found["i.attack"].value == 0.75
    assert found["i.control"].value == found["i.control"].low == 0.25
    assert found["i.baseline"].value == 0
    assert found["i.excess"].value == pytest.approx(0.5)
    deciding = likeness._rate(np.array([1.0, 0, 1, 1]), 0.9)
    assert found["i.excess"].low == pytest.approx(deciding.low - 0.25)
    assert found["i.excess"].high == pytest.approx(deciding.high - 0.25)
    assert found["i.excess"].level == 0.9


def test_the_probability_of_as_many_identifications_by_chance():
    """Three hits of ten against a chance of one in 46: twice the binomial tail, as two-sided as its interval."""
    hits = np.array([1.0] * 3 + [0.0] * 7)
    excess = likeness._identification("x", hits, np.zeros(10), 1 / 46, 0.95)[-1]
    assert excess.p == pytest.approx(2 * binomtest(3, 10, 1 / 46, alternative="greater").pvalue)
    assert excess.low > 0
    nobody = likeness._identification("x", np.zeros(10), np.zeros(10), 1 / 46, 0.95)[-1]
    assert nobody.p == 1
    stood_in = likeness._identification("x", hits, np.zeros(10), 1 / 46, None)[-1]
    assert (stood_in.low, stood_in.high, stood_in.p) == (None, None, None)
