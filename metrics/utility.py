"""What a release is good for: the test accuracy of a network trained on it from scratch."""

import torch
from torch import Tensor

from leakbench.metrics.rates import Interval, clopper_pearson, mean_over_images, wilson


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


def accuracy_cost(logits: Tensor, reference: Tensor, labels: Tensor, *, level: float = 0.95) -> Interval:
    """Accuracy that a network loses against a reference: mean of [reference right] - [network right].

    The interval is a bootstrap over test images, paired: both networks answer the same ones. Where no answer
    differs, it is what Clopper and Pearson's exact interval leaves possible either way.

    Args:
        logits: (N, K) of the network.
        reference: (N, K) of the reference.
        labels: (N,) in 0..K-1.
        level: confidence level.

    Raises:
        ValueError: a logit is NaN.
    """
    if torch.isnan(logits).any() or torch.isnan(reference).any():
        raise ValueError("a network's outputs are NaN")
    lost = (reference.argmax(1) == labels).double() - (logits.argmax(1) == labels).double()
    if not lost.any():
        possible = clopper_pearson(0, len(labels), level=level).high
        assert possible is not None
        return Interval(0.0, -possible, possible)
    return mean_over_images(lost.numpy(), level=level)
