"""How far two sets of images are from each other, and what cannot be said of small ones."""

import numpy as np
import pytest

from leakbench.metrics.features import frechet_distance, kernel_distance
from leakbench.metrics.fidelity import SCALE, fidelity


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 8)), rng.normal(size=(50, 8)) + 0.3


def test_both_distances_as_they_are_defined(sets):
    found = fidelity("private", *sets, "what")
    kernel, frechet = found.measurements
    assert (kernel.name, kernel.value) == ("private.kernel", SCALE * kernel_distance(*sets))
    assert (frechet.name, frechet.value) == ("private.frechet", frechet_distance(*sets))
    assert {(m.n, m.better, m.variant) for m in found.measurements} == {(40, "lower", "what")}
    assert found.absent == {}


@pytest.mark.parametrize("count", [8, 9])
def test_no_frechet_distance_where_covariances_are_of_too_few(sets, count):
    """As many images as features give a singular covariance."""
    for one, other in (sets, sets[::-1]):
        found = fidelity("stranger", one[:count], other)
        assert [m.name for m in found.measurements] == ["stranger.kernel"] + ["stranger.frechet"] * (count == 9)
        assert found.absent == ({"stranger.frechet": "8 images are too few for 8 features"} if count == 8 else {})


def test_one_image_is_no_set(sets):
    found = fidelity("private", sets[0][:1], sets[1])
    assert found.measurements == ()
    assert found.absent.keys() == {"private.kernel", "private.frechet"}
