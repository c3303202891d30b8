"""Crops of members that a teacher is sure of (RDED, arXiv 2312.03526)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate
from torchvision.ops import roi_align

from leakbench.synth.defense import Release, Resources, Synthesizer
from leakbench.synth.images import Images
from leakbench.synth.networks.training import predict
from leakbench.synth.ranges import Count, ProperShare
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import seeded_rng


@defenses.register("rded")
@dataclass(frozen=True, kw_only=True)
class RDED(Synthesizer):
    """The crops of private photographs that a teacher is surest of, as they are: nothing is synthesised.

    Of each class some members are drawn, each is cropped several times at random, and each keeps the crop of least
    cross-entropy (realism); the images of least cross-entropy are released, several to a mosaic (diversity). Students
    then learn what the teacher answers on every augmented image.

    Args:
        images_per_class: to release of each class.
        candidates: members of each class that are looked at; all, if there are fewer.
        crops: of each of them.
        least_area: share of the area that a crop has at least; it is square.
        mosaic: crops to a side of a released image: 1 for small pictures, 2 for ImageNet's in the paper.

    Raises:
        ValueError: a parameter is out of range, the teacher is missing, or a class has too few members for so many
            crops.
    """

    images_per_class: Count = 50
    candidates: Count = 300
    crops: Count = 5
    least_area: ProperShare = 0.08
    mosaic: Count = 1
    teacher_based = True
    shows_members = True
    publishes_soft_labels = True

    def release(self, members: Images, resources: Resources) -> Release:
        """Crop, choose, put together."""
        rng = seeded_rng("rded", resources.seed)
        present = members.labels.unique()
        parts = [self._of_class(int(label), members, resources, rng) for label in present]
        labels = present.repeat_interleave(self.images_per_class)
        images = Images(torch.cat([pixels for pixels, _ in parts]), labels, members.classes)
        soft = predict(resources.teacher.to(resources.device), images.pixels, device=resources.device).softmax(1)
        return Release(images, soft_labels=soft, sources=torch.cat([sources for _, sources in parts]))

    def _of_class(
        self, label: int, members: Images, resources: Resources, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mosaics (n, C, H, W) of one class, and (n, mosaic^2) whom they show."""
        own = (members.labels == label).nonzero().squeeze(1)
        own = own[torch.randperm(len(own), generator=rng)][: self.candidates]
        tiles = self.mosaic**2
        if len(own) < self.images_per_class * tiles:
            raise ValueError(
                f"rded.images_per_class={self.images_per_class} with mosaic={self.mosaic} needs "
                f"{self.images_per_class * tiles} members of class {members.classes[label]}, of which it may look at "
                f"{len(own)}: lower it, or raise candidates"
            )
        cropped = self._cropped(members.pixels[own], rng)
        said = predict(resources.teacher.to(resources.device), cropped.flatten(0, 1), device=resources.device)
        wrong = cross_entropy(said, torch.full((len(said),), label), reduction="none").unflatten(0, (len(own), -1))
        least, which = wrong.min(1)
        chosen = least.argsort()[: self.images_per_class * tiles]
        best = cropped[chosen, which[chosen]]
        return self._mosaics(best), own[chosen].unflatten(0, (-1, tiles))

    def _cropped(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """(n, crops, C, H, W) square crops of (n, C, H, W) images, scaled to their size."""
        height, width = images.shape[2:]
        area, row, column = torch.rand(3, len(images) * self.crops, generator=rng)
        share = self.least_area + (1 - self.least_area) * area
        side = (share * height * width).sqrt().clamp_max(min(height, width))
        top, left = row * (height - side), column * (width - side)
        whose = torch.arange(len(images)).repeat_interleave(self.crops)
        boxes = torch.stack([whose, left, top, left + side, top + side], 1)
        crops = roi_align(images.float(), boxes, (height, width), sampling_ratio=1, aligned=True)
        made: Tensor = crops.round().to(torch.uint8).unflatten(0, (len(images), -1))
        return made

    def _mosaics(self, crops: Tensor) -> Tensor:
        """(n, C, H, W) from (n mosaic^2, C, H, W), as many to an image as a mosaic holds."""
        if self.mosaic == 1:
            return crops
        height, width = crops.shape[2:]
        rows = crops.unflatten(0, (-1, self.mosaic, self.mosaic)).permute(0, 3, 1, 4, 2, 5)
        whole = rows.flatten(4, 5).flatten(2, 3).float()
        scaled = interpolate(whole, (height, width), mode="area")
        return scaled.round().to(torch.uint8)
