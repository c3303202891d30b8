"""Inverting a student with a generator learned elsewhere (GMI, arXiv 1911.07135; KEDMI, arXiv 2010.04092)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from leakbench.attacks.attack import Attack, attacks
from leakbench.attacks.gan.augmentation import augment
from leakbench.attacks.gan.prior import Prior, PriorTraining
from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.view import Access, View
from leakbench.metrics.features import precision_recall
from leakbench.synth.images import Images
from leakbench.synth.networks.training import autocast, penultimate
from leakbench.synth.ranges import Count
from leakbench.synth.seeds import seeded_rng

SHOWN = 500
"""Images of either kind by which the prior's precision and recall are told."""


@attacks.register("gan-inversion")
@dataclass(frozen=True, kw_only=True)
class GanInversion(Attack):
    """Learn what a student's classes look like, from its weights and a generator of plausible images.

    The attacker holds the weights of a student of the release and unlabelled images of other people. It learns to
    generate images like those, then searches the generator's latent space for what the student takes for each class
    and the discriminator for real. Success is generated images that show the class, as an oracle sees it that no
    attack ever touched. The attacker's own images are of the same distribution as the members, so what shows a class
    may come from them: that a class leaks says that the student points at it, and says nothing of members, whom the
    judge measures apart.

    Args:
        search: ``points``: a latent vector for each image (GMI, equation 3). ``distribution``: a Gaussian of latent
            vectors for each class, from which the images are drawn (KEDMI, equation 6).
        samples: images of each class.
        iterations: of the search.
        learning_rate: Adam's, of the search.
        label_weight: of the student's cross-entropy against the discriminator's score.
        prior_steps: generator updates of the training on the attacker's own images.
        prior_width: channels of the generator's widest layer.

    Differs from the papers: the generator gets no corrupted copy of the victim's image; the discriminator does not
    learn the student's labels, as KEDMI's does; the student sees the images augmented.
    """

    search: Literal["points", "distribution"] = "points"
    samples: Count = 16
    iterations: Count = 200
    learning_rate: float = 0.05
    label_weight: float = 10.0
    prior_steps: Count = 2000
    prior_width: int = 128

    family = "gan"
    needs = frozenset({Access.MODEL, Access.AUXILIARY})
    goal = "class"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prior_width < 4 or self.prior_width % 4:
            raise ValueError(f"gan-inversion.prior_width must be a multiple of 4, got {self.prior_width}")

    def run(self, view: View, *, seed: int, device: torch.device) -> Reconstructions:
        """Learn the prior, search, and draw the images."""
        student = view.model().network.to(device).eval().requires_grad_(False)
        own = view.auxiliary()
        prior: Prior = view.train_on_auxiliary(PriorTraining(steps=self.prior_steps, width=self.prior_width))
        rng = seeded_rng("gan-inversion", seed, device=device)
        targets = torch.arange(len(own.classes), device=device).repeat_interleave(self.samples)
        latents, parameters = self._latents(len(own.classes), prior.generator.latent, rng)
        self._search(student, prior, targets, latents, parameters, rng)
        with torch.no_grad():
            images = prior.generator.decode(latents())
        return Reconstructions(
            images.clamp(0, 1).cpu(), targets.cpu(), notes=_convergence(prior, own, student, rng=rng, device=device)
        )

    def _latents(
        self, classes: int, length: int, rng: torch.Generator
    ) -> tuple[Callable[[], Tensor], tuple[Tensor, ...]]:
        """What draws latent vectors (classes x samples, length), and the parameters that it draws from."""
        shape = (classes, self.samples, length)
        if self.search == "points":
            points = torch.randn(shape, generator=rng, device=rng.device).requires_grad_()
            return lambda: points.flatten(0, 1), (points,)
        mean, log_scale = (torch.zeros(classes, 1, length, device=rng.device).requires_grad_() for _ in range(2))

        def draw() -> Tensor:
            noise = torch.randn(shape, generator=rng, device=rng.device)
            return (mean + log_scale.exp() * noise).flatten(0, 1)

        return draw, (mean, log_scale)

    def _search(
        self,
        student: nn.Module,
        prior: Prior,
        targets: Tensor,
        latents: Callable[[], Tensor],
        parameters: tuple[Tensor, ...],
        rng: torch.Generator,
    ) -> None:
        """Adam on the latent vectors, or on where they are drawn from."""
        optimizer = torch.optim.Adam(parameters, lr=self.learning_rate)
        for _ in range(self.iterations):
            images = prior.generator.decode(latents())
            with autocast(images.device):
                logits, realness = student(augment(images, rng)).float(), prior.discriminator(images).float()
            identity = cross_entropy(logits, targets, reduction="sum")
            optimizer.zero_grad(set_to_none=True)
            (self.label_weight * identity - realness.sum()).backward()
            optimizer.step()


def _convergence(
    prior: Prior, own: Images, student: nn.Module, *, rng: torch.Generator, device: torch.device
) -> dict[str, float]:
    """Whether the prior has learned the attacker's images, and all of them, in the student's features."""
    count = min(SHOWN, len(own))
    with torch.no_grad():
        images = (prior.generator.sample(count, rng).clamp(0, 1) * 255).round().to(torch.uint8)
    made, real = (
        penultimate(student, pixels, device=device).double().numpy() for pixels in (images, own.pixels[:count])
    )
    precision, recall = precision_recall(made, real)
    return {"prior's precision": precision, "prior's recall": recall}
