"""Exact nearest neighbours among images or features of uint8, by tiled products: of bytes where the CPU has them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from leakbench.metrics.chunks import in_chunks
from leakbench.metrics.threads import torch_threads


class Neighbours(NamedTuple):
    """The nearest candidate of each query: position and squared distance in 0..255 units, both (Q,)."""

    position: Tensor
    squared_distance: Tensor


LARGEST = 2**31 // 255**2
"""Values an image may have for its squared distances to be whole numbers of 32 bits."""

Distances = Callable[[Tensor], Tensor]
"""Function from queries to what orders the candidates by distance, (Q, M)."""


def _flat(images: Tensor) -> Tensor:
    if images.dtype != torch.uint8:
        raise ValueError(f"neighbours are searched among uint8 images, got {images.dtype}")
    return images.flatten(1)


def _multiplies_bytes(images: Tensor) -> bool:
    """Whether products of bytes with sums of 32 bits are exact here, and fast."""
    # Of vectors of one value `torch._int_mm` writes nothing (torch 2.14).
    return images.device.type == "cpu" and 1 < images.shape[1] < LARGEST and torch.cpu._is_vnni_supported()


def _whole(candidates: Tensor) -> Distances:
    """Squared distances less the query's own norm, as whole numbers.

    Five times as fast as float32 products on an AMD EPYC with avx512_vnni, and exact (docs/speed.md).
    """
    y = _centred(candidates)
    norms = torch.cat([part.int().square_().sum(1, dtype=torch.int32) for part in y.split(4096)])
    return lambda queries: torch._int_mm(_centred(queries), y.T).mul_(-2).add_(norms)


def _centred(images: Tensor) -> Tensor:
    """Bytes from -128: the highest bit the other way round."""
    return images.bitwise_xor(128).view(torch.int8)


def _rounded(candidates: Tensor) -> Distances:
    """The same in float32."""
    y = candidates.float() - 127.5  # centred, so that products are small and err by less than a shortlist covers
    norms = y.square().sum(1)
    return lambda queries: norms - 2 * (queries.float() - 127.5) @ y.T


def nearest(
    queries: Tensor,
    candidates: Tensor,
    *,
    query_labels: Tensor | None = None,
    candidate_labels: Tensor | None = None,
    tile: int = 1024,
) -> Neighbours:
    """The exact nearest candidate of every query in Euclidean pixel distance.

    Of up to eight equally near ones it is the first. Products of bytes are exact; where there are none, float32
    products make a shortlist of eight, and integer arithmetic decides among them.

    Args:
        queries: uint8 images (Q, C, H, W).
        candidates: uint8 images (M, C, H, W), M >= 1.
        query_labels: (Q,) labels; with `candidate_labels`, only candidates of the query's label count.
        candidate_labels: (M,) labels.
        tile: queries a matrix product.

    Returns:
        Index and squared distance of the nearest candidate of each query.

    Raises:
        ValueError: wrong dtype, no candidates, or a query's label that no candidate has.
    """
    x, y = _flat(queries), _flat(candidates)
    if not len(y):
        raise ValueError("there are no candidates to search")
    masked = query_labels is not None and candidate_labels is not None
    if masked and not torch.isin(query_labels, candidate_labels).all():  # type: ignore[arg-type]
        raise ValueError("a query has a label that no candidate has")
    if not len(x):
        return Neighbours(x.new_zeros(0, dtype=torch.long), x.new_zeros(0, dtype=torch.long))
    whole = _multiplies_bytes(y)
    distances, shortlist = (_whole(y), 1) if whole else (_rounded(y), min(8, len(y)))

    def closest(where: slice) -> tuple[Tensor, Tensor]:
        part = x[where]
        found = distances(part)
        if masked:
            other = query_labels[where, None] != candidate_labels[None]  # type: ignore[index]
            found.masked_fill_(other, torch.iinfo(found.dtype).max if whole else torch.inf)
        short = found.argmin(1, keepdim=True) if whole else found.topk(shortlist, largest=False).indices.sort(1).values
        exact = torch.stack([(part.int() - y[column].int()).square().sum(1) for column in short.T], dim=1)
        if masked:  # a class may have fewer than eight
            exact.masked_fill_(other.gather(1, short), torch.iinfo(exact.dtype).max)
        best = exact.argmin(1, keepdim=True)
        return short.gather(1, best).squeeze(1), exact.gather(1, best).squeeze(1)

    found = in_chunks(closest, len(x), tile)
    return Neighbours(*(torch.cat(column) for column in zip(*found, strict=True)))


EXACT = 2**24 // 255**2
"""Values of a vector of bytes of which float32 holds any distance exactly."""
QUERIES, CANDIDATES, BLOCK = 256, 1024, 32
"""Vectors of a product that stays in the cache, and candidates that are passed over together."""
FAR = 2**30
"""Stands for the distance of what is no candidate: it fills the last product up."""


def nearest_few(queries: Tensor, candidates: Tensor, count: int) -> Tensor:
    """The exact nearest candidates of every query in Euclidean distance, (Q, count) positions, nearest first.

    Of equally near ones the first is nearer. The nearest few lie in the few blocks of candidates whose nearest are
    nearest, so that most are passed over a block at a time: six times as fast as the flat index of FAISS
    (docs/speed.md).

    Args:
        queries: uint8 (Q, D), D <= `EXACT`, on the CPU.
        candidates: uint8 (M, D), likewise.
        count: how many, or as many as there are candidates.

    Raises:
        ValueError: wrong dtype, or vectors that are too long.
    """
    x, y = _flat(queries), _flat(candidates)
    if y.shape[1] > EXACT:
        raise ValueError(f"vectors of {y.shape[1]} bytes are too long; at most {EXACT}")
    count = min(count, len(y))
    if not count or not len(x):
        return torch.zeros((len(x), count), dtype=torch.long)
    whole = _multiplies_bytes(y)
    padded = torch.nn.functional.pad(y, (0, 0, 0, -len(y) % CANDIDATES))
    x, padded = (_centred(part) if whole else part.float() - 128 for part in (x, padded))
    norms = padded.float().square().sum(1)
    norms[len(y) :] = FAR
    norms = norms.to(torch.int32 if whole else torch.float32)
    tiles = list(zip(padded.split(CANDIDATES), norms.split(CANDIDATES), strict=True))
    product, within = torch._int_mm if whole else torch.mm, torch.arange(BLOCK)
    by_block = padded.view(-1, BLOCK * padded.shape[1])

    def closest(start: int) -> Tensor:
        part = x[start : start + QUERIES]
        found = part.new_empty((len(part), CANDIDATES), dtype=tiles[0][1].dtype)
        least = found.new_empty((len(part), len(padded) // BLOCK))
        for column, (tile, norm) in zip(least.split(CANDIDATES // BLOCK, dim=1), tiles, strict=True):
            product(part, tile.T, out=found)
            torch.sub(norm, found, alpha=2, out=found)
            torch.amin(found.view(len(part), -1, BLOCK), 2, out=column)
        blocks = _first(least, torch.arange(least.shape[1]), min(count, least.shape[1]))
        near = (blocks[:, :, None] * BLOCK + within).flatten(1)
        shown = by_block.index_select(0, blocks.flatten()).view(*near.shape, -1).float()
        inner = (shown @ part.float()[:, :, None]).squeeze(2)
        return _first(norms[near] - 2 * inner, near, count)

    # Threads take tiles, and share no step within one: on busy cores, threads that waited for each other after every
    # step took 25 s for what one does in 1 s.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool, torch_threads(1):
        return torch.cat(list(pool.map(closest, range(0, len(x), QUERIES))))


def _first(distances: Tensor, positions: Tensor, count: int) -> Tensor:
    """(Q, count) positions (Q, M) of the least whole-numbered distances, of equal ones the first."""
    order = distances.long() * (positions.max() + 1) + positions
    nearest = order.topk(count, largest=False, sorted=True).indices
    return positions.expand_as(order).gather(1, nearest)
