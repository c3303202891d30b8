"""Images from a teacher's running statistics: what a network gives away that is published as it is."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, softmax

from leakbench.synth.defense import Release, Resources
from leakbench.synth.defenses.inversion import Inversion, Pass, frozen
from leakbench.synth.defenses.matching import Statistics, matching
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import MEAN, STD, build
from leakbench.synth.networks.training import Recipe, autocast, predict, train
from leakbench.synth.ranges import Count, NotNegative
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import derive_seed, seeded_rng

TEMPERATURE, LEAST_PROBABILITY = 3.0, 0.01
"""Temperature of the probabilities that teacher and student are compared by, and the least of them."""


@defenses.register("deepinversion")
@dataclass(frozen=True, kw_only=True)
class DeepInversion(Inversion):
    """DeepInversion (Yin et al., arXiv 1912.08795): noise optimised until a batch has the teacher's running statistics.

    The statistics are those of all members of all classes together, as they stand in the teacher's batch-norm layers:
    no member's own is looked at. With `adversarial_weight`, images are sought on which a student of the batches so
    far disagrees with the teacher (adaptive DeepInversion, equation 7).

    Args:
        num_images: how many to release.
        adversarial_weight: of one minus the Jensen-Shannon divergence of student and teacher; 0 trains no student.
        student_steps: of the student, after each batch.

    The other parameters are those of `inversion.Inversion`, with the authors' values for CIFAR-10. Differs
    from their code: pixels are clipped to their range at every step, and the learning rate falls by a cosine.

    Raises:
        ValueError: a parameter is out of range, the teacher is missing, or has no batch-norm layer.
    """

    num_images: Count = 1000
    adversarial_weight: NotNegative = 0.0
    student_steps: Count = 100
    steps: Count = 2000
    bn_weight: float = 10.0
    tv_weight: float = 1e-3
    jitter: int = 2

    def release(self, members: Images, resources: Resources) -> Release:
        """Invert batch by batch."""
        teacher, seed, device = resources.teacher, resources.seed, resources.device
        statistics = running_statistics(teacher.to(device), "deepinversion")
        rng = seeded_rng("deepinversion", seed, device=device)
        present = members.labels.unique()
        labels = present[torch.arange(self.num_images) % len(present)]
        made: list[Tensor] = []
        gray = members.is_gray
        with frozen(teacher):
            for part in labels.split(self.batch_size):
                whole = torch.full((1, len(part)), 1 / len(part), device=device)
                also = self._disagreement(made, labels, members.classes, seed, device)
                wanted = matching(teacher, statistics, whole)
                made.append(self.invert([wanted], part, members.pixels.shape[1:], rng, gray=gray, also=also))
            images = Images(torch.cat(made), labels, members.classes)
            soft = predict(teacher, images.pixels, device=device).softmax(1) if self.soft_labels else None
        return Release(images, soft_labels=soft)

    def _disagreement(
        self, made: list[Tensor], labels: Tensor, classes: tuple[str, ...], seed: int, device: torch.device
    ) -> Callable[[Pass], Tensor] | None:
        """What asks for images on which a student of those made so far disagrees with the teacher."""
        if not self.adversarial_weight or not made:
            return None
        pixels = torch.cat(made)
        images = Images(pixels, labels[: len(pixels)], classes)
        own = derive_seed("adversary", derive_seed(seed, len(made)))
        student = build("resnet20", classes=len(classes), side=images.side, seed=own)
        train(student, images, Recipe(steps=self.student_steps), seed=own, device=device).requires_grad_(False)

        def term(now: Pass) -> Tensor:
            with autocast(device):
                answer = student(now.seen * STD + MEAN)
            return self.adversarial_weight * (1 - jensen_shannon(now.logits, answer.float()))

        return term


def running_statistics(network: nn.Module, who: str) -> Statistics:
    """The running mean and variance of every batch-norm layer, (1, channels) each.

    Raises:
        ValueError: there is no such layer; names `who` needs them.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    if not layers:
        raise ValueError(f"{who} needs a teacher with batch-norm layers; this network has none")
    return [(torch.as_tensor(n.running_mean)[None], torch.as_tensor(n.running_var)[None]) for n in layers]


def jensen_shannon(logits: Tensor, others: Tensor) -> Tensor:
    """The mean Jensen-Shannon divergence of two batches of answers, in nats: 0 for the same ones."""
    one, other = (softmax(x / TEMPERATURE, 1).clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY) for x in (logits, others))
    middle = ((one + other) / 2).log()
    divergences = [kl_div(middle, p, reduction="batchmean") for p in (one, other)]
    return (divergences[0] + divergences[1]) / 2
