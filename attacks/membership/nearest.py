"""Membership by the nearest released image, in pixels, in structure, or in a network's features."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from leakbench.attacks.attack import attacks
from leakbench.attacks.guess import Scores
from leakbench.attacks.membership.release_attack import ReleaseAttack, nearest_distances
from leakbench.attacks.membership.teacher import TeacherTraining
from leakbench.attacks.view import View
from leakbench.metrics.image import byte_ssim
from leakbench.metrics.neighbours import nearest
from leakbench.synth.networks.public import public_features
from leakbench.synth.networks.training import Recipe, penultimate
from leakbench.synth.ranges import Count

LEAST_DISTANCE = 1e-6
"""Squared distance that stands for that of an exact copy, 0."""

Look = Callable[[Tensor], Tensor]
"""What images (N, C, H, W) are compared by: (N, ...)."""
Alike = Callable[[Tensor, Tensor], Tensor]
"""How like the nearest of others (M, ...) each of these (N, ...) is: (N,), higher is more alike."""


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
        look, alike = self._compared(view, device)
        candidates = view.candidates().pixels
        # Each picture is looked at once: features take nearly all of the time.
        ours = [look(pixels) for pixels in (candidates, candidates.flip(3))]

        def best(images: Tensor) -> Tensor:
            theirs = look(images)
            return torch.stack([alike(shown, theirs) for shown in ours]).amax(0).double()

        return Scores(best(view.release().images.pixels) - best(view.auxiliary().pixels))

    def _compared(self, view: View, device: torch.device) -> tuple[Look, Alike]:
        if self.space == "pixels":
            return _as_they_are, _in_pixels
        if self.space == "ssim":
            return _as_they_are, _in_structure
        if self.space == "pretrained":
            return public_features(device), _in_features
        network = view.train_on_auxiliary(TeacherTraining(network="resnet20", recipe=Recipe(steps=self.steps)))
        return partial(penultimate, network, device=device), _in_features


def _as_they_are(images: Tensor) -> Tensor:
    return images


def _in_pixels(x: Tensor, y: Tensor) -> Tensor:
    return -nearest(x, y).squared_distance.double().clamp_min(LEAST_DISTANCE).log() / 2


def _in_structure(x: Tensor, y: Tensor) -> Tensor:
    return byte_ssim(x, y[nearest(x, y).position])


def _in_features(x: Tensor, y: Tensor) -> Tensor:
    return -nearest_distances(x, y).clamp_min(LEAST_DISTANCE).log()
