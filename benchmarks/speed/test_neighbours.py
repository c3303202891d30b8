"""The nearest of images, and the three nearest of local features, against scikit-learn, FAISS, and the bare product.

pytest benchmarks/speed/test_neighbours.py --benchmark-enable -n 0
"""

import pytest
import torch
from sklearn.metrics import pairwise_distances_argmin

from leakbench.metrics.neighbours import nearest, nearest_few
from leakbench.synth.seeds import seeded_rng

QUERIES, CANDIDATES, TILE = 4096, 50_000, 1024


@pytest.fixture(scope="module")
def images():
    rng = seeded_rng("speed of neighbours")
    return [
        torch.randint(0, 256, (count, 3, 32, 32), generator=rng, dtype=torch.uint8) for count in (QUERIES, CANDIDATES)
    ]


def by_scikit_learn(x, y):
    return pairwise_distances_argmin(x.flatten(1).float().numpy(), y.flatten(1).float().numpy())


def by_faiss(x, y):
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexFlatL2(3072)
    index.add(y.flatten(1).float().numpy())
    return index.search(x.flatten(1).float().numpy(), 1)[1][:, 0]


def product_alone(x, y):
    """What float32 cannot go below: the matrix product, and nothing else."""
    candidates = y.flatten(1).float().T
    for part in x.flatten(1).float().split(TILE):
        part @ candidates


WAYS = {
    "ours": lambda x, y: nearest(x, y, tile=TILE).position,
    "scikit-learn": by_scikit_learn,
    "faiss": by_faiss,
    "product alone": product_alone,
}


@pytest.mark.benchmark(group="nearest of 50,000 images for 4,096")
@pytest.mark.parametrize("way", WAYS)
def test_neighbours(benchmark, way, images):
    WAYS[way](images[0][:64], images[1])
    found = benchmark.pedantic(WAYS[way], images, rounds=2)
    if found is not None:
        # scikit-learn and FAISS round to float32, so of two all but equally near ones they may take the other.
        assert (torch.as_tensor(found) == nearest(*images).position).float().mean() > 0.99


NEAREST = 3
"""Of each local feature, as `metrics.shown` asks for."""


@pytest.fixture(scope="module")
def features():
    """Bytes that lie as root-normalised SIFT features do: few values are large."""
    rng = seeded_rng("speed of features")
    drawn = [torch.rand((count, 128), generator=rng).pow(3) for count in (8192, 40_960)]
    return [(values / values.sum(1, keepdim=True)).sqrt().mul(512).round().clamp(max=255).byte() for values in drawn]


def few_by_faiss(x, y):
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexFlatL2(128)
    index.add(y.float().numpy())
    return index.search(x.float().numpy(), NEAREST)[1]


def few_in_float32(x, y):
    """The products as the library makes them, and its selection."""
    norms = y.float().square().sum(1)
    return torch.cat(
        [(norms - 2 * part @ y.float().T).topk(NEAREST, largest=False).indices for part in x.float().split(TILE)]
    )


FEW = {"ours": lambda x, y: nearest_few(x, y, NEAREST), "faiss": few_by_faiss, "torch": few_in_float32}


@pytest.mark.benchmark(group="the three nearest of 40,960 local features for 8,192")
@pytest.mark.parametrize("way", FEW)
def test_the_nearest_few_features(benchmark, way, features):
    FEW[way](features[0][:64], features[1])
    found = benchmark.pedantic(FEW[way], features, rounds=5)
    # Of equally near ones each may take another.
    assert (torch.as_tensor(found) == nearest_few(*features, NEAREST)).float().mean() > 0.97
