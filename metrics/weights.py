"""Tensors from files of weights, read without running any code of theirs."""

from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

DAMAGED = (SafetensorError, UnpicklingError, RuntimeError, OSError, ValueError, LookupError, EOFError)
"""What a file that holds no weights, or other ones, may raise."""


def read_weights(file: Path) -> dict[str, Tensor]:
    """Tensors by name, of a .safetensors file or of torch's own.

    Raises:
        ValueError: it holds something else.
    """
    if file.suffix == ".safetensors":
        return dict(load_file(file))
    state = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise ValueError(f"it holds a {type(state).__name__}, not tensors by name")
    return state
