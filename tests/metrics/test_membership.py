import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from leakbench.metrics.membership import (
    at_chosen_threshold,
    auc,
    auc_excess,
    rate_excess,
    roc,
    tpr_at_fpr,
    true_positives_at_no_false_one,
)

MARKS = np.array([True, True, False, False])


@pytest.mark.parametrize(
    ("scores", "value"), [([4, 3, 2, 1], 1.0), ([1, 2, 3, 4], 0.0), ([4, 1, 3, 2], 0.5), ([2, 1, 1, 0], 0.875)]
)
def test_auc_by_hand(scores, value):
    assert auc(np.array(scores, float), MARKS).value == pytest.approx(value)
    assert auc_excess(np.array(scores, float), MARKS).value == pytest.approx(value - 0.5)


def test_auc_is_scikit_learns():
    rng = np.random.default_rng(0)
    scores, marks = rng.integers(0, 20, 300).astype(float), rng.random(300) < 0.4
    assert auc(scores, marks).value == pytest.approx(roc_auc_score(marks, scores))


@pytest.mark.parametrize("interval", [auc, auc_excess])
def test_intervals_cover(interval):
    """Of 400 samples of two shifted normals, 95 % of the intervals hold the true area, give or take 3 sigma."""
    rng = np.random.default_rng(1)
    marks = np.arange(120) < 60
    shift = {auc: 1.0, auc_excess: 0.0}[interval]
    truth = {auc: 0.7602, auc_excess: 0.0}[interval]  # Phi(1 / sqrt 2)
    held = 0
    for _ in range(400):
        found = interval(rng.normal(size=120) + shift * marks, marks)
        held += found.low <= truth <= found.high
    assert 400 * 0.95 - 3 * (400 * 0.95 * 0.05) ** 0.5 <= held <= 400


def test_perfect_separation_of_four_is_no_proof():
    assert auc_excess(np.array([4.0, 3, 2, 1]), MARKS).low < 0


def test_tpr_by_hand():
    """Of 10 others, one may be above the threshold: it is the second highest, 8; members at 9, 8.5 and 8 of 4 score."""
    outside = np.arange(10.0)
    inside = np.array([9.0, 8.5, 8.0, 1.0])
    scores, marks = np.concatenate([inside, outside]), np.arange(14) < 4
    rates = tpr_at_fpr(scores, marks, 0.1)
    assert rates.true.value == 0.5
    assert rates.false.value == 0.1
    assert tpr_at_fpr(scores, marks, 0.05) is None, "ten others cannot resolve 5 %"


def test_tpr_false_alarms_are_rare():
    """Under chance, the two exact intervals separate in at most 2.5 % of samples."""
    rng = np.random.default_rng(2)
    marks = np.arange(400) < 200
    alarms = 0
    for _ in range(500):
        rates = tpr_at_fpr(rng.normal(size=400), marks, 0.05)
        alarms += rates.true.low > rates.false.high
    assert alarms <= 12


@pytest.mark.parametrize("bad", [np.array([1.0, np.nan, 2, 3]), np.array([1.0, np.inf, 2, 3])])
def test_scores_must_be_finite(bad):
    with pytest.raises(ValueError, match="finite"):
        auc(bad, MARKS)


def test_one_of_a_kind_is_too_few():
    with pytest.raises(ValueError, match="two members"):
        auc(np.arange(3.0), np.array([True, True, False]))


def test_members_first_by_hand():
    """Of 4 members 3 are before the first of 4 others; chance explains 3: 4/8 * 3/7 * 2/6 = 0.071 is above 2.5 %."""
    scores, marks = np.array([9.0, 8, 7, 1, 6, 5, 4, 3]), np.arange(8) < 4
    found = true_positives_at_no_false_one(scores, marks)
    assert found.value == 3
    assert found.low == 0, "4/8 * 3/7 * 2/6 * 1/5 = 0.014: it would have taken all four"
    assert true_positives_at_no_false_one(np.array([9.0, 8, 7, 6.5, 6, 5, 4, 3]), marks).low == 1


def test_a_member_level_with_a_stranger_is_not_before_it():
    marks = np.arange(8) < 4
    assert true_positives_at_no_false_one(np.array([9.0, 6, 6, 1, 6, 5, 4, 3]), marks).value == 1
    assert true_positives_at_no_false_one(np.zeros(8), marks).value == 0


def test_members_first_finds_one_copy_in_a_hundred():
    """Ten of 1,000 members are copied: neither the area nor the rate at 1 % sees them."""
    rng = np.random.default_rng(3)
    scores, marks = rng.normal(size=2000), np.arange(2000) < 1000
    scores[:10] += 20
    assert true_positives_at_no_false_one(scores, marks, level=0.9875).low > 0
    assert auc_excess(scores, marks).low < 0


