import numpy as np
import pytest
import torch
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from leakbench.metrics.features import frechet_distance, kernel_distance, precision_recall


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 8)), rng.normal(size=(50, 8)) @ np.diag(np.linspace(0.5, 2, 8)) + 0.3


def test_frechet_of_two_lines_by_hand():
    """Standard deviations 1 and 3, means 0 and 2: 2^2 + (3 - 1)^2."""
    x = np.array([[-1.0], [1.0]]) / np.sqrt(2)
    assert frechet_distance(x, 3 * x + 2) == pytest.approx(8)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-12)


def test_frechet_is_torchmetrics(sets):
    statistics = [torch.tensor(part) for s in sets for part in (s.mean(0), np.cov(s, rowvar=False))]
    assert frechet_distance(*sets) == pytest.approx(float(_compute_fid(*statistics)), rel=1e-6)
    assert frechet_distance(*sets) == pytest.approx(frechet_distance(*sets[::-1]), rel=1e-9)


def test_frechet_bears_few_images():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(5, 20)), rng.normal(size=(6, 20))
    assert np.isfinite(frechet_distance(x, y))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)


def test_kernel_is_torchmetrics(sets):
    x, y = (torch.tensor(s[:50]) for s in sets)
    assert kernel_distance(sets[0][:50], sets[1]) == pytest.approx(
        float(poly_mmd(x, y, degree=3, gamma=None, coef=1.0)), rel=1e-9
    )


def test_kernel_by_hand():
    """Within {0, 0}: 1; within {1, 1}: 2^3; between 1: 1 + 8 - 2."""
    assert kernel_distance(np.zeros((2, 1)), np.ones((2, 1))) == pytest.approx(7)


def test_precision_and_recall_by_hand():
    """Real 0, 1, 2, 10; k = 1: their radii are 1, 1, 1, 8. Generated 1.5, 1.6, 50: radii 0.1, 0.1, 48.4.

    1.5 and 1.6 lie near 1 and 2, 50 near nobody: precision 2/3. Of the real ones, 10 lies within 48.4 of 50, 2 too.
    """
    real, generated = np.array([[0.0], [1], [2], [10]]), np.array([[1.5], [1.6], [50.0]])
    precision, recall = precision_recall(generated, real, k=1)
    assert precision == pytest.approx(2 / 3)
    assert recall == pytest.approx(2 / 4)


def test_a_collapsed_generator_has_precision_and_no_recall():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(100, 4))
    precision, recall = precision_recall(real[:1] + 1e-3 * rng.normal(size=(20, 4)), real)
    assert precision == 1
    assert recall < 0.05


def test_too_few_points():
    with pytest.raises(ValueError, match="more than 3 points"):
        precision_recall(np.zeros((3, 2)), np.zeros((9, 2)))
