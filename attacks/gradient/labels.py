"""Labels from gradients: what the last layer's gradient tells about a client's labels."""

import torch
from torch import Tensor

from leakbench.attacks.shared_gradients import SharedGradients


def infer_labels(shared: SharedGradients) -> Tensor:
    """Each client's labels, with repetition, in increasing order.

    Of one client with B images, cross-entropy's gradient in row k of the last layer's bias is mean p_k - n_k / B, with
    n_k images of class k. Since no p_k is negative, n_k is at least -B times the row: those are certain. What is left
    of the B goes by shares: every image pulls its row down by about the same amount, from about the same height, that
    of the highest row, so how far a row lies below the highest is its share. For one image that is the least row. A
    last layer without bias leaves the rows' sums of the weight's gradient, which have the same signs where features
    are non-negative (iDLG, arXiv 2001.02610), and only shares.

    Args:
        shared: what the clients sent; the last linear layer's gradient is read.

    Returns:
        (V, B) labels.

    Differs from GradInversion (arXiv 2104.07586), which takes the B least rows' minima and so never repeats a label,
    and from LLG (arXiv 2105.09369), which counts an image as the sum of the negative rows / B * (1 + 1/K) (measured
    against each other in docs/results/gradients-jpeg-cpu).
    """
    sums, exact = _rows(shared.gradients)
    sums = sums / shared.local_steps
    below = sums.max(1, keepdim=True).values - sums
    share = below / below.sum(1, keepdim=True).clamp_min(1e-30) * shared.batch
    certain = (-shared.batch * sums - 1e-3).ceil().clamp(0, shared.batch) if exact else torch.zeros_like(sums)
    counts = certain.long()
    counts[counts.sum(1) > shared.batch] = 0  # only where what was shared is not a gradient any more
    while (short := counts.sum(1) < shared.batch).any():
        counts[short, (share - counts).argmax(1)[short]] += 1
    classes = torch.arange(sums.shape[1], device=sums.device)
    return torch.stack([classes.repeat_interleave(row) for row in counts])


def _rows(gradients: tuple[Tensor, ...]) -> tuple[Tensor, bool]:
    """(V, K): the last linear layer's bias gradient and True, or its weight gradient's row sums and False."""
    last = max(position for position, g in enumerate(gradients) if g.ndim == 3)
    weight = gradients[last]
    if last + 1 < len(gradients) and gradients[last + 1].shape == weight.shape[:2]:
        return gradients[last + 1], True
    return weight.sum(2), False
