"""Batch-norm statistics matching: noise optimised until its statistics are those of groups of private images."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from synth.networks import MEAN, STD
from synth.registry import defenses
from synth.statistics import Moments, recorded_moments
from synth.training import autocast, predict
from synth.types import Defense, Images, Release, generator


class Groups(NamedTuple):
    """Which private images stand behind each statistic: (G,) lists of member indices, and the groups' labels (G,)."""

    members: list[Tensor]
    labels: Tensor


def group_statistics(moments: Moments, weights: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Means and biased variances of every layer for all groups at once.

    Args:
        moments: per-image moments of N images.
        weights: (G, N) row-normalised group matrix.

    Returns:
        Per layer (mean, variance), each (G, channels).
    """
    statistics = []
    for mean, square in moments:
        group_mean = weights @ mean
        statistics.append((group_mean, (weights @ square - group_mean.square()).clamp_min(0)))
    return statistics


def matching_loss(found: list[tuple[Tensor, Tensor]], wanted: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Sum over layers of the un-squared L2 norms of mean and variance differences, averaged over groups."""
    terms = [
        torch.linalg.vector_norm(a - b, dim=1).mean()
        for layer, target in zip(found, wanted, strict=True)
        for a, b in zip(layer, target, strict=True)
    ]
    return torch.stack(terms).sum()


def total_variation(x: Tensor) -> Tensor:
    """Sum of the un-averaged L2 norms of the four shifts, diagonals included (DeepInversion, arXiv 1912.08795)."""
    shifts = (
        x[:, :, :, :-1] - x[:, :, :, 1:],
        x[:, :, :-1] - x[:, :, 1:],
        x[:, :, :-1, :-1] - x[:, :, 1:, 1:],
        x[:, :, :-1, 1:] - x[:, :, 1:, :-1],
    )
    return torch.stack([torch.linalg.vector_norm(shift) for shift in shifts]).sum()


@defenses.register("bn-matching")
@dataclass(frozen=True, kw_only=True)
class BNMatching(Defense):
    """Class-wise batch-norm statistics matching, the method of arXiv 2210.03205 (version 2).

    The statistics of every batch-norm layer's input are recorded for each group of `images_per_statistic` private
    images of one class, on the teacher in evaluation mode. Noise is then optimised until each group's statistics
    match, with a cross-entropy term on the teacher's output; all groups of a batch share one forward pass through a
    group matrix. The paper says nothing of one statistic's sample size below a class: that is the knob swept here.

    Args:
        images_per_statistic: private images behind one statistic, or ``"class"`` for all of a class. A class's
            incomplete last group is dropped: a statistic of fewer images than stated would be a lie. A class
            smaller than one group forms one group.
        images: how many to release, or ``"members"`` for as many as there are members; rounded to whole groups.
        steps: Adam steps for each batch.
        learning_rate: Adam's, cosine to 0, in normalised units (a quarter of the pixel range).
        batch_size: images optimised together, at least one group.
        noise_scale: standard deviation of the initial noise in normalised units.
        bn_weight: of the matching loss.
        class_weight: of the cross-entropy.
        tv_weight: of the total variation; 0 leaves it out.
        l2_weight: of the batch's L2 norm in normalised units; 0 leaves it out.
        jitter: pixels of random roll before each pass.
        flip: random horizontal flips before each pass.
        soft_labels: publish the teacher's probabilities beside the hard labels.

    Raises:
        ValueError: a parameter is out of range, the teacher is missing, or has no batch-norm layer.
    """

    images_per_statistic: int | Literal["class"] = "class"
    images: int | Literal["members"] = "members"
    steps: int = 150
    learning_rate: float = 0.1
    batch_size: int = 250
    noise_scale: float = 1.0
    bn_weight: float = 1.0
    class_weight: float = 1.0
    tv_weight: float = 0.0
    l2_weight: float = 0.0
    jitter: int = 0
    flip: bool = False
    soft_labels: bool = True
    teacher_based = True

    @property
    def publishes_soft_labels(self) -> bool:  # type: ignore[override]
        """Whether the release carries the teacher's probabilities."""
        return self.soft_labels

    def __post_init__(self) -> None:
        for name in ("images_per_statistic", "images", "steps", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, int) and value < 1:
                raise ValueError(f"bn-matching.{name} must be >= 1, got {value}")
        if not self.learning_rate > 0:
            raise ValueError(f"bn-matching.learning_rate must be > 0, got {self.learning_rate}")

    def release(
        self, members: Images, *, teacher: nn.Module | None, public: Images, seed: int, device: torch.device
    ) -> Release:
        """Synthesise the release, batch by batch."""
        if teacher is None:
            raise ValueError("bn-matching needs a teacher")
        teacher = teacher.to(device).eval()
        was_trainable = [parameter.requires_grad for parameter in teacher.parameters()]
        teacher.requires_grad_(False)
        rng = generator("bn-matching", seed, device=device)
        groups = self._groups(members, rng)
        pixels, labels = [], []
        for batch, copies in self._batches(groups, members):
            targets = self._targets(teacher, members, [groups.members[i] for i in batch], device)
            group_labels = groups.labels[batch]
            pixels.append(self._optimise(teacher, targets, group_labels, copies, members, rng, device))
            labels.append(group_labels.repeat_interleave(copies))
        for parameter, flag in zip(teacher.parameters(), was_trainable, strict=True):
            parameter.requires_grad_(flag)
        images = Images(torch.cat(pixels), torch.cat(labels), members.classes)
        soft = predict(teacher, images.pixels, device=device).softmax(1) if self.soft_labels else None
        source = None if self.images_per_statistic == "class" else self._sources(groups, len(images))
        return Release(images, soft_labels=soft, source_index=source)

    def _sources(self, groups: Groups, count: int) -> Tensor | None:
        """(N, k) members behind each released image, or (N,) where k is 1; None where groups differ in size."""
        used = groups.members[: count // int(self.images_per_statistic)]
        if len(set(map(len, used))) > 1:
            return None
        return torch.stack(used).repeat_interleave(int(self.images_per_statistic), 0).squeeze(1)

    def _groups(self, members: Images, rng: torch.Generator) -> Groups:
        """Groups of private images in an order that takes the classes in turn."""
        by_class = []
        for label in members.labels.unique():
            index = (members.labels == label).nonzero().squeeze(1)
            index = index[torch.randperm(len(index), generator=rng, device=rng.device).cpu()]
            size = len(index) if self.images_per_statistic == "class" else min(self.images_per_statistic, len(index))
            by_class.append([(group, label) for group in index.split(size) if len(group) == size])
        longest = max(map(len, by_class))
        turns = [groups[turn] for turn in range(longest) for groups in by_class if turn < len(groups)]
        return Groups([group for group, _ in turns], torch.stack([label for _, label in turns]))

    def _batches(self, groups: Groups, members: Images) -> Iterator[tuple[Tensor, int]]:
        """(group indices, images released per group) of each batch to optimise."""
        wanted = len(members) if self.images == "members" else self.images
        everyone = torch.arange(len(groups.labels))
        if self.images_per_statistic == "class":
            per_class = max(1, round(wanted / len(everyone)))
            per_batch = max(1, min(per_class, self.batch_size // len(everyone)))
            for start in range(0, per_class, per_batch):
                yield everyone, min(per_batch, per_class - start)
        else:
            copies = self.images_per_statistic
            yield from (
                (part, copies) for part in everyone[: max(1, wanted // copies)].split(max(1, self.batch_size // copies))
            )

    @torch.no_grad()
    def _targets(
        self, teacher: nn.Module, members: Images, groups: list[Tensor], device: torch.device
    ) -> list[tuple[Tensor, Tensor]]:
        """The private groups' statistics, (G, channels) per layer."""
        index = torch.cat(groups)
        parts: list[Moments] = []
        for chunk in index.split(1000):
            with recorded_moments(teacher) as moments, autocast(device):
                teacher(members.pixels[chunk].to(device).float().div_(255).to(memory_format=torch.channels_last))
            parts.append(list(moments))
        if not parts[0]:
            raise ValueError("bn-matching needs a teacher with batch-norm layers; this network has none")
        pooled = [
            (torch.cat([m for m, _ in layer]), torch.cat([s for _, s in layer])) for layer in zip(*parts, strict=True)
        ]
        return group_statistics(pooled, _group_matrix(torch.tensor([len(group) for group in groups]), device))

    def _optimise(
        self,
        teacher: nn.Module,
        targets: list[tuple[Tensor, Tensor]],
        group_labels: Tensor,
        copies: int,
        members: Images,
        rng: torch.Generator,
        device: torch.device,
    ) -> Tensor:
        """One batch from noise to uint8 images (G * copies, C, H, W)."""
        labels = group_labels.repeat_interleave(copies).to(device)
        weights = _group_matrix(torch.full((len(group_labels),), copies), device)
        shape = (len(labels), *members.pixels.shape[1:])
        noise = torch.randn(shape, generator=rng, device=device).to(memory_format=torch.channels_last)
        x = (noise * self.noise_scale).requires_grad_()
        optimizer = torch.optim.Adam([x], lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        for _ in range(self.steps):
            seen = self._shifted(x, rng)
            with recorded_moments(teacher) as moments, autocast(device):
                logits = teacher(seen * STD + MEAN)
            loss = self.bn_weight * matching_loss(group_statistics(moments, weights), targets)
            loss = loss + self.class_weight * cross_entropy(logits.float(), labels)
            if self.tv_weight:
                loss = loss + self.tv_weight * total_variation(seen)
            if self.l2_weight:
                loss = loss + self.l2_weight * torch.linalg.vector_norm(x)
            (x.grad,) = torch.autograd.grad(loss, x)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                x.clamp_(-MEAN / STD, (1 - MEAN) / STD)
        if not torch.isfinite(x).all():
            raise FloatingPointError("bn-matching diverged: an image is not finite; lower learning_rate")
        return ((x.detach() * STD + MEAN) * 255).round().to(torch.uint8).contiguous().cpu()

    def _shifted(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """The batch as the teacher sees it at this step: rolled and flipped at random, if asked for."""
        if self.jitter:
            roll = torch.randint(-self.jitter, self.jitter + 1, (2,), generator=rng, device=rng.device).tolist()
            x = x.roll(roll, (2, 3))
        if self.flip and torch.rand((), generator=rng, device=rng.device) < 0.5:
            x = x.flip(3)
        return x


def _group_matrix(sizes: Tensor, device: torch.device) -> Tensor:
    """(G, N) row-normalised matrix of consecutive groups of these sizes."""
    rows = torch.arange(len(sizes)).repeat_interleave(sizes)
    matrix = torch.zeros(len(sizes), len(rows))
    matrix[rows, torch.arange(len(rows))] = 1.0 / sizes[rows]
    return matrix.to(device)
