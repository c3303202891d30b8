"""Membership by the nearest released image, in pixels, in structure, or in a network's features."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from leakbench.attacks.attack import attacks
from leakbench.attacks.guess import Scores
from leakbench.attacks.membership.release_attack import ReleaseAttack, distances_in
from leakbench.attacks.membership.teacher import TeacherTraining
from leakbench.attacks.view import View
from leakbench.metrics.image import byte_ssim
from leakbench.metrics.neighbours import nearest
from leakbench.synth.networks.public import at_hand
from leakbench.synth.networks.training import Recipe
from leakbench.synth.ranges import Count

LEAST_DISTANCE = 1e-6
"""Squared distance that stands for that of an exact copy, 0."""

Alike = Callable[[Tensor, Tensor], Tensor]
"""How like its nearest image in a set (M, C, H, W) each image (N, C, H, W) is: (N,), higher is more alike."""


@attacks.register("nearest")
@dataclass(frozen=True, kw_only=True)
class Nearest(ReleaseAttack):
    """Whoever, or whose mirror image, is more like a released image than like other people's may have been a member.

    The attacker holds the published images, images of other people, and candidates, and has no idea how the release was
    made: it works on any folder. A candidate's score is how like its nearest released image it is, less how like its
    nearest auxiliary image. Success is telling members from non-members.

    Args:
        space: ``pixels``: minus the logarithm of the Euclidean distance (GAN-Leaks, arXiv 1909.03935, that looks in the
            mirror as well). ``ssim``: structural similarity to the nearest in pixels. ``features``: as for pixels, of
            what a network trained on the auxiliary images feeds its last layer. ``pretrained``: likewise, of one that
            has seen public photographs alone (`ReleaseAttack`).
        steps: of that network's training.
    """

    space: Literal["pixels", "ssim", "features", "pretrained"] = "pixels"
    steps: Count = 800

    def run(self, view: View, *, seed: int, device: torch.device) -> Scores:
        """Score every candidate."""
        alike = self._alike(view, device)
        pixels = view.candidates().pixels

        def best(images: Tensor) -> Tensor:
            return torch.maximum(alike(pixels, images), alike(pixels.flip(3), images)).double()

        return Scores(best(view.release().images.pixels) - best(view.auxiliary().pixels))

    def _alike(self, view: View, device: torch.device) -> Alike:
        if self.space == "pixels":
            return _in_pixels
        if self.space == "ssim":
            return _in_structure
        if self.space == "pretrained":
            network = at_hand()
        else:
            network = view.train_on_auxiliary(TeacherTraining(network="resnet20", recipe=Recipe(steps=self.steps)))
        return lambda x, y: -distances_in(network, x, y, device).clamp_min(LEAST_DISTANCE).log()


def _in_pixels(x: Tensor, y: Tensor) -> Tensor:
    return -nearest(x, y).squared_distance.double().clamp_min(LEAST_DISTANCE).log() / 2


def _in_structure(x: Tensor, y: Tensor) -> Tensor:
    return byte_ssim(x, y[nearest(x, y).position])
