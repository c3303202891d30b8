"""A network that an attacker trains itself."""

from dataclasses import dataclass

import torch
from torch import nn

from leakbench.attacks.learner import Tensors
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe, train
from leakbench.synth.seeds import derive_seed


@dataclass(frozen=True, kw_only=True)
class TeacherTraining:
    """A teacher, or a student, of the attacker's own.

    Args:
        network: name of the architecture.
        recipe: of its training.
        number: another one gives another network, from the same images.
    """

    network: str
    recipe: Recipe
    number: int = 0

    def train(self, images: Images, *, seed: int, device: torch.device) -> nn.Module:
        """Train it on these images."""
        seed = derive_seed("teacher", self.number, seed)
        network = build(self.network, classes=len(images.classes), side=images.side, seed=seed)
        return train(network, images, self.recipe, seed=seed, device=device)

    def learn(self, images: Images, *, seed: int, device: torch.device) -> Tensors:
        """Its weights, trained on these images."""
        return self.train(images, seed=seed, device=device).state_dict()

    def restore(self, learned: Tensors, images: Images, *, device: torch.device) -> nn.Module:
        """The network of these weights."""
        network = build(self.network, classes=len(images.classes), side=images.side, seed=0)
        network.load_state_dict(learned)
        return network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]
