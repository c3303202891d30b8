"""Exact nearest neighbours among uint8 images, by tiled matrix products."""

from typing import NamedTuple

import torch
from torch import Tensor

from metrics.chunks import in_chunks


class Neighbours(NamedTuple):
    """The nearest candidate of each query: position and squared distance in 0..255 units, both (Q,)."""

    position: Tensor
    squared_distance: Tensor


def _flat(images: Tensor) -> Tensor:
    if images.dtype != torch.uint8:
        raise ValueError(f"neighbours are searched among uint8 images, got {images.dtype}")
    return images.flatten(1)


def _shortlist(queries: Tensor, candidates: Tensor, mask: Tensor | None, k: int) -> Tensor:
    """Indices (Q, k) of the nearest candidates in float32, whose rounding the caller removes."""
    # Centring at 127.5 keeps the products small: float32 then errs by less than the gap that k places cover.
    x, y = queries.float() - 127.5, candidates.float() - 127.5
    distance = y.square().sum(1) - 2 * x @ y.T  # the query's own norm does not change the order
    if mask is not None:
        distance.masked_fill_(~mask, torch.inf)
    return distance.topk(k, largest=False).indices


def nearest(
    queries: Tensor,
    candidates: Tensor,
    *,
    query_labels: Tensor | None = None,
    candidate_labels: Tensor | None = None,
    tile: int = 1024,
) -> Neighbours:
    """The exact nearest candidate of every query in Euclidean pixel distance.

    Float32 matrix products make a shortlist of eight, integer arithmetic decides among them; ties go to the
    candidate that float32 placed first.

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

    def closest(index: Tensor) -> tuple[Tensor, Tensor]:
        part = x[index]
        mask = query_labels[index, None] == candidate_labels[None] if masked else None  # type: ignore[index]
        short = _shortlist(part, y, mask, min(8, len(y)))
        exact = torch.stack([(part.int() - y[column].int()).square().sum(1) for column in short.T], dim=1)
        if mask is not None:
            exact = exact.masked_fill(~mask.gather(1, short), torch.iinfo(exact.dtype).max)
        best = exact.argmin(1, keepdim=True)
        return short.gather(1, best).squeeze(1), exact.gather(1, best).squeeze(1)

    found = in_chunks(closest, len(x), tile)
    return Neighbours(*(torch.cat(column) for column in zip(*found, strict=True)))
