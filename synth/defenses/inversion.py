"""Inversion: noise optimised until a network's batch-norm statistics of it are the wanted ones."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from leakbench.synth.defense import Synthesizer
from leakbench.synth.defenses.matching import Matching
from leakbench.synth.networks.architectures import MEAN, STD
from leakbench.synth.networks.compilation import forward
from leakbench.synth.networks.statistics import recorded_moments
from leakbench.synth.networks.training import autocast
from leakbench.synth.ranges import Count, Positive


def total_variation(x: Tensor) -> Tensor:
    """Sum of the un-averaged L2 norms of the four shifts, diagonals included (DeepInversion, arXiv 1912.08795)."""
    shifts = (
        x[:, :, :, :-1] - x[:, :, :, 1:],
        x[:, :, :-1] - x[:, :, 1:],
        x[:, :, :-1, :-1] - x[:, :, 1:, 1:],
        x[:, :, :-1, 1:] - x[:, :, 1:, :-1],
    )
    return torch.stack([torch.linalg.vector_norm(shift) for shift in shifts]).sum()


class Pass(NamedTuple):
    """One step's forward pass.

    Args:
        images: (N, C, H, W) in normalised units.
        view: what was done to them before the network saw them.
        seen: (N, C, H, W) what it saw.
        logits: (N, K) what it said.
        network: that saw it.
    """

    images: Tensor
    view: Callable[[Tensor], Tensor]
    seen: Tensor
    logits: Tensor
    network: nn.Module


@dataclass(frozen=True, kw_only=True)
class Inversion(Synthesizer):
    """A defense that inverts a teacher's statistics: how noise is optimised.

    Args:
        steps: Adam steps for each batch.
        learning_rate: Adam's, cosine to 0, in normalised units (a quarter of the pixel range).
        batch_size: images optimised together.
        noise_scale: standard deviation of the initial noise in normalised units.
        bn_weight: of the matching loss.
        class_weight: of the cross-entropy of the network's output.
        tv_weight: of the total variation; 0 leaves it out.
        l2_weight: of the batch's L2 norm in normalised units; 0 leaves it out.
        jitter: pixels of random roll before each pass.
        flip: random horizontal flips before each pass.
        soft_labels: publish the network's probabilities beside the hard labels.
    """

    steps: Count = 150
    learning_rate: Positive = 0.1
    batch_size: Count = 250
    noise_scale: float = 1.0
    bn_weight: float = 1.0
    class_weight: float = 1.0
    tv_weight: float = 0.0
    l2_weight: float = 0.0
    jitter: int = 0
    flip: bool = False
    soft_labels: bool = True
    teacher_based = True
    betas = (0.9, 0.999)
    """Adam's."""

    @property
    def publishes_soft_labels(self) -> bool:  # type: ignore[override]
        """Whether the release carries the network's probabilities."""
        return self.soft_labels

    def invert(
        self,
        matchings: Sequence[Matching],
        labels: Tensor,
        shape: tuple[int, ...],
        rng: torch.Generator,
        *,
        start: Tensor | None = None,
        gray: bool = False,
        also: Callable[[Pass], Tensor] | None = None,
    ) -> Tensor:
        """Images that have these labels, and the statistics that networks want.

        Args:
            matchings: of networks in evaluation mode, their parameters frozen; one a step, in turn.
            labels: (N,) of the images.
            shape: (C, H, W) of an image.
            rng: of the noise and of what is done to the images before each pass; its device computes.
            start: uint8 (N, C, H, W) to start from; noise by default.
            gray: all channels are one, as those of gray photographs are: colors that no photograph has are noise to a
                student.
            also: a further term of the loss.

        Returns:
            uint8 (N, C, H, W) on the CPU.

        Raises:
            FloatingPointError: an image is not finite.
        """
        device, wanted = rng.device, labels.to(rng.device)
        x = self._begin((len(wanted), *shape), rng, start, gray).requires_grad_()
        optimizer = torch.optim.Adam([x], lr=self.learning_rate, betas=self.betas)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        # Hooks are compiled too, and nobody looks whether others are there by now: one set of them alone is compiled.
        plain = not any(matched.convolutions for matched in matchings)
        answer = forward(device, plain * self.steps * len(wanted) // len(matchings), shape[-1])
        with ExitStack() as hooked:
            recorded = [hooked.enter_context(recorded_moments(m.network, m.convolutions)) for m in matchings]
            for step in range(self.steps):
                turn = step % len(matchings)
                matched, moments = matchings[turn], recorded[turn]
                moments.clear()
                view = self.view(rng, step / self.steps)
                seen = view(x)
                # Channels last again: rolling gives them up, and each layout would be compiled by itself.
                with autocast(device):
                    shown = (seen * STD + MEAN).contiguous(memory_format=torch.channels_last)
                    logits = answer(matched.network, shown).float()
                loss = self.bn_weight * matched.loss(moments)
                loss = loss + self.class_weight * cross_entropy(logits, wanted) + self._prior(x, seen)
                if also is not None:
                    loss = loss + also(Pass(x, view, seen, logits, matched.network))
                (slope,) = torch.autograd.grad(loss, x)
                x.grad = _one_channel(slope) if gray else slope
                optimizer.step()
                schedule.step()
                with torch.no_grad():
                    x.clamp_(-MEAN / STD, (1 - MEAN) / STD)
        if not torch.isfinite(x).all():
            raise FloatingPointError("the inversion diverged: an image is not finite; lower learning_rate")
        return ((x.detach() * STD + MEAN) * 255).round().to(torch.uint8).contiguous().cpu()

    def _begin(self, shape: tuple[int, ...], rng: torch.Generator, start: Tensor | None, gray: bool) -> Tensor:
        """What is optimised, (N, C, H, W) in normalised units: noise, or what there is to start from."""
        if start is None:
            drawn = (shape[0], 1 if gray else shape[1], *shape[2:])
            begin = (torch.randn(drawn, generator=rng, device=rng.device) * self.noise_scale).expand(shape)
        else:
            begin = (start.to(rng.device).float() / 255 - MEAN) / STD
        return (_one_channel(begin) if gray else begin).contiguous(memory_format=torch.channels_last)

    def _prior(self, x: Tensor, seen: Tensor) -> Tensor:
        """What is asked of the images whatever the network says."""
        loss = x.new_zeros(())
        if self.tv_weight:
            loss = loss + self.tv_weight * total_variation(seen)
        if self.l2_weight:
            loss = loss + self.l2_weight * torch.linalg.vector_norm(x)
        return loss

    def view(self, rng: torch.Generator, progress: float) -> Callable[[Tensor], Tensor]:
        """How the teacher sees a batch (N, C, H, W) at this step: rolled and flipped at random, if asked for.

        Args:
            rng: of what is drawn.
            progress: share of the steps that are done.
        """
        roll, flip = [0, 0], False
        if self.jitter:
            roll = torch.randint(-self.jitter, self.jitter + 1, (2,), generator=rng, device=rng.device).tolist()
        if self.flip:
            flip = bool(torch.rand((), generator=rng, device=rng.device) < 0.5)

        def seen(x: Tensor) -> Tensor:
            rolled = x.roll(roll, (2, 3)) if any(roll) else x
            return rolled.flip(3) if flip else rolled

        return seen


def _one_channel(x: Tensor) -> Tensor:
    """Every channel (N, C, H, W) the mean of all."""
    return x.mean(1, keepdim=True).expand_as(x).contiguous(memory_format=torch.channels_last)


@contextmanager
def frozen(network: nn.Module) -> Iterator[nn.Module]:
    """The network in evaluation mode, its parameters without gradients; they get their flags back."""
    flags = [parameter.requires_grad for parameter in network.parameters()]
    network.eval().requires_grad_(False)
    try:
        yield network
    finally:
        for parameter, flag in zip(network.parameters(), flags, strict=True):
            parameter.requires_grad_(flag)
