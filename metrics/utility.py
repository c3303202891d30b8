"""What a release is good for: the test accuracy of a network trained on it from scratch."""

import torch
from torch import Tensor

from metrics.rates import Interval, wilson


def accuracy(logits: Tensor, labels: Tensor, *, level: float = 0.95) -> Interval:
    """Share of test images classified rightly, with Wilson's interval over the test images.

    Args:
        logits: (N, K).
        labels: (N,) in 0..K-1.
        level: confidence level.

    Raises:
        ValueError: a logit is NaN: a network that broke in training has no accuracy.
    """
    if torch.isnan(logits).any():
        raise ValueError("the network's outputs are NaN")
    return wilson(int((logits.argmax(1) == labels).sum()), len(labels), level=level)
