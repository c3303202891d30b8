"""Images that know nothing of the members, with a teacher's opinion of them: what utility is in the labels alone."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from leakbench.synth.defense import Release, Resources, Synthesizer
from leakbench.synth.images import Images
from leakbench.synth.networks.training import predict
from leakbench.synth.ranges import Count
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import seeded_rng


@dataclass(frozen=True, kw_only=True)
class _TeacherLabels(Synthesizer):
    num_images: Count | Literal["members"] = "members"

    teacher_based = True
    publishes_soft_labels = True

    def count(self, members: Images) -> int:
        """How many images are released."""
        return len(members) if self.num_images == "members" else self.num_images

    def labelled(self, pixels: Tensor, members: Images, resources: Resources) -> Release:
        """These images with the teacher's probabilities, and its first choice as hard label."""
        soft = predict(resources.teacher.to(resources.device), pixels, device=resources.device).softmax(1)
        return Release(Images(pixels, soft.argmax(1), members.classes), soft_labels=soft)


@defenses.register("noise-images")
@dataclass(frozen=True, kw_only=True)
class NoiseImages(_TeacherLabels):
    """White noise with the teacher's soft labels.

    What a student learns from it, every teacher-based defense gets for nothing.

    Args:
        num_images: how many to release, or ``"members"`` for as many as there are members.
    """

    def release(self, members: Images, resources: Resources) -> Release:
        """Every channel of every pixel drawn uniformly."""
        shape, rng = members.pixels.shape[1:], seeded_rng("noise-images", resources.seed)
        pixels = torch.randint(0, 256, (self.count(members), *shape), generator=rng, dtype=torch.uint8)
        return self.labelled(pixels, members, resources)


@defenses.register("public-images")
@dataclass(frozen=True, kw_only=True)
class PublicImages(_TeacherLabels):
    """Other people's images with the teacher's soft labels.

    The step from it to a teacher-based defense is what the defense's images add.

    Args:
        num_images: how many to release, or ``"members"`` for as many as there are members; all, if there are fewer.
    """

    reads_public = True

    def release(self, members: Images, resources: Resources) -> Release:
        """The public images; their own labels are not looked at."""
        return self.labelled(resources.public.pixels[: self.count(members)].clone(), members, resources)
