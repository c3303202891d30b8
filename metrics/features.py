"""How alike two sets of images are in a network's features: Fréchet and kernel distance, precision and recall.

piq has all four, but its kernel distance draws from the global generator and its recall compares with the wrong radius.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Features = NDArray[np.float64]


def frechet_distance(x: Features, y: Features) -> float:
    """Squared Fréchet distance of the two sets' Gaussians (arXiv 1706.08500).

    |mean_x - mean_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)). It is biased upwards where sets are small: compare only
    distances of equally large sets.

    Args:
        x: (N, D), N >= 2.
        y: (M, D), M >= 2.
    """
    apart = x.mean(0) - y.mean(0)
    a, b = (np.atleast_2d(np.cov(part, rowvar=False)) for part in (x, y))
    variances, axes = np.linalg.eigh(a)
    root = axes * np.sqrt(variances.clip(0)) @ axes.T
    eigenvalues = np.linalg.eigvalsh(root @ b @ root)  # symmetric, with the same trace of its root as the root of a b
    return float(max(0.0, apart @ apart + np.trace(a) + np.trace(b) - 2 * np.sqrt(eigenvalues.clip(0)).sum()))


def kernel_distance(x: Features, y: Features) -> float:
    """Squared maximum mean discrepancy with the kernel (<x, y> / D + 1)^3 (arXiv 1801.01401).

    Unbiased, so it may be below 0.

    Args:
        x: (N, D), N >= 2.
        y: (M, D), M >= 2.
    """

    def kernel(a: Features, b: Features) -> Features:
        return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)

    def within(a: Features) -> float:
        values = kernel(a, a)
        return float((values.sum() - np.trace(values)) / (len(a) * (len(a) - 1)))

    return within(x) + within(y) - 2 * float(kernel(x, y).mean())


def precision_recall(generated: Features, real: Features, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (arXiv 1904.06991).

    Precision: the share of generated images that lie within the k-th neighbour's distance of some real one, which falls
    where a generator has not converged. Recall: the share of real images that lie so near to some generated one, which
    falls where it has collapsed.

    Args:
        generated: (N, D), N > k.
        real: (M, D), M > k.
        k: of the neighbour whose distance is a point's radius.

    Raises:
        ValueError: a set of k points or fewer.
    """
    if min(len(generated), len(real)) <= k:
        raise ValueError(f"precision and recall need more than {k} points a side, got {len(generated)} and {len(real)}")
    between = cdist(generated, real)
    real_radius, generated_radius = (np.sort(cdist(part, part), axis=1)[:, k] for part in (real, generated))
    precision = (between <= real_radius[None]).any(1).mean()
    recall = (between <= generated_radius[:, None]).any(0).mean()
    return float(precision), float(recall)
