"""Which private images a generator gives back, by the rule of Carlini et al. (arXiv 2301.13188, section 5)."""

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

NEIGHBOURS, SHARE = 50, 0.5
"""n and alpha of the paper: a released image shows its nearest private one where that is nearer than half of the mean
distance to its 50 nearest."""
SIDE = 64
"""Pixels a side that are compared, at most: larger images are averaged."""


def extracted(released: Tensor, private: Tensor) -> NDArray[np.bool_]:
    """Which private images some released one shows: l2(r, p) <= alpha * mean of l2(r, q) over the n nearest q of r.

    The distance is relative, since plain images are near to anything: a clear sky in the release shows nobody's.

    Args:
        released: uint8 (R, C, H, W).
        private: uint8 (N, C, H, W), of the same shape; where N <= n, n is N - 1.

    Returns:
        (N,).
    """
    shown = np.zeros(len(private), dtype=np.bool_)
    count = min(NEIGHBOURS, len(private) - 1)
    if not len(released) or count < 1:
        return shown
    index = faiss.IndexFlatL2(_flat(private[:1]).shape[1])
    for part in private.split(4096):
        index.add(_flat(part))
    for part in released.split(1024):
        squared, position = index.search(_flat(part), count)
        distance = np.sqrt(squared.clip(0))
        shown[position[distance[:, 0] <= SHARE * distance.mean(1), 0]] = True
    return shown


def _flat(images: Tensor) -> NDArray[np.float32]:
    pixels = images.float() / 255
    if max(images.shape[-2:]) > SIDE:
        pixels = adaptive_avg_pool2d(pixels, SIDE)
    return pixels.flatten(1).to(torch.float32).contiguous().numpy()
