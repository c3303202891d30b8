"""Who is a member depends on the seed, and on nothing else."""

import torch

from leakbench.synth.data.datasets import open_pool
from leakbench.synth.data.split import Sizes, split


def test_another_seed_splits_otherwise():
    pool, sizes = open_pool("digits", None, None), Sizes(members=100, auxiliary=50, test=100)
    first, again, other = (split(pool, sizes, seed=seed) for seed in (0, 0, 1))
    for name in ("members", "holdout", "auxiliary", "public", "test"):
        one, same, another = (getattr(parts, name).pixels for parts in (first, again, other))
        assert torch.equal(one, same)
        assert not torch.equal(one, another)
