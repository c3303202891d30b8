import os

# Workers of pytest-xdist, one for each core, would fight over the cores with more than one thread each: torch, numpy,
# scikit-learn and FAISS read this when they are imported, and so do the processes that tests start.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from leakbench.synth.data.datasets import open_pool
from leakbench.synth.data.split import Sizes, split


def pytest_configure():
    """Torch too, where a plug-in of pytest imported it before."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits():
    """A small split of the embedded digits."""
    return split(open_pool("digits", None, None), Sizes(members=200, auxiliary=100, test=200), seed=0)


@pytest.fixture(scope="session")
def cpu():
    return torch.device("cpu")


@pytest.fixture(autouse=True)
def global_generator_untouched():
    """No component may draw from the global generator, or reseed it."""
    before = torch.random.get_rng_state()
    yield
    assert torch.equal(before, torch.random.get_rng_state())
