"""The nearest of 50,000 images of 32x32, for 4,096 queries, against scikit-learn, FAISS, and the bare float32 product.

pytest benchmarks/speed/test_neighbours.py --benchmark-enable -n 0
"""

import pytest
import torch
from sklearn.metrics import pairwise_distances_argmin

from leakbench.metrics.neighbours import nearest
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
