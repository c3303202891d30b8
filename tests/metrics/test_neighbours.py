import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from sklearn.metrics import pairwise_distances

from leakbench.metrics import neighbours
from leakbench.metrics.neighbours import nearest, nearest_few
from leakbench.metrics.threads import torch_threads


def images(count, seed, side=8):
    return torch.randint(
        0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


@pytest.fixture(params=["bytes", "float32"], autouse=True)
def product(request, monkeypatch):
    whole = request.param == "bytes"
    monkeypatch.setattr(neighbours, "_multiplies_bytes", lambda images: whole and images.shape[1] > 1)


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


@given(
    st.integers(0, 30),
    st.integers(0, 90),
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(2, 256),
    st.integers(0, 99),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_nearest_few_are_those_of_a_stable_sort(queries, candidates, count, values, levels, seed):
    """In blocks and products that few fill, and where many are as near as each other."""
    rng = torch.Generator().manual_seed(seed)
    x, y = (
        torch.randint(0, levels, (rows, values), generator=rng, dtype=torch.uint8) for rows in (queries, candidates)
    )
    golden = (x[:, None].int() - y[None].int()).square().sum(2).sort(dim=1, stable=True).indices[:, :count]
    with pytest.MonkeyPatch.context() as patch:
        for name, size in {"QUERIES": 7, "CANDIDATES": 16, "BLOCK": 4}.items():
            patch.setattr(neighbours, name, size)
        assert torch.equal(nearest_few(x, y, count), golden)


def test_the_nearest_few_of_many_products():
    x, y = (images(rows, rows, side=6).flatten(1) for rows in (300, 2500))
    golden = torch.cdist(x.double(), y.double()).topk(3, largest=False).indices
    assert torch.equal(nearest_few(x, y, 3), golden)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_share_the_queries_and_are_as_many_as_before_afterwards(threads):
    x, y = (images(rows, rows, side=4).flatten(1) for rows in (900, 50))
    golden = torch.cdist(x.double(), y.double()).topk(2, largest=False).indices
    with torch_threads(threads):
        assert torch.equal(nearest_few(x, y, 2), golden)
        assert torch.get_num_threads() == threads


def test_a_difference_of_one_is_not_rounded_away():
    """Whatever constant is left out of the distances: of vectors of any length, the nearer is first by 1 or 3."""
    for values in range(1, 9):
        x = torch.full((1, values), 128, dtype=torch.uint8)
        y = torch.full((256, values), 128, dtype=torch.uint8)
        y[:, 0] = torch.arange(256)
        assert nearest_few(x, y, 5).tolist() == [[128, 127, 129, 126, 130]]
        x[:] = 255
        y = x.repeat(3, 1)
        y[0, 0], y[1, 0] = 253, 254
        assert nearest_few(x, y, 3).tolist() == [[2, 1, 0]]


def test_the_longest_vectors_fit_and_longer_ones_are_refused():
    black, white = (torch.full((1, neighbours.EXACT), value, dtype=torch.uint8) for value in (0, 255))
    almost = white.clone()
    almost[0, 0] = 254
    assert nearest_few(black, torch.cat([white, almost]), 2).tolist() == [[1, 0]]
    with pytest.raises(ValueError, match="too long"):
        nearest_few(*[torch.zeros(1, neighbours.EXACT + 1, dtype=torch.uint8)] * 2, 1)
