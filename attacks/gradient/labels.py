"""Labels from gradients: what the last layer's gradient tells about a client's labels."""

import torch
from torch import Tensor

from attacks.view import SharedGradients


def infer_labels(shared: SharedGradients) -> Tensor:
    """Each client's labels, with repetition, in increasing order.

    Of one client with B images, cross-entropy's gradient in row k of the last layer is the mean of
    (p_k - [label = k]) times the features; in its bias, without the features. Rows of labels that are there are
    pulled below zero. For one image the least row is the label: always by the bias, by the weight's row sums
    where features are non-negative (iDLG, arXiv 2001.02610). For several, every class with a negative sum is there
    once, and the rest is filled greedily: one image of a class is worth the sum of all negative sums / B * (1 + 1/K),
    and the least remainder comes next (LLG, arXiv 2105.09369).

    Args:
        shared: what the clients sent; the last linear layer's gradient is read.

    Returns:
        (V, B) labels.

    Differs from GradInversion (arXiv 2104.07586), which takes the B least rows' minima and so never repeats a label;
    and from LLG in reading the bias where there is one.
    """
    sums = _row_sums(shared.gradients)
    classes, batch = sums.shape[1], shared.batch
    negative = sums < 0
    worth = torch.where(negative, sums, 0).sum(1, keepdim=True) / batch * (1 + 1 / classes)
    rank = sums.argsort(1).argsort(1)
    counts = (negative & (rank < batch)).long()
    while (short := counts.sum(1) < batch).any():
        least = (sums - worth * counts).argmin(1)
        counts[short, least[short]] += 1
    return torch.stack([torch.arange(classes).repeat_interleave(row.cpu()) for row in counts])


def _row_sums(gradients: tuple[Tensor, ...]) -> Tensor:
    """(V, K): the last linear layer's bias gradient, or its weight gradient's row sums where it has no bias."""
    last = max(position for position, g in enumerate(gradients) if g.ndim == 3)
    weight = gradients[last]
    if last + 1 < len(gradients) and gradients[last + 1].shape == weight.shape[:2]:
        return gradients[last + 1]
    return weight.sum(2)
