"""Pictures that are nearer to one private picture than to any other, by far: blurred, or of a coarse JPEG, or noisy."""

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
"""Distance of a copy to its original over that to the next private picture, at most.

Of 4,000 photographs of CIFAR-10 among 4,000 of other people, those below are its natural twins; of 300 by 300 of
ImageNet the least is 0.76."""
AT_ONCE = 2048


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
    for start in range(0, len(released) if len(private) >= FEWEST else 0, AT_ONCE):
        likeness = _standardised(released[start : start + AT_ONCE]) @ ours.T
        top = likeness.topk(2, dim=1)
        apart = (2 - 2 * top.values).clamp_min(0).sqrt()
        ratio = apart[:, 0] / apart[:, 1].clamp_min(1e-6)
        kept = ((top.values[:, 0] >= ALIKE) & (ratio <= RATIO)).nonzero().squeeze(1)
        found.append(Outstanding(top.indices[kept, 0], kept + start, top.values[kept, 0], ratio[kept]))
    nothing = torch.zeros(0)
    empty = Outstanding(nothing.long(), nothing.long(), nothing, nothing)
    return Outstanding(*(torch.cat(parts) for parts in zip(empty, *found, strict=True)))


def _standardised(images: Tensor, blur: float = 0.0) -> Tensor:
    """(N, D) of mean 0 and length 1; of a blank picture 0."""

    def of(part: Tensor) -> Tensor:
        small = interpolate(part.float(), size=SIDE, mode="area") if part.shape[-1] > SIDE else part.float()
        small = gaussian_blur(small, [13, 13], [blur, blur]) if blur else small
        flat = small.flatten(1)
        return normalize(flat - flat.mean(1, keepdim=True), dim=1)

    return torch.cat([of(part) for part in images.split(4096)]) if len(images) else torch.zeros(0, 1)
