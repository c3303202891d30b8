"""What batch-norm matching compares: a network's statistics of groups of images, and the wanted ones."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from leakbench.synth.networks.statistics import Moments, normalisations

Statistics = Sequence[tuple[Tensor, Tensor]]
"""Per batch-norm layer the mean and the biased variance of its input, (G, channels) each, of G groups of images."""


def group_statistics(moments: Moments, weights: Tensor) -> Statistics:
    """Means and biased variances of every layer for all groups at once.

    Args:
        moments: per-image moments of N images.
        weights: (G, N) row-normalised group matrix.

    Returns:
        Per layer (mean, variance), each (G, channels).
    """
    statistics = []
    for mean, square in moments:
        group_mean = weights @ mean
        statistics.append((group_mean, (weights @ square - group_mean.square()).clamp_min(0)))
    return statistics


def batch_statistics(moments: Moments) -> Statistics:
    """Those of all images together, (1, channels) a layer."""
    count = len(moments[0][0])
    return group_statistics(moments, moments[0][0].new_full((1, count), 1 / count))


def matching_loss(found: Statistics, wanted: Statistics, *, first: float = 1.0, leading: int = 1) -> Tensor:
    """Sum over layers of the un-squared L2 norms of mean and variance differences, averaged over groups.

    Args:
        found: of G groups.
        wanted: likewise.
        first: weight of what was recorded first.
        leading: of how many of it: a convolution leaves channels and patches.
    """
    terms = [
        torch.linalg.vector_norm(a - b, dim=1).mean()
        for layer, target in zip(found, wanted, strict=True)
        for a, b in zip(layer, target, strict=True)
    ]
    terms[: 2 * leading] = [first * term for term in terms[: 2 * leading]]
    return torch.stack(terms).sum()


class Matching(NamedTuple):
    """What one network wants of a batch.

    Args:
        network: in evaluation mode, its parameters frozen.
        loss: of the moments of what its layers saw.
        convolutions: whether those of convolutions' inputs are among them.
    """

    network: nn.Module
    loss: Callable[[Moments], Tensor]
    convolutions: bool = False


def matching(
    network: nn.Module, targets: Statistics, weights: Tensor, overall: tuple[Statistics, float] | None = None
) -> Matching:
    """What a network wants of groups' statistics, and in part of those of all images together.

    Args:
        network: with batch-norm layers.
        targets: of G groups.
        weights: (G, N) row-normalised: which images make up a group.
        overall: statistics of everybody, (1, channels) a layer, and the share of the loss that is theirs.
    """

    def loss(moments: Moments) -> Tensor:
        groups = matching_loss(group_statistics(moments, weights), targets)
        if overall is None:
            return groups
        statistics, share = overall
        return (1 - share) * groups + share * matching_loss(batch_statistics(moments), statistics)

    return Matching(network, loss)


def by_layer(statistics: Tensor, network: nn.Module) -> Statistics:
    """Per normalisation layer the (mean, variance) of every row, from all layers' side by side."""
    sizes = [len(layer.weight) for layer in normalisations(network)]
    means, variances = statistics.chunk(2, 1)
    return list(zip(means.split(sizes, 1), variances.split(sizes, 1), strict=True))


def group_matrix(sizes: Tensor, device: torch.device) -> Tensor:
    """(G, N) row-normalised matrix of consecutive groups of these sizes."""
    rows = torch.arange(len(sizes)).repeat_interleave(sizes)
    matrix = torch.zeros(len(sizes), len(rows))
    matrix[rows, torch.arange(len(rows))] = 1.0 / sizes[rows]
    return matrix.to(device)
