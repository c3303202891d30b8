"""Where compiling what a network does pays, and whether it can be done here."""

import logging
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

WORTH = 20_000
"""Images times steps of a batch. Compiling ResNet-20 took 30 to 70 s on two cores of an AMD EPYC (12 s from torch's
cache on disk) and made each image's step 0.7 to 1.3 ms shorter; most releases have several batches."""


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile finds a C++ compiler and Python's headers. On GPUs nobody has tried."""
    headers = Path(sysconfig.get_path("include"), "Python.h")
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    return device.type == "cpu" and sys.platform == "linux" and compiler is not None and headers.is_file()


def _answer(network: nn.Module, inputs: Tensor) -> Tensor:
    answer: Tensor = network(inputs)
    return answer


@cache
def _compiled() -> Callable[[nn.Module, Tensor], Tensor]:
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it misses GPUs where CUDA is installed
    torch._dynamo.config.suppress_errors = True  # a compiler that fails costs the speed, not the release
    return torch.compile(_answer, dynamic=True)  # for any number of images: each would be compiled by itself


def forward(device: torch.device, work: int) -> Callable[[nn.Module, Tensor], Tensor]:
    """What takes a network and its inputs to its outputs: compiled, where that pays.

    Hooks are compiled too, so they must be there before the first call, and stay.

    Args:
        device: of the network.
        work: images times steps that it is wanted for.
    """
    return _compiled() if work >= WORTH and can_compile(device) else _answer
