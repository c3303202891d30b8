import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from metrics.membership import auc, auc_excess, tpr_at_fpr

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
