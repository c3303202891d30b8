"""Where benchmarks compute: ``LEAKBENCH_BENCHMARK_DEVICE=cuda`` for a GPU, which `gpu.sh` sets."""

import os

import pytest
import torch


@pytest.fixture(scope="session")
def device():
    return torch.device(os.environ.get("LEAKBENCH_BENCHMARK_DEVICE", "cpu"))


@pytest.fixture(scope="session")
def finished(device):
    """What is called is done when it returns, also on a GPU, which computes behind the program's back."""

    def wait(call):
        def whole(*given):
            call(*given)
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        return whole

    return wait
