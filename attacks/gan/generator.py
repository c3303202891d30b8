"""A small class-conditional DCGAN generator."""

import torch
from torch import Tensor, nn

from leakbench.synth.networks.training import autocast


class Generator(nn.Module):
    """From latent vectors and classes to images in [0, 1]: nearest-neighbour upsampling, 3x3 convolutions.

    Each class has an embedding that is multiplied into the latent vector. Upsampling replaces DCGAN's transposed
    convolutions, whose checkerboards a discriminator that is a classifier does not punish.

    Args:
        classes: how many classes it can be asked for.
        side: pixels of the images (cut from the next multiple of 4).
        latent: length of the latent vectors.
        width: channels of the widest layer.
    """

    def __init__(self, *, classes: int, side: int, latent: int = 64, width: int = 64) -> None:
        super().__init__()
        self.latent, self.width, self.side, self.base = latent, width, side, -(-side // 4)
        self.embedding = nn.Embedding(classes, latent)
        self.project = nn.Linear(latent, width * self.base**2)
        self.body = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(width, width // 2, 3, 1, 1),
            nn.BatchNorm2d(width // 2),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(width // 2, width // 4, 3, 1, 1),
            nn.BatchNorm2d(width // 4),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width // 4, 3, 3, 1, 1),
        )

    def forward(self, z: Tensor, classes: Tensor) -> Tensor:
        """Generate (N, 3, side, side) images from z (N, latent) and classes (N,)."""
        seeds = self.project(z * self.embedding(classes)).view(len(z), self.width, self.base, self.base)
        return torch.sigmoid(self.body(seeds))[:, :, : self.side, : self.side]

    def decode(self, z: Tensor) -> Tensor:
        """Images of the first class, in bf16 arithmetic where the hardware has it."""
        with autocast(z.device):
            return self(z, torch.zeros(len(z), dtype=torch.int64, device=z.device)).float()  # type: ignore[no-any-return]

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """`count` images of the first class, from latent vectors of their own."""
        return self.decode(torch.randn((count, self.latent), generator=rng, device=rng.device))
