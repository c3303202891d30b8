"""Batch-norm statistics matching: noise optimised until its statistics are those of groups of private images."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from leakbench.synth.defense import Release, Resources
from leakbench.synth.defenses.inversion import frozen
from leakbench.synth.defenses.matching import Statistics, group_matrix, group_statistics, matching
from leakbench.synth.defenses.starts import StartedInversion
from leakbench.synth.images import Images
from leakbench.synth.networks.statistics import Moments, recorded_moments
from leakbench.synth.networks.training import autocast, predict
from leakbench.synth.ranges import Count, Share
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import seeded_rng


class Groups(NamedTuple):
    """Which private images stand behind each statistic: (G,) lists of member indices, and the groups' labels (G,)."""

    members: list[Tensor]
    labels: Tensor


@defenses.register("bn-matching")
@dataclass(frozen=True, kw_only=True)
class BNMatching(StartedInversion):
    """Class-wise batch-norm statistics matching, the method of arXiv 2210.03205 (version 2).

    The statistics of every batch-norm layer's input are recorded for each group of `images_per_statistic` private
    images of one class, on the teacher in evaluation mode. Noise is then optimised until each group's statistics
    match, with a cross-entropy term on the teacher's output; all groups of a batch share one forward pass through a
    group matrix. The paper says nothing of one statistic's sample size below a class: that is the knob swept here.

    Args:
        images_per_statistic: private images behind one statistic, or ``"class"`` for all of a class. A class's
            incomplete last group is dropped: a statistic of fewer images than stated would be a lie. A class
            smaller than one group forms one group.
        num_images: how many to release, or ``"members"`` for as many as there are members; rounded to whole groups.
        class_share: of the matching loss that is the groups' own; the rest matches a batch as a whole with all members:
            1 is the paper's choice, 0 DeepInversion's. Half of each was best on ImageNet-1k (arXiv 2404.13733).

    The other parameters are those of `inversion.Inversion` and `starts.StartedInversion`; a batch holds at least one
    group.

    Raises:
        ValueError: a parameter is out of range, the teacher is missing, or has no batch-norm layer.
    """

    images_per_statistic: Count | Literal["class"] = "class"
    num_images: Count | Literal["members"] = "members"
    class_share: Share = 1.0

    def release(self, members: Images, resources: Resources) -> Release:
        """Synthesise the release, batch by batch."""
        teacher, device = resources.teacher, resources.device
        rng, drawing = seeded_rng("bn-matching", resources.seed, device=device), seeded_rng("start", resources.seed)
        groups = self._groups(members, rng)
        pixels, labels, begun = [], [], []
        shape, gray = members.pixels.shape[1:], members.is_gray
        with frozen(teacher.to(device)):
            overall = self._overall(teacher, members, device)
            for batch, copies in self._batches(groups, members):
                targets = self._targets(teacher, members, [groups.members[i] for i in batch], device)
                labels.append(groups.labels[batch].repeat_interleave(copies))
                weights = group_matrix(torch.full((len(batch),), copies), device)
                start, shown = self.begin(labels[-1], members, resources, drawing)
                begun.append(shown)
                wanted = matching(teacher, targets, weights, overall)
                pixels.append(self.invert([wanted], labels[-1], shape, rng, start=start, gray=gray))
        images = Images(torch.cat(pixels), torch.cat(labels), members.classes)
        soft = predict(teacher, images.pixels, device=device).softmax(1) if self.soft_labels else None
        return Release(images, soft_labels=soft, sources=self._sources(groups, torch.cat(begun)))

    def _overall(self, teacher: nn.Module, members: Images, device: torch.device) -> tuple[Statistics, float] | None:
        """Statistics of all members, and their share of the loss; None where they have none."""
        if self.class_share == 1:
            return None
        return self._targets(teacher, members, [torch.arange(len(members))], device), 1 - self.class_share

    def _sources(self, groups: Groups, begun: Tensor) -> Tensor | None:
        """(N, k) members behind each released image, those of its group and the one that it starts from.

        A smaller group repeats its first. None where it is a whole class that stands behind it, and no more.
        """
        if self.images_per_statistic == "class":
            return begun if begun.shape[1] else None
        size = self.images_per_statistic
        used = groups.members[: len(begun) // size]
        padded = [torch.cat([group, group[:1].expand(size - len(group))]) for group in used]
        return torch.cat([torch.stack(padded).repeat_interleave(size, 0), begun], 1)

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
        wanted = len(members) if self.num_images == "members" else self.num_images
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
    def _targets(self, teacher: nn.Module, members: Images, groups: list[Tensor], device: torch.device) -> Statistics:
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
        return group_statistics(pooled, group_matrix(torch.tensor([len(group) for group in groups]), device))
