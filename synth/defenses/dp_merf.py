"""A generator whose images have the members' noisy mean random features (DP-MERF, arXiv 2002.11603)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, one_hot

from leakbench.synth.defense import Claim, Release, Resources, Synthesizer
from leakbench.synth.defenses.differential_privacy import (
    check_delta,
    dp_claim,
    noise_multiplier_within_budget,
    noisy_class_means,
)
from leakbench.synth.images import Images
from leakbench.synth.ranges import Count, Positive
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import derive_seed, seeded, seeded_rng

LATENT = 32


@defenses.register("dp-merf")
@dataclass(frozen=True, kw_only=True)
class DPMerf(Synthesizer):
    """DP-MERF (Harder et al., arXiv 2002.11603): one noisy look at the members, then training on nothing else.

    The mean random Fourier features of each class (of a Gaussian kernel) are released once with Gaussian noise; a
    conditional generator is trained until its images have them: the maximum mean discrepancy to the members.

    Args:
        epsilon: of the one look.
        delta: likewise.
        features: random features; half cosines, half sines.
        num_images: how many to release.
        steps: of the generator's training.
        batch_size: images of a step.
        learning_rate: Adam's.

    Raises:
        ValueError: a parameter is out of range.

    Differs from the authors' code: the kernel's width is the median distance of public images instead of a constant,
    and classes' counts are noisy too, so that the claim is for adding or removing an image.
    """

    epsilon: Positive = 8.0
    delta: float = 1e-5
    features: Count = 10000
    num_images: Count = 1000
    steps: Count = 1000
    batch_size: Count = 100
    learning_rate: Positive = 1e-2
    reads_public = True
    relies_on_randomness = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_delta(self.delta)

    @property
    def release_claim(self) -> Claim:
        """The (epsilon, delta) of the one look."""
        return dp_claim(self.epsilon, self.delta, "Gaussian mechanism on mean random features", gaussian=True)

    def release(self, members: Images, resources: Resources) -> Release:
        """Look once, train, sample."""
        seed, device, classes = resources.seed, resources.device, len(members.classes)
        frequencies = self._frequencies(resources.public, seeded_rng("dp-merf", seed)).to(device)
        seen = random_features(members.float().flatten(1).to(device), frequencies).cpu()
        noise = noise_multiplier_within_budget((), self.epsilon, self.delta)
        means = noisy_class_means(seen, members.labels, classes, clip=1.0, noise=noise, randomness=resources.randomness)
        wanted = means.float().to(device)
        with seeded(derive_seed("dp-merf", seed)):
            made = _Generator(classes, tuple(members.pixels.shape[1:])).to(device)
        self._train(made, wanted, frequencies, seeded_rng("dp-merf latents", seed, device=device))
        labels = torch.arange(self.num_images) % classes
        latents = seeded_rng("dp-merf release", seed, device=device)
        with torch.no_grad():
            pixels = torch.cat([made.eval().sample(part.to(device), latents) for part in labels.split(500)])
        return Release(Images((pixels * 255).round().to(torch.uint8).cpu(), labels, members.classes))

    def _frequencies(self, public: Images, rng: torch.Generator) -> Tensor:
        """(D, features / 2) of a Gaussian kernel as wide as public images lie apart."""
        known = public.float().flatten(1)
        some = known[torch.randperm(len(known), generator=rng)[:500]]
        width = torch.pdist(some).median() if len(some) > 1 else torch.tensor(0.0)
        if not width > 0:
            raise ValueError(
                "the public images must be two different ones at least: their distance is the kernel's width"
            )
        return torch.randn(known.shape[1], max(1, self.features // 2), generator=rng) / width

    def _train(self, made: "_Generator", wanted: Tensor, frequencies: Tensor, rng: torch.Generator) -> None:
        optimizer = torch.optim.Adam(made.parameters(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        for _ in range(self.steps):
            labels = torch.randint(len(wanted), (self.batch_size,), generator=rng, device=rng.device)
            weights = one_hot(labels, len(wanted)).float()
            weights = weights / weights.sum(0).clamp_min(1)
            found = weights.T @ random_features(made.sample(labels, rng).flatten(1), frequencies)
            there = weights.sum(0) > 0
            loss = (found - wanted)[there].square().sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()


def random_features(vectors: Tensor, frequencies: Tensor) -> Tensor:
    """(N, 2 F) cosines and sines, of norm 1: their inner products approach a Gaussian kernel (Rahimi and Recht)."""
    angles = vectors @ frequencies
    waves = torch.cat([angles.cos(), angles.sin()], 1)
    return waves * float(frequencies.shape[1] ** -0.5)


class _Generator(nn.Module):
    """From a class and a latent vector to an image: one linear layer, then two that double the resolution."""

    def __init__(self, classes: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.classes, self.shape = classes, shape
        self.first = nn.Sequential(nn.Linear(LATENT + classes, 64 * 8 * 8), nn.BatchNorm1d(64 * 8 * 8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(64, 32, 5, 1, 2), nn.BatchNorm2d(32), nn.ReLU())
        self.third = nn.Conv2d(32, shape[0], 5, 1, 2)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Images (N, C, H, W) in [0, 1] of these labels."""
        latent = torch.randn(len(labels), LATENT, generator=rng, device=rng.device)
        x = self.first(torch.cat([latent, one_hot(labels, self.classes).float()], 1)).view(-1, 64, 8, 8)
        x = self.second(interpolate(x, scale_factor=2, mode="bilinear"))
        logits: Tensor = self.third(interpolate(x, size=self.shape[1:], mode="bilinear"))
        return torch.sigmoid(logits)
