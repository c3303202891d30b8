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

WORTH = 25_000
"""Images of `SIDE` pixels a side that pass in a batch's steps; most releases have several batches.

What compiling takes and gains: docs/speed.md.
"""
SIDE = 32

NETWORKS = 64
"""Kinds of networks, and of inputs, that a process compiles; torch's own limit is 8."""


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
    os.environ.setdefault("TORCH_WARM_POOL", "0")  # processes that only GPUs' kernels need
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it misses GPUs where CUDA is installed
    torch._dynamo.config.recompile_limit = NETWORKS
    # A compiler that fails costs the speed, not the release, if it fails before anything is computed.
    torch._dynamo.config.suppress_errors = True
    torch._functorch.config.force_non_lazy_backward_lowering = True
    return torch.compile(_answer, dynamic=True)  # for any number of images: each would be compiled by itself


def forward(device: torch.device, images: int, side: int) -> Callable[[nn.Module, Tensor], Tensor]:
    """What takes a network and its inputs to its outputs: compiled, where that pays.

    Hooks are compiled too, and torch does not look whether they are still there: whoever calls this for networks of one
    structure must hook all of them alike.

    Args:
        device: of the network.
        images: that it is wanted for, times steps.
        side: their pixels a side.
    """
    return _compiled() if images * side**2 >= WORTH * SIDE**2 and can_compile(device) else _answer
