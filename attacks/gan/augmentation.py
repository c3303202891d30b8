"""Augmentations that gradients pass through, one draw per image (DiffAugment, arXiv 2006.10738, section 3.3)."""

import torch
from torch import Tensor
from torch.nn.functional import pad

REACH = 1 / 8
"""Largest translation, as a share of the side; beyond it comes black."""
HOLE = 1 / 2
"""Side of the square that is cut out, as a share of the image's."""


def augment(images: Tensor, rng: torch.Generator) -> Tensor:
    """Brightness, saturation, contrast, translation and cutout of a whole batch, each image by its own draws.

    Args:
        images: float (N, C, H, W) in [0, 1]; what comes out may leave that range, as in the paper.
        rng: of the draws, on the images' device.
    """
    return cutout(translate(recolour(images, rng), rng), rng)


def recolour(images: Tensor, rng: torch.Generator) -> Tensor:
    """Brightness by up to 0.25 either way, saturation by a factor of 0 to 2, contrast of 0.5 to 1.5."""
    brighter, saturated, contrasted = torch.rand(3, len(images), 1, 1, 1, generator=rng, device=images.device)
    images = images + (brighter - 0.5) / 2
    gray = images.mean(1, keepdim=True)
    images = gray + (images - gray) * saturated * 2
    middle = images.mean((1, 2, 3), keepdim=True)
    return middle + (images - middle) * (contrasted + 0.5)  # type: ignore[no-any-return]


def translate(images: Tensor, rng: torch.Generator) -> Tensor:
    """Shift by up to `REACH` in either direction."""
    count, _, height, width = images.shape
    reach = round(REACH * min(height, width))
    down, right = torch.randint(0, 2 * reach + 1, (2, count, 1), generator=rng, device=images.device)
    rows = down + torch.arange(height, device=images.device)
    columns = right + torch.arange(width, device=images.device)
    padded = pad(images, (reach,) * 4).permute(0, 2, 3, 1)
    index = torch.arange(count, device=images.device)[:, None, None]
    return padded[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cutout(images: Tensor, rng: torch.Generator) -> Tensor:
    """Black out a square whose centre may lie anywhere in the image."""
    _, _, height, width = images.shape

    def outside(size: int) -> Tensor:
        centre = torch.rand(len(images), 1, generator=rng, device=images.device) * size
        return (torch.arange(size, device=images.device) - centre).abs() > HOLE * size / 2

    seen = outside(height)[:, :, None] | outside(width)[:, None, :]
    return images * seen[:, None]
