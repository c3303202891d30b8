import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from sklearn.metrics import pairwise_distances

from leakbench.metrics import neighbours
from leakbench.metrics.neighbours import nearest


def images(count, seed, side=8):
    return torch.randint(
        0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


@pytest.fixture(params=["bytes", "float32"], autouse=True)
def product(request, monkeypatch):
    monkeypatch.setattr(neighbours, "_multiplies_bytes", lambda images: request.param == "bytes")


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_is_exact(queries, candidates, seed):
    x, y = images(queries, seed), images(candidates, seed + 1)
    golden = pairwise_distances(x.flatten(1).double(), y.flatten(1).double(), "sqeuclidean")
    found = nearest(x, y, tile=7)
    assert found.squared_distance.tolist() == golden.min(1).round().astype(int).tolist()
    assert golden[range(queries), found.position].round().astype(int).tolist() == found.squared_distance.tolist()


def test_one_grey_level_decides_among_large_images():
    base = torch.full((1, 3, 64, 64), 200, dtype=torch.uint8)
    candidates = base.repeat(3, 1, 1, 1)
    candidates[0, 0, 0, 0], candidates[1, 0, 0, 0] = 202, 201
    candidates[2, 0, 0, 0] = 198
    assert nearest(base, candidates) == (torch.tensor([1]), torch.tensor([1]))


def test_of_equals_the_first_is_taken():
    x = images(3, 0).repeat(2, 1, 1, 1)
    assert nearest(x, x).position.tolist() == [0, 1, 2] * 2


def test_the_largest_distance_fits():
    side = int((neighbours.LARGEST / 3 - 1) ** 0.5)
    black, white = (torch.full((1, 3, side, side), value, dtype=torch.uint8) for value in (0, 255))
    assert nearest(black, white).squared_distance.item() == 3 * side**2 * 255**2


def test_labels_restrict_the_search():
    x = images(4, 0)
    labels = torch.tensor([0, 1, 0, 1])
    found = nearest(x, x, query_labels=labels, candidate_labels=1 - labels)
    assert (labels[found.position] != labels).all()
    assert nearest(x, x, query_labels=labels, candidate_labels=labels).position.tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="label"):
        nearest(x, x, query_labels=labels, candidate_labels=torch.zeros(4, dtype=torch.long))


def test_floats_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        nearest(torch.zeros(1, 3, 8, 8), images(1, 0))
