"""Where seeds and random generators come from: the names of what they are for."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(*names: object) -> int:
    """A 63-bit seed from names (suite, cell, component), so that no two components share a stream.

    Args:
        names: anything with a stable ``str``; order counts.
    """
    digest = hashlib.sha256("\x1f".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seeded_rng(*names: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own for a named component; the global generator is never touched."""
    return torch.Generator(device=device).manual_seed(derive_seed(*names))


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed the global generator, the only one that initialisers and dropout know, and leave it as it was.

    Args:
        seed: any integer.
        device: whose generator is restored beside the CPU's.
    """
    with torch.random.fork_rng(devices=[device] if device is not None and device.type == "cuda" else []):
        torch.manual_seed(seed % 2**63)
        yield
