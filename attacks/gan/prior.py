"""A generator of plausible images, learned from an attacker's own (hinge loss, spectral norm, arXiv 1802.05957)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from leakbench.attacks.gan.augmentation import augment
from leakbench.attacks.gan.generator import Generator
from leakbench.attacks.learner import Tensors, flatten_tensors, unflatten_tensors
from leakbench.synth.images import Images
from leakbench.synth.networks.training import autocast, batches
from leakbench.synth.seeds import seeded, seeded_rng


class Discriminator(nn.Module):
    """Says how real an image looks; the spectral norm of every layer's weights, as a matrix, is 1.

    Args:
        side: pixels of the images.
        width: channels of the first layer; each of the three that halve the image doubles them.
    """

    def __init__(self, *, side: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [spectral_norm(nn.Conv2d(3, width, 3, 1, 1)), nn.LeakyReLU(0.1)]
        for _ in range(3):
            layers += [spectral_norm(nn.Conv2d(width, 2 * width, 4, 2, 1)), nn.LeakyReLU(0.1)]
            width, side = 2 * width, side // 2
        self.body = nn.Sequential(*layers, nn.Flatten(), spectral_norm(nn.Linear(width * side**2, 1)))

    def forward(self, images: Tensor) -> Tensor:
        """Scores (N,) of images (N, 3, side, side) in [0, 1]; higher looks more real."""
        return self.body(2 * images - 1).squeeze(1)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Prior:
    """What an attacker knows of images in general.

    Args:
        generator: from latent vectors to images; the moving average of the one that was trained.
        discriminator: says how real they look.
    """

    generator: Generator
    discriminator: Discriminator


@dataclass(frozen=True, kw_only=True)
class PriorTraining:
    """How a `Prior` is learned: by what is common practice for images of 32 pixels.

    Spectral norm in the discriminator and the hinge loss (arXiv 1802.05957), augmentations of real and generated images
    alike, because the images are few (arXiv 2006.10738), and a moving average of the generator's weights.

    Args:
        steps: of the generator; the discriminator takes as many.
        batch_size: images of either kind a step.
        width: channels of the generator's widest layer; the discriminator's first has a quarter.
        learning_rate: Adam's, of both.
        average: decay of the moving average.
    """

    steps: int = 2000
    batch_size: int = 32
    width: int = 128
    learning_rate: float = 1e-3
    average: float = 0.98

    def train(self, images: Images, *, seed: int, device: torch.device) -> Prior:
        """Train on these images; their labels are not looked at."""
        rng = seeded_rng("prior", seed, device=device)
        made, judge = self._networks(images.side, seed, device)
        average = AveragedModel(made, multi_avg_fn=get_ema_multi_avg_fn(self.average), use_buffers=True)
        optimizers = [torch.optim.Adam(n.parameters(), lr=self.learning_rate, betas=(0.0, 0.9)) for n in (made, judge)]
        pixels = images.pixels.to(device)
        for _, index in zip(range(self.steps), batches(len(pixels), self.batch_size, rng), strict=False):
            real = pixels[index].to(memory_format=torch.channels_last).float().div_(255)
            fakes = made.sample(len(real), rng)
            judge.requires_grad_(True)
            scores = self._score(judge, augment(torch.cat([real, fakes.detach()]), rng)).chunk(2)
            _descend(optimizers[1], relu(1 - scores[0]).mean() + relu(1 + scores[1]).mean())
            judge.requires_grad_(False)
            _descend(optimizers[0], -self._score(judge, augment(fakes, rng)).mean())
            average.update_parameters(made)
        made.load_state_dict(average.module.state_dict())
        return Prior(made.eval().requires_grad_(False), judge.eval().requires_grad_(False))

    def learn(self, images: Images, *, seed: int, device: torch.device) -> Tensors:
        """The weights of both networks, trained on these images."""
        prior = self.train(images, seed=seed, device=device)
        return flatten_tensors({name: getattr(prior, name).state_dict() for name in ("generator", "discriminator")})

    def restore(self, learned: Tensors, images: Images, *, device: torch.device) -> Prior:
        """The prior of these weights."""
        prior = Prior(*self._networks(images.side, 0, device))
        for name in ("generator", "discriminator"):
            getattr(prior, name).load_state_dict(unflatten_tensors(learned, name))
            getattr(prior, name).eval().requires_grad_(False)
        return prior

    def _networks(self, side: int, seed: int, device: torch.device) -> tuple[Generator, Discriminator]:
        with seeded(seed):
            made = Generator(classes=1, side=side, latent=128, width=self.width)
            judge = Discriminator(side=side, width=self.width // 4)
        layout = torch.channels_last
        return made.to(device).to(memory_format=layout), judge.to(device).to(memory_format=layout)

    def _score(self, judge: Discriminator, images: Tensor) -> Tensor:
        with autocast(images.device):
            return judge(images).float()  # type: ignore[no-any-return]


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
