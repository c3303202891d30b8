"""Work in chunks that fit the memory."""

from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


def in_chunks(work: Callable[[slice], T], count: int, size: int) -> list[T]:
    """Do something for positions 0..count-1, chunk by chunk; where memory runs out, chunks are halved and go on.

    Args:
        work: from where a chunk lies to its result; a slice, because views cost nothing.
        count: how many there are.
        size: of a chunk, at most.

    Returns:
        The results, in order.

    Raises:
        MemoryError, torch.OutOfMemoryError or RuntimeError: not even a chunk of one fits.
    """
    done = 0
    results: list[T] = []
    while done < count or not results:
        try:
            results.append(work(slice(done, min(done + size, count))))
            done += size
        except (MemoryError, RuntimeError) as error:
            if size == 1 or not is_out_of_memory(error):
                raise
            size = (size + 1) // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    return results


def is_out_of_memory(error: Exception) -> bool:
    """Whether this says that memory ran out, on a GPU or a CPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
