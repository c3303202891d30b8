"""Pictures that tests are made of."""

import io

import torch
from PIL import Image
from torch.nn.functional import interpolate
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from leakbench.synth.seeds import seeded_rng


def pictures(name, count=300):
    """Smooth random pictures."""
    coarse = torch.rand(count, 3, 4, 4, generator=seeded_rng(name))
    fine = interpolate(coarse, size=16, mode="bicubic").clamp(0, 1)
    return (fine * 255).round().to(torch.uint8)


def textured(name, count=20, side=96):
    """Random pictures with something in them at every scale, as photographs have."""
    rng = seeded_rng(name)
    octaves = [
        interpolate(torch.rand(count, 3, cells, cells, generator=rng), size=side, mode="bicubic") * (8 / cells) ** 0.5
        for cells in (4, 8, 16, 32, 64)
    ]
    total = torch.stack(octaves).sum(0)
    spread = (total - total.mean((2, 3), keepdim=True)) / total.std((2, 3), keepdim=True)
    return (spread * 50 + 128).clamp(0, 255).round().to(torch.uint8)


def jpeg(image, quality):
    buffer = io.BytesIO()
    to_pil_image(image).save(buffer, "JPEG", quality=quality)
    return pil_to_tensor(Image.open(buffer))
