"""A client of a federation trains a generator against the shared model (Hitaj et al., arXiv 1702.07464)."""

import copy
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from leakbench.attacks.attack import Attack, attacks
from leakbench.attacks.gan.generator import Generator
from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.view import Access, Seat, View
from leakbench.synth.ranges import Count, ProperShare
from leakbench.synth.seeds import seeded, seeded_rng


@attacks.register("hitaj")
@dataclass(frozen=True, kw_only=True)
class Hitaj(Attack):
    """Learn what other clients' classes look like, from the model that they help to train.

    The attacker is one client among honest ones. Every round it downloads the shared model and trains a generator so
    that the model takes its images for the other clients' classes; then it trains locally on its own images and on
    its fakes *labelled as the extra class*, and uploads the result, which makes the honest clients teach the model
    what still tells their images from the fakes. Success is generated images that show the class, as an oracle
    sees it that was trained on real images the attack never touched. That a class leaks does not mean that members
    leak: the judge measures the two apart.

    Args:
        samples: images generated for each attacked class, for judging.
        start_round: first round in which the attacker trains its generator; before, it is an honest client.
        generator_steps: generator updates per round.
        local_steps: training steps on own images and fakes per round.
        fakes: share of fakes in a local batch.
        batch_size: of either.
        learning_rate: Adam's, of the generator.
        smoothness: weight of the total variation of generated images.
        average: decay of the moving average of the generator's weights, which draws the images in the end.

    Differs from the paper: one class-conditional generator attacks all other clients' classes at once, and a moving
    average of it is kept. Its images are not augmented, though data are few: the honest clients do not augment theirs,
    and the shared model then learns to tell fakes by that.
    """

    samples: Count = 16
    start_round: int = 10
    generator_steps: Count = 6
    local_steps: Count = 4
    fakes: ProperShare = 0.3
    batch_size: Count = 64
    learning_rate: float = 1e-3
    smoothness: float = 0.5
    average: Annotated[float, Ge(0), Lt(1)] = 0.98

    family = "gan"
    needs = frozenset({Access.FEDERATION})
    goal = "class"

    def run(self, view: View, *, seed: int, device: torch.device) -> Reconstructions:
        """Play the federation, then generate every attacked class."""
        seat = view.federation()
        attacker = _Attacker(self, seat, seed, device)
        seat.join(attacker)
        targets = attacker.targets.repeat_interleave(self.samples)
        images = attacker.shown(torch.arange(len(attacker.targets), device=device).repeat_interleave(self.samples))
        return Reconstructions(images.clamp(0, 1).cpu(), targets.cpu(), notes={"generator loss": attacker.last_loss})


class _Attacker:
    """The client: a participant of the federation with a generator.

    Everything in float32: in bf16 the generator covers less of a class (docs/results/gan-jpeg-cpu).
    """

    def __init__(self, settings: Hitaj, seat: Seat, seed: int, device: torch.device) -> None:
        self.settings, self.seat, self.device = settings, seat, device
        self.rng = seeded_rng("hitaj", seed, device=device)
        self.targets = torch.tensor(seat.others, device=device)
        with seeded(seed):
            self.generator = Generator(classes=len(seat.others), side=seat.own.side).to(device)
        self.average = AveragedModel(
            self.generator, multi_avg_fn=get_ema_multi_avg_fn(settings.average), use_buffers=True
        )
        self.optimizer = torch.optim.Adam(self.generator.parameters(), lr=settings.learning_rate, betas=(0.5, 0.999))
        self.last_loss = float("nan")

    def _latent(self, which: Tensor) -> Tensor:
        return torch.randn((len(which), self.generator.latent), generator=self.rng, device=self.device)

    def generate(self, which: Tensor) -> Tensor:
        """Images of the attacked classes at these positions, by the generator in training."""
        return self.generator(self._latent(which), which)  # type: ignore[no-any-return]

    @torch.no_grad()
    def shown(self, which: Tensor) -> Tensor:
        """The same by its moving average."""
        return self.average.eval()(self._latent(which), which)  # type: ignore[no-any-return]

    def local_round(self, shared: nn.Module, round_index: int) -> nn.Module:
        """Train the generator against the shared model, then poison a local copy of it."""
        attacking = round_index >= self.settings.start_round
        if attacking:
            self._train_generator(shared.eval().requires_grad_(False))
        return self._train_locally(copy.deepcopy(shared).requires_grad_(True), attacking)

    def _which(self, count: int) -> Tensor:
        return torch.randint(len(self.targets), (count,), generator=self.rng, device=self.device)

    def _train_generator(self, shared: nn.Module) -> None:
        self.generator.train()
        for _ in range(self.settings.generator_steps):
            which = self._which(self.settings.batch_size)
            images = self.generate(which)
            roughness = images.diff(dim=2).abs().mean() + images.diff(dim=3).abs().mean()
            loss = cross_entropy(shared(images), self.targets[which]) + self.settings.smoothness * roughness
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.average.update_parameters(self.generator)
            self.last_loss = float(loss.detach())

    def _train_locally(self, model: nn.Module, attacking: bool) -> nn.Module:
        model.train()
        own = self.seat.own
        fakes = round(self.settings.fakes * self.settings.batch_size) if attacking else 0
        optimizer = torch.optim.SGD(model.parameters(), lr=self.seat.learning_rate, momentum=0.9)
        for _ in range(self.settings.local_steps):
            index = torch.randint(
                len(own), (self.settings.batch_size - fakes,), generator=self.rng, device=self.device
            ).cpu()
            images = own.pixels[index].to(self.device).float() / 255
            labels = own.labels[index].to(self.device)
            if fakes:
                with torch.no_grad():
                    images = torch.cat([images, self.generate(self._which(fakes))])
                labels = torch.cat([labels, labels.new_full((fakes,), self.seat.extra_class)])
            optimizer.zero_grad(set_to_none=True)
            cross_entropy(model(images), labels).backward()
            optimizer.step()
        return model.eval()
