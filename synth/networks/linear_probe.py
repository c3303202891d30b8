"""A linear layer on what a network trained on public photographs sees: a pretrained student."""

from torch import Tensor, nn
from torch.nn.functional import batch_norm

from leakbench.synth.networks.public import LEAST_SIDE, at_hand

NORM = 5.0
"""Of the features that a student's layer sees: at 1 the recipes' rates and weight decay leave it untrained."""


class PublicFeatures(nn.Module):
    """What a public network feeds its last linear layer, its weights and statistics frozen.

    Args:
        side: pixels a side that images below it are scaled up to.

    Raises:
        ValueError: no network trained on public photographs is at hand.
    """

    def __init__(self, side: int = LEAST_SIDE) -> None:
        super().__init__()
        self.trunk = at_hand(side)
        name, last = [(n, layer) for n, layer in self.trunk.named_modules() if isinstance(layer, nn.Linear)][-1]
        self.width = last.in_features
        self.trunk.set_submodule(name, nn.Identity())
        self.trunk.requires_grad_(False)

    def train(self, mode: bool = True) -> "PublicFeatures":
        """Stay in evaluation mode: the public statistics are part of the features."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, D) for images (N, 3, H, W) in [0, 1]."""
        features: Tensor = self.trunk(images)
        return features


class LinearProbe(nn.Module):
    """A linear layer on public features, standardised by those of the batch as a network's inner layers are.

    Args:
        classes: outputs.

    Raises:
        ValueError: no network trained on public photographs is at hand.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = PublicFeatures()
        self.standardise = nn.BatchNorm1d(self.features.width, affine=False)
        self.head = nn.Linear(self.features.width, classes)
        self._scale = NORM / self.features.width**0.5

    def forward(self, images: Tensor) -> Tensor:
        """(N, K) logits for images (N, 3, H, W) in [0, 1]."""
        features, layer = self.features(images), self.standardise
        if self.training and len(features) == 1:  # one image has no spread
            seen = batch_norm(features, layer.running_mean, layer.running_var)
        else:
            seen = layer(features)
        logits: Tensor = self.head(self._scale * seen)
        return logits
