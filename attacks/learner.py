"""What attackers learn from images of their own, in a form that can be kept."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from leakbench.synth.images import Images

Tensors = Mapping[str, Tensor]


@runtime_checkable
class Learner(Protocol):
    """What an attacker learns from its own images or the candidates: a frozen dataclass.

    It is hashable by value, and equal learners learn the same. What is learned is tensors by name, so that it can be
    kept on disk and shared between processes and runs.
    """

    def __hash__(self) -> int:
        """By value, as a frozen dataclass does."""
        ...

    def learn(self, images: Images, *, seed: int, device: torch.device) -> Tensors:
        """Learn from these images; everything random derives from the seed."""
        ...

    def restore(self, learned: Tensors, images: Images, *, device: torch.device) -> Any:
        """What attacks work with, from the tensors that were learned from these images."""
        ...


def flatten_tensors(parts: Mapping[str, Tensors]) -> dict[str, Tensor]:
    """One mapping of tensors from several, each behind its own name."""
    return {f"{name}/{key}": tensor for name, tensors in parts.items() for key, tensor in tensors.items()}


def unflatten_tensors(tensors: Tensors, name: str) -> dict[str, Tensor]:
    """One of the mappings that were flattened."""
    return {key.removeprefix(f"{name}/"): tensor for key, tensor in tensors.items() if key.startswith(f"{name}/")}