def test_balanced_accuracy_at_a_threshold_of_the_other_half():
    marks = np.arange(400) < 200
    rates = at_chosen_threshold(np.where(marks, 1.0, 0.0), marks, seed=0)
    assert (rates.true.value, rates.negative.value) == (1, 1)
    rng = np.random.default_rng(4)
    noise = [at_chosen_threshold(rng.normal(size=400), marks, seed=seed) for seed in range(200)]
    assert np.mean([(r.true.value + r.negative.value) / 2 for r in noise]) == pytest.approx(0.5, abs=0.01)


def test_roc_by_hand():
    """Members score 5 and 3, others 4, 2, 1, 0: at no threshold below one false alarm in four is anything printed."""
    marks = np.array([True, True, False, False, False, False])
    assert roc(np.array([5.0, 3, 4, 2, 1, 0]), marks) == [(0.25, 1.0), (0.5, 1.0), (0.75, 1.0), (1.0, 1.0)]
    assert roc(np.array([5.0, 1, 4, 2, 1, 0]), marks)[0] == (0.25, 0.5)


def test_roc_agrees_with_rates_at_a_threshold():
    rng = np.random.default_rng(0)
    scores, marks = rng.normal(size=400), np.arange(400) < 200
    for rate, true in roc(scores, marks):
        if rate < 1:
            assert tpr_at_fpr(scores, marks, rate).true.value == true


GAMES = [(seed, count, strength) for seed in range(6) for count in (8, 150) for strength in (0.0, 0.4, 2.0)]
EXCESSES = {
    "area": auc_excess,
    "rate": lambda scores, marks, level: rate_excess(scores, marks, 0.1, level=level),
    "first": true_positives_at_no_false_one,
}


@pytest.mark.parametrize("name", EXCESSES)
@pytest.mark.parametrize(("seed", "count", "strength"), GAMES)
def test_p_is_where_the_interval_leaves_zero_out(name, seed, count, strength):
    """At levels just below 1 - p the interval is above 0 (or, of areas, below), and just above it is not."""
    rng = np.random.default_rng(seed)
    marks = np.arange(2 * count) < count
    scores = rng.normal(size=2 * count) + strength * marks
    found = EXCESSES[name](scores, marks, level=0.95)
    if found is None or found.p >= 1:
        assert found is None or found.low <= 0
        return

    def decides(level):
        at = EXCESSES[name](scores, marks, level=level)
        return at.low > 0 or at.high < 0

    if found.p > 1e-11:  # no lower p is looked for
        assert not decides(1 - found.p * 0.99)
    assert decides(1 - min(max(found.p, 1e-12) * 1.01, 0.999999))


def test_rates_that_cannot_be_resolved_have_no_excess():
    assert rate_excess(np.arange(14.0), np.arange(14) < 4, 0.05) is None


def test_rate_excess_is_what_lies_between_the_intervals():
    rng = np.random.default_rng(0)
    marks = np.arange(400) < 200
    scores = rng.normal(size=400) + marks
    found, rates = rate_excess(scores, marks, 0.1, level=0.9), tpr_at_fpr(scores, marks, 0.1, level=0.9)
    assert found.value == pytest.approx(rates.true.value - rates.false.value)
    assert (found.low, found.high) == (rates.true.low - rates.false.high, rates.true.high - rates.false.low)


def test_intervals_by_hand():
    """Members 3, 1, 5 against 0, 2, 2, 4: the ranks above are 3/4, 1/4, 1, and 1 - below is 1, 2/3, 2/3, 1/3."""
    scores, marks = np.array([3.0, 1, 5, 0, 2, 2, 4]), np.arange(7) < 3
    spread = (np.var([0.75, 0.25, 1], ddof=1) / 3 + np.var([1, 2 / 3, 2 / 3, 1 / 3], ddof=1) / 4) ** 0.5
    found = auc(scores, marks, level=0.5)
    assert found.value == pytest.approx(2 / 3)
    assert found.value - found.low == pytest.approx(0.67449 * spread, rel=1e-4)
    excess = auc_excess(scores, marks, level=0.5)
    assert excess.value - excess.low == pytest.approx(0.67449 * (8 / (12 * 12)) ** 0.5, rel=1e-4)
    assert excess.high - excess.value == pytest.approx(excess.value - excess.low)


def test_a_threshold_of_one_half_is_tried_on_the_other():
    """Six members at 9, five others at 2: whatever the halves, a threshold between is right of all the rest."""
    scores, marks = np.array([9.0] * 6 + [2.0] * 5), np.arange(11) < 6
    found = at_chosen_threshold(scores, marks, seed=0, level=0.9)
    assert (found.true.value, found.negative.value) == (1, 1)
    assert found.true.low == pytest.approx(0.05 ** (1 / 3)), "three members are left to be tried"
    assert found.negative.low == pytest.approx(0.05 ** (1 / 3)), "and three others"


def test_the_threshold_is_the_one_of_best_balanced_accuracy():
    """Members lie all at 5; of the others most lie above, at 9: nothing is better than a half, or 4 if one is lower."""
    scores = np.array([5.0] * 40 + [9.0] * 4 + [1.0] * 36)
    found = at_chosen_threshold(scores, np.arange(80) < 40, seed=1)
    assert found.true.value == 1
    assert 0.6 < found.negative.value < 1
