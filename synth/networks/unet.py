"""A small U-Net that tells the noise from the image, as diffusion models need one."""

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    group_norm,
    interpolate,
    pad,
    pixel_shuffle,
    pixel_unshuffle,
    scaled_dot_product_attention,
    silu,
)

GRID = 16
"""Cells a side that the network works on, about: larger images go in by patches, whose pixels are channels."""
GROUPS = 8


class UNet(nn.Module):
    """Two resolutions of residual blocks, attention at the lower one; time and class shift every block.

    Args:
        classes: how many classes it can be asked for.
        channels: of the images.
        side: pixels of the images.
        width: channels at the higher resolution, a multiple of 8; twice as many at the lower one.
    """

    def __init__(self, *, classes: int, channels: int, side: int, width: int) -> None:
        super().__init__()
        self.side, self.width, self.patch = side, width, max(1, side // GRID)
        inside, told = channels * self.patch**2, 4 * width
        self.classes = nn.Embedding(classes, told)
        self.time = nn.Sequential(nn.Linear(width, told), nn.SiLU(), nn.Linear(told, told))
        self.first = nn.Conv2d(inside, width, 3, 1, 1)
        self.down = nn.ModuleList([_Block(width, width, told), _Block(width, width, told)])
        self.smaller = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.middle = nn.ModuleList([_Block(2 * width, 2 * width, told), _Block(2 * width, 2 * width, told)])
        self.attention = _Attention(2 * width)
        self.up = nn.ModuleList([_Block(4 * width, width, told), _Block(2 * width, width, told)])
        self.last = nn.Conv2d(width, inside, 3, 1, 1)
        nn.init.zeros_(self.last.weight)

    def forward(self, images: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        """What the network makes of noisy images (N, C, H, W), times (N,) in [0, 1] and classes (N,)."""
        extra = -self.side % self.patch
        x = self.first(pixel_unshuffle(pad(images, (0, extra, 0, extra), mode="replicate"), self.patch))
        told = silu(self.time(waves(times, self.width)) + self.classes(labels))
        one = self.down[0](x, told)
        two = self.down[1](one, told)
        low = self.middle[0](self.smaller(two), told)
        low = self.middle[1](self.attention(low), told)
        x = self.up[0](torch.cat([interpolate(low, size=two.shape[2:]), two, one], 1), told)
        x = self.up[1](torch.cat([x, one], 1), told)
        made: Tensor = pixel_shuffle(self.last(silu(group_norm(x, GROUPS))), self.patch)
        return made[:, :, : self.side, : self.side]


def waves(times: Tensor, count: int) -> Tensor:
    """(N, count) sines and cosines of times in [0, 1], of frequencies from 1 to 1,000 (arXiv 1706.03762)."""
    frequencies = torch.logspace(0, 3, count // 2, device=times.device)
    angles = times[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)


class _Block(nn.Module):
    """Two convolutions behind group norms, told the time and the class between them, and a way past both."""

    def __init__(self, before: int, after: int, told: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(GROUPS, before), nn.SiLU(), nn.Conv2d(before, after, 3, 1, 1))
        self.shift = nn.Linear(told, 2 * after)
        self.norm = nn.GroupNorm(GROUPS, after)
        self.second = nn.Conv2d(after, after, 3, 1, 1)
        self.past = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.shift(told)[:, :, None, None].chunk(2, 1)
        inner = self.second(silu(self.norm(self.first(x)) * (1 + scale) + shift))
        added: Tensor = self.past(x) + inner
        return added


class _Attention(nn.Module):
    """Every cell looks at every other one; four heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.ask, self.out = (
            nn.GroupNorm(GROUPS, width),
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        cells = self.norm(x).flatten(2).transpose(1, 2)
        query, key, value = self.ask(cells).unflatten(2, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        seen = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        added: Tensor = x + self.out(seen).transpose(1, 2).view_as(x)
        return added
