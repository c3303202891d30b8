"""A diffusion model trained from scratch on the members: what people publish today, and no defense at all."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.optim.swa_utils import AveragedModel

from leakbench.synth.defense import Release, Resources, Synthesizer
from leakbench.synth.images import Images
from leakbench.synth.networks.training import autocast, batches
from leakbench.synth.networks.unet import UNet
from leakbench.synth.ranges import Count, Positive
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import derive_seed, seeded, seeded_rng

KEPT = 0.999
"""What a step keeps of the mean of the weights, at most."""


@defenses.register("diffusion")
@dataclass(frozen=True, kw_only=True)
class Diffusion(Synthesizer):
    """Images drawn from a class-conditional diffusion model (DDPM, arXiv 2006.11239); no guarantee.

    A U-Net learns from members mixed with noise, x_t = cos(pi t / 2) x + sin(pi t / 2) e, what tells the two apart, v =
    cos e - sin x (arXiv 2202.00512). Images are drawn by DDIM (arXiv 2010.02502) from the mean of the weights. Of few
    members, long trained, it learns every one by heart and gives them back (arXiv 2301.13188; 153 of 200 in
    docs/results/audits): so it shows members, and what it releases lies apart until somebody has audited it.

    Args:
        num_images: how many to draw; classes in turn, those that have members.
        steps: of the training.
        batch_size: members a step.
        learning_rate: Adam's, after a warm-up of a twentieth of the steps.
        width: channels of the widest resolution, a multiple of 8.
        draws: steps from noise to image.

    Raises:
        ValueError: a parameter is out of range.

    Differs from the paper: continuous time, patches of pixels as channels where images are larger than 16 pixels, a
    network about 1/100 as large; no flips, which some private images (digits, text) do not survive.
    """

    num_images: Count = 1000
    steps: Count = 10000
    batch_size: Count = 32
    learning_rate: Positive = 1e-3
    width: Count = 48
    draws: Count = 50
    shows_members = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % 8:
            raise ValueError(f"diffusion.width must be a multiple of 8, got {self.width}")

    def release(self, members: Images, resources: Resources) -> Release:
        """Train, draw."""
        seed, device = resources.seed, resources.device
        present = members.labels.unique()
        with seeded(derive_seed("diffusion", seed)):
            network = UNet(
                classes=len(members.classes), channels=members.pixels.shape[1], side=members.side, width=self.width
            )
        mean = self._train(network.to(device), members, seed, device)
        labels = present[torch.arange(self.num_images) % len(present)]
        rng = seeded_rng("diffusion release", seed, device=device)
        pixels = torch.cat([self._draw(mean, part.to(device), members, rng) for part in labels.split(250)])
        return Release(Images(pixels, labels, members.classes))

    def _train(self, network: UNet, members: Images, seed: int, device: torch.device) -> AveragedModel:
        """Learn to tell members from noise; the mean of the weights over the steps."""
        pixels, labels = members.pixels.to(device), members.labels.to(device)
        mean = AveragedModel(network, avg_fn=_averaged).eval()
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        warm = max(1, self.steps // 20)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / warm, 1.0))
        rng = seeded_rng("diffusion training", seed, device=device)
        for _, index in zip(range(self.steps), batches(len(pixels), self.batch_size, rng), strict=False):
            images = pixels[index].float().div_(127.5).sub_(1)
            times = torch.rand(len(index), generator=rng, device=device)
            noise = torch.randn(images.shape, generator=rng, device=device)
            kept, added = mixture(times[:, None, None, None])
            with autocast(device):
                found = network(kept * images + added * noise, times, labels[index])
            loss = mse_loss(found.float(), kept * noise - added * images)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            mean.update_parameters(network)
        return mean

    @torch.no_grad()
    def _draw(self, network: AveragedModel, labels: Tensor, like: Images, rng: torch.Generator) -> Tensor:
        """uint8 images of these classes, each from noise of its own (DDIM, without noise on the way)."""
        device = labels.device
        x = torch.randn((len(labels), *like.pixels.shape[1:]), generator=rng, device=device)
        times = torch.linspace(1, 0, self.draws + 1, device=device)
        for now, then in pairwise(times):
            with autocast(device):
                found = network(x, now.expand(len(labels)), labels).float()
            kept, added = mixture(now)
            image, noise = (kept * x - added * found).clamp(-1, 1), added * x + kept * found
            kept, added = mixture(then)
            x = kept * image + added * noise
        return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()


def _averaged(mean: Tensor, weights: Tensor, steps: Tensor | int) -> Tensor:
    """The mean of the weights after another step: of all steps alike at first, then of the last 1,000 or so."""
    share = min(KEPT, (int(steps) + 1) / (int(steps) + 10))
    return mean.lerp(weights, 1 - share)


def mixture(times: Tensor) -> tuple[Tensor, Tensor]:
    """What is left of the image at a time in [0, 1], and how much noise there is."""
    return (times * (math.pi / 2)).cos(), (times * (math.pi / 2)).sin()
