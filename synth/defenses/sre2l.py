"""Squeeze, recover, relabel (SRe2L, arXiv 2306.13092), and its curriculum of crops (CDA, arXiv 2311.18838)."""

from dataclasses import dataclass
from math import cos, pi
from typing import Literal

import torch
from torch import Tensor, nn

from leakbench.synth.defenses.condensation import Condensation, Matcher
from leakbench.synth.defenses.deepinversion import running_statistics
from leakbench.synth.defenses.matching import Matching, batch_statistics, matching_loss
from leakbench.synth.images import Images
from leakbench.synth.networks.statistics import Moments
from leakbench.synth.ranges import Count, Positive
from leakbench.synth.registry import defenses


@defenses.register("sre2l")
@dataclass(frozen=True, kw_only=True)
class SRe2L(Condensation):
    """Noise optimised until a batch has the teacher's running statistics, for students that learn what it says of them.

    The statistics are those of all members of all classes together (section 3.2, equations 5 to 7); beside them a
    cross-entropy of each image's class, and no other prior. Relabelling (section 3.3) is the student's third rung: the
    published teacher answers on every augmented image.

    Args:
        curriculum: of the crops (CDA): ``none``: all are of at least `crop`'s share of the area. The others begin with
            whole images and let the least share fall to `crop`, by a line, a cosine, or at once after half of the
            steps.

    The other parameters are those of `condensation.Condensation` and `inversion.Inversion`, with the authors' values
    for CIFAR-100. Differs from their code: images are rolled in both directions, and a batch holds several of a class.

    Raises:
        ValueError: a parameter is out of range, the teacher is missing, or has no batch-norm layer.
    """

    curriculum: Literal["none", "linear", "cosine", "step"] = "none"
    steps: Count = 1000
    learning_rate: Positive = 0.25
    jitter: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.curriculum != "none" and self.crop == 1:
            raise ValueError(f"sre2l.curriculum={self.curriculum} needs crop below 1: the least share that it falls to")

    def matcher(self, networks: list[nn.Module], members: Images, device: torch.device) -> Matcher:
        """The running statistics, whatever the labels are."""
        teacher = networks[0]
        wanted = running_statistics(teacher, "sre2l")

        def loss(moments: Moments) -> Tensor:
            return matching_loss(batch_statistics(moments), wanted, first=self.first_weight)

        return lambda labels: [Matching(teacher, loss)]

    def least_area(self, progress: float) -> float:
        """From whole images down to the least share, by the curriculum."""
        easy = {
            "none": 0.0,
            "linear": 1 - progress,
            "cosine": (1 + cos(pi * progress)) / 2,
            "step": float(progress < 0.5),
        }
        return self.crop + (1 - self.crop) * easy[self.curriculum]
