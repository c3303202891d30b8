import numpy as np
import pytest

from leakbench.metrics.measurement import Measurement
from leakbench.metrics.rates import (
    clopper_pearson,
    exchange,
    exchange_firsts,
    mean_over_images,
    mean_over_seeds,
    wilson,
)


def test_wilson_by_hand():
    # 1 of 4 at 95 %: centre (1/4 + z²/8) / (1 + z²/4), z = 1.959964
    assert wilson(1, 4) == pytest.approx((0.25, 0.0456, 0.6994), abs=1e-4)
    assert wilson(4, 4).high == 1.0


def test_clopper_pearson_by_hand():
    # 0 of 10: the upper bound solves (1 - p)^10 = 0.025; 1 of 16 is no proof of more than 1 %, 2 of 16 are.
    assert clopper_pearson(0, 10) == pytest.approx((0, 0, 1 - 0.025**0.1), abs=1e-6)
    assert clopper_pearson(1, 16).low < 0.01 < clopper_pearson(2, 16).low


def test_mean_over_seeds_by_hand():
    # mean 2, s = 1, t(0.975, 2) = 4.302653, half = 4.302653 / sqrt(3)
    assert mean_over_seeds(np.array([1.0, 2.0, 3.0])) == pytest.approx((2, 2 - 2.484138, 2 + 2.484138), abs=1e-5)
    assert mean_over_seeds(np.array([1.0])) == (1.0, None, None)


def test_bootstrap_covers_the_mean_and_is_seeded():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        interval = mean_over_images(rng.normal(size=40), seed=trial)
        hits += interval.low <= 0 <= interval.high
    assert hits >= 200 * 0.95 - 4 * (200 * 0.95 * 0.05) ** 0.5
    values = rng.normal(size=40)
    assert mean_over_images(values, seed=1) == mean_over_images(values, seed=1)
    assert mean_over_images(np.array([3.0])) == (3.0, None, None)
    assert mean_over_images(np.array([3.0, 3.0])) == (3.0, 3.0, 3.0)
    assert mean_over_images(np.array([1.0, 2.0, 3.0])) == mean_over_seeds(np.array([1.0, 2.0, 3.0]))


def test_exchange_by_hand():
    # One guess, two candidates: similarity 1 to the member, 0 to the stranger. The null is +1 or -1, evenly.
    interval = exchange(np.array([[1.0, 0.0]]), np.array([True, False]))
    assert interval == pytest.approx((1.0, 0.0, 2.0))


def test_exchange_finds_a_leak_and_says_nothing_on_noise():
    rng = np.random.default_rng(0)
    noise = rng.random((20, 80))
    is_member = np.arange(80) < 40
    leaky = noise.copy()
    leaky[range(20), range(20)] = 2.0
    assert exchange(leaky, is_member).low > 0
    assert exchange(noise, is_member).low <= 0


def test_a_shared_hub_is_no_leak():
    """All guesses have the same nearest image: an interval over guesses would call that certain."""
    rng = np.random.default_rng(1)
    alarms = 0
    for trial in range(100):
        scores = rng.random((15, 30)) * 0.1
        scores[:, rng.integers(30)] += 1.0
        alarms += exchange(scores, np.arange(30) < 15, seed=trial, permutations=199).low > 0
    assert alarms <= 10  # nominal 2.5 %


def test_exchange_keeps_labels_within_their_stratum():
    # Guess 0 may match columns 0 and 1, guess 1 columns 2 to 3; each stratum has one member, so the null stays finite.
    scores = np.array([[0.9, 0.1, 9.0, 9.0], [9.0, 9.0, 0.8, 0.3]])
    allowed = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=bool)
    interval = exchange(scores, np.array([True, False, True, False]), allowed=allowed)
    assert interval.value == pytest.approx((0.8 + 0.5) / 2)
    assert np.isfinite([interval.low, interval.high]).all()


def test_a_measurement_is_finite_and_ordered():
    good = {"name": "x", "n": 1, "better": "lower"}
    with pytest.raises(ValueError, match="finite"):
        Measurement(value=float("nan"), **good)
    with pytest.raises(ValueError, match="finite"):
        Measurement(value=0.0, low=0.0, high=float("inf"), **good)
    with pytest.raises(ValueError, match="above high"):
        Measurement(value=0.0, low=1.0, high=0.0, **good)


def test_clopper_pearson_of_some_and_of_all():
    """Three of four: 0.194 to 0.994 (Clopper and Pearson's own kind of table); all of 1,000: 0.025 to the 1/1000."""
    found = clopper_pearson(3, 4)
    assert found == pytest.approx((0.75, 0.1941, 0.9937), abs=1e-4)
    assert clopper_pearson(1000, 1000) == pytest.approx((1, 0.025**0.001, 1), abs=1e-9)


ALL = np.zeros(12, dtype=int)


def test_firsts_that_are_right_again_and_again_are_no_chance():
    own = np.arange(12)
    found, p = exchange_firsts(own, np.eye(12, dtype=bool), ALL)
    assert found.value == 1
    assert found.low > 0.5
    assert p == pytest.approx(2 / 1000)
    half, p = exchange_firsts(np.where(own < 6, own, 0), np.eye(12, dtype=bool), ALL)
    assert half.value == 0.5
    assert half.low > 0
    assert p < 0.05


def test_many_images_of_one_source_that_all_rank_one_candidate_first_are_one_event():
    """Of 12 candidates it is the right one by chance once in 12 times: a twelfth, and twice that of both sides."""
    behind = np.zeros((50, 12), dtype=bool)
    behind[:, 3] = True
    found, p = exchange_firsts(np.full(50, 3), behind, ALL, permutations=9999)
    assert found.value == 1
    assert found.low <= 0
    assert p == pytest.approx(2 / 12, abs=0.02)
    assert exchange_firsts(np.full(50, 4), behind, ALL)[0].value == 0
    assert exchange_firsts(np.full(50, 4), behind, ALL)[1] == 1


def test_candidates_are_exchanged_within_their_class_and_ties_are_nobodys():
    """Two classes of one candidate each: nothing can be exchanged, so what is right is so by force."""
    found, p = exchange_firsts(np.array([0, 1]), np.eye(2, dtype=bool), np.array([0, 1]))
    assert (found.value, found.low, p) == (1, 0, 1)
    found, _ = exchange_firsts(np.array([0, -1]), np.eye(2, dtype=bool), np.array([0, 1]))
    assert found.value == 0.5


@pytest.mark.parametrize("level", [0.8, 0.95, 1 - 0.05 / 6])
def test_firsts_reject_exactly_where_p_says_so(level):
    rng = np.random.default_rng(0)
    for seed in range(60):
        behind = np.zeros((8, 30), dtype=bool)
        behind[np.arange(8), rng.integers(0, 30, 8)] = True
        right = behind.argmax(1)
        first = np.where(rng.random(8) < rng.choice([0.05, 0.3]), right, rng.integers(0, 30, 8))
        found, p = exchange_firsts(first, behind, np.arange(30) % 2, seed=seed, level=level)
        assert (found.low > 0) == (p <= 1 - level + 1e-12)


def test_thirty_values_are_resampled_and_fewer_are_not():
    values = np.arange(30.0) ** 2
    assert mean_over_images(values[:29]) == mean_over_seeds(values[:29])
    assert mean_over_images(values) != mean_over_seeds(values)


def test_both_ends_of_an_exchange():
    """One guess and two candidates, a member and another: the difference or its opposite, by half each."""
    interval = exchange(np.array([[0.9, 0.4]]), np.array([True, False]))
    assert interval == pytest.approx((0.5, 0.0, 1.0))
