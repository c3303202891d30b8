"""Shadow models: what networks say of images that they were trained on, and of the same images when they were not."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leakbench.attacks.learner import Tensors, flatten_tensors, unflatten_tensors
from leakbench.attacks.membership.teacher import TeacherTraining
from leakbench.synth.images import Images
from leakbench.synth.networks.training import Recipe, predict
from leakbench.synth.seeds import derive_seed, seeded_rng


@dataclass(frozen=True)
class Shadows:
    """Networks of the attacker's own, and whom each was trained on.

    Args:
        networks: S trained networks.
        inside: (S, N) whether an image was in a network's training set; every image is in exactly half of them.
        answers: (S, Q, N, K) their logits of the images, see :func:`answers`.
    """

    networks: tuple[nn.Module, ...]
    inside: Tensor
    answers: Tensor


def halves(count: int, images: int, seed: int) -> Tensor:
    """(count, images) which of them each shadow is trained on: a random half of the shadows for every image."""
    draws = torch.rand(count, images, generator=seeded_rng("halves", seed))
    return draws.argsort(0).argsort(0) < count // 2


def answers(network: nn.Module, images: Images, *, flip: bool, device: torch.device) -> Tensor:
    """(Q, N, K) logits of images as they are and, where training flips them, of their mirror images."""
    shown = [images.pixels] + [images.pixels.flip(3)] * flip
    return torch.stack([predict(network, pixels, device=device) for pixels in shown])


@dataclass(frozen=True, kw_only=True)
class ShadowTraining:
    """Students of random halves of images, trained as the attacked one was.

    One after another: a batch of small networks in one computation, or two at once on a core each, is no faster on two
    cores (benchmarks/speed/test_shadows.py).

    Args:
        network: name of the architecture.
        recipe: of its training.
        count: S, even.
    """

    network: str
    recipe: Recipe
    count: int

    def train(
        self, images: Images, *, seed: int, device: torch.device, released: Callable[..., Images] | None = None
    ) -> Shadows:
        """Train them.

        Args:
            images: whose halves they learn.
            seed: everything random derives from it.
            device: where to compute.
            released: from a half, and a seed, to the images that a student learns from; the half itself by default.
        """
        training = TeacherTraining(network=self.network, recipe=self.recipe)
        inside, networks = halves(self.count, len(images), seed), []
        for index, who in enumerate(inside):
            own, half = derive_seed("shadow", seed, index), images.take(who.nonzero().squeeze(1))
            networks.append(training.train(released(half, seed=own) if released else half, seed=own, device=device))
        said = [answers(network, images, flip=self.recipe.flip, device=device) for network in networks]
        return Shadows(tuple(networks), inside, torch.stack(said))

    def learn(self, images: Images, *, seed: int, device: torch.device) -> Tensors:
        """Weights, sets and answers of shadows that are trained on halves of these images themselves."""
        shadows = self.train(images, seed=seed, device=device)
        weights = {str(index): network.state_dict() for index, network in enumerate(shadows.networks)}
        return flatten_tensors(weights) | {"inside": shadows.inside, "answers": shadows.answers}

    def restore(self, learned: Tensors, images: Images, *, device: torch.device) -> Shadows:
        """The shadows of these weights."""
        training = TeacherTraining(network=self.network, recipe=self.recipe)
        weights = [unflatten_tensors(learned, str(index)) for index in range(self.count)]
        networks = tuple(training.restore(own, images, device=device) for own in weights)
        return Shadows(networks, learned["inside"], learned["answers"])


def check_count(name: str, count: int, *, least: int = 2) -> None:
    """Raise a ValueError unless a number of shadows is even and large enough."""
    if count < least or count % 2:
        raise ValueError(f"{name} must be even and >= {least}, got {count}")
