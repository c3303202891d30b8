"""Pictures that are nearer to one private picture than to any other, by far: blurred, or of a coarse JPEG, or noisy."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize
from torchvision.transforms.functional import gaussian_blur

SIDE = 32
"""Pixels a side: whoever blurs a picture leaves these."""
FEWEST = 20
"""Private pictures: of fewer the second nearest says little."""
BLURS = (0.0, 2.0)
"""Standard deviations in pixels of how private pictures are blurred before they are compared: blurring them by 2 finds
copies blurred by 3, 100 % of 300 photographs of CIFAR-10 in place of 6 %."""
ALIKE = 0.9
"""Correlation of a copy with its original, at least."""
RATIO = 0.5
"""Distance of a copy to its original over that to the next private picture, at most; where pictures are more alike,
as handwritten digits are, as much less as `threshold` says."""
RATE = 0.01
"""Unrelated pictures that a search calls copies, in expectation."""
AT_ONCE, ASKED = 2048, 2048
"""Released pictures that are compared at a time; private ones that say how alike private ones are."""


class Outstanding(NamedTuple):
    """Pairs of a private picture and a released one that is far nearer to it than to the next private picture.

    Args:
        private: (M,) positions.
        released: (M,) positions.
        correlation: (M,) of their pixels.
        ratio: (M,) of the distance over that to the next private picture.
    """

    private: Tensor
    released: Tensor
    correlation: Tensor
    ratio: Tensor


def outstanding(private: Tensor, released: Tensor, blur: float = 0.0) -> Outstanding:
    """The released pictures that stand out by how near they are to one private picture.

    The distance is Euclidean, between pixels of equal brightness and contrast; the ratio is Lowe's test
    (doi 10.1023/B:VISI.0000029664.99615.94, section 7.1) with pictures in the place of features.

    Args:
        private: uint8 (N, C, S, S).
        released: uint8 (M, C, S, S).
        blur: of the private ones, in pixels of `SIDE`.
    """
    ours = _standardised(private, blur)
    found = []
    most = threshold(ours, len(released)) if len(private) >= FEWEST and len(released) else 0.0
    for start in range(0, len(released) if most else 0, AT_ONCE):
        top = (_standardised(released[start : start + AT_ONCE]) @ ours.T).topk(2, dim=1)
        ratio = _ratio(top.values)
        kept = ((top.values[:, 0] >= ALIKE) & (ratio <= most)).nonzero().squeeze(1)
        found.append(Outstanding(top.indices[kept, 0], kept + start, top.values[kept, 0], ratio[kept]))
    nothing = torch.zeros(0)
    empty = Outstanding(nothing.long(), nothing.long(), nothing, nothing)
    return Outstanding(*(torch.cat(parts) for parts in zip(empty, *found, strict=True)))


def threshold(ours: Tensor, searched: int) -> float:
    """The ratio below which `RATE` of so many unrelated pictures are expected, `RATIO` at most.

    Where pictures lie as on a space of m dimensions, the ratio of an unrelated one is below r with probability r^m
    (TwoNN, arXiv 1803.06992, equation 4). What m is, the median says of private pictures among the others.

    Args:
        ours: (N, D) private pictures, of length 1.
        searched: released pictures.
    """
    among = ours[:ASKED] @ ours.T
    among[:, : len(among)].fill_diagonal_(-1)
    median = _ratio(among.topk(2, dim=1).values).median().item()
    if not 0 < median < 1:  # more than half of them are there twice, or all as far from all
        return 0.0 if median == 0 else RATIO
    dimensions = math.log(0.5) / math.log(median)
    return min(RATIO, float((RATE / searched) ** (1 / dimensions)))


def _ratio(correlations: Tensor) -> Tensor:
    """Of the distances of what correlates most and next, (N, 2)."""
    apart = (2 - 2 * correlations).clamp_min(0).sqrt()
    return apart[:, 0] / apart[:, 1].clamp_min(1e-6)


def _standardised(images: Tensor, blur: float = 0.0) -> Tensor:
    """(N, D) of mean 0 and length 1; of a blank picture 0."""

    def of(part: Tensor) -> Tensor:
        small = interpolate(part.float(), size=SIDE, mode="area") if part.shape[-1] > SIDE else part.float()
        small = gaussian_blur(small, [13, 13], [blur, blur]) if blur else small
        flat = small.flatten(1)
        return normalize(flat - flat.mean(1, keepdim=True), dim=1)

    return torch.cat([of(part) for part in images.split(4096)]) if len(images) else torch.zeros(0, 1)
