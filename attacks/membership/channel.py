"""How a defense passes on what a network sees of private images, as a Gaussian channel, and what that gives away."""

from dataclasses import dataclass

import torch
from sklearn.covariance import ledoit_wolf_shrinkage
from torch import Tensor

PRIOR = 5
"""Groups that what is typical of all features weighs, when a feature's own gain and noise are measured."""
LEAST_NOISE = 1e-6
"""Smallest noise as a share of the spread: an exact copy would leave none."""
FLOOR = 0.01
"""Noise of every feature that no shadow shows, as a share of its own."""
NOTHING = 1e-12
"""Of what people differ in, as a share of the largest: rounding."""
UNKNOWN = 1 / 20
"""Ratio of noise to spread where nothing can be measured."""


def class_means(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """(K, D) means of features (N, D) by class; 0 for a class without images."""
    counts = torch.bincount(labels, minlength=classes).clamp_min(1)
    sums = torch.zeros(classes, features.shape[1], dtype=features.dtype).index_add_(0, labels, features)
    return sums / counts[:, None]


@dataclass(frozen=True)
class Channel:
    """From the mean of a group's private features to its released ones: gain times it, plus correlated Gaussian noise.

    Args:
        gain: (D,) of each feature.
        bias: (D,) mean of the noise.
        axes: (D, J) to components in which noise is white and private images of a class are uncorrelated.
        spread: (J,) variance of private images, received without noise, in these components.
    """

    gain: Tensor
    bias: Tensor
    axes: Tensor
    spread: Tensor

    @classmethod
    def measured(cls, people: Tensor, sent: Tensor | None, received: Tensor | None) -> "Channel":
        """From a shadow release, of which the attacker knows who stands behind what.

        The noise's covariance is Ledoit and Wolf's (doi 10.1016/S0047-259X(03)00096-4), by scikit-learn: a shadow
        release has fewer groups than features.

        Args:
            people: (N, D) features of candidates, without their class's mean.
            sent: (G, D) means of the private groups' features; None where nothing is known.
            received: (G, D) features of the released groups.
        """
        private = people.square().mean(0)
        if sent is None or received is None or not private.any():
            return cls._of(people, torch.ones_like(private), torch.zeros_like(private), UNKNOWN * private, None)
        apart, found = sent - sent.mean(0), received - received.mean(0)
        weight = PRIOR * private * apart.square().mean() / private.mean()
        along, power = (apart * found).sum(0), apart.square().sum(0)
        overall = (along / private.clamp_min(1e-12)).sum() / (power / private.clamp_min(1e-12)).sum().clamp_min(1e-12)
        gain = (along + weight * overall) / (power + weight).clamp_min(1e-12)
        bias = (received - gain * sent).mean(0)
        residual = received - gain * sent - bias
        own, typical = residual.square().mean(0), (residual.square().mean(0) / private.clamp_min(1e-12)).median()
        noise = (len(sent) * own + PRIOR * typical * private) / (len(sent) + PRIOR) + LEAST_NOISE * private
        return cls._of(people, gain, bias, noise, residual)

    @classmethod
    def _of(cls, people: Tensor, gain: Tensor, bias: Tensor, noise: Tensor, residual: Tensor | None) -> "Channel":
        """Whiten the noise, then diagonalise what people differ in.

        The noise's covariance C is a multiple of 1 and an outer product for each shadow group, and people differ in as
        many directions as there are people: neither C nor its factor is made, which would be of features by features.
        """
        scale = noise.clamp_min(1e-12).sqrt()
        sent = gain * people / scale
        root = torch.linalg.qr(sent, mode="r").R if len(sent) > len(gain) else sent
        whitened = root if residual is None else _times_inverse(root, residual / scale)
        power, turned = (part.flip(-1) for part in torch.linalg.eigh(whitened @ root.T))
        there = power > NOTHING * power[0]
        axes = whitened.T @ (turned[:, there] / power[there].sqrt()) / scale[:, None]
        return cls(gain, bias, axes, power[there] / len(people))

    def evidence(self, received: Tensor, mean: Tensor, candidates: Tensor, size: int) -> Tensor:
        """(G, N) log-likelihood ratios: is the candidate one of the `size` images behind the group, or none of them?

        With it, a component of a group is N(x / size, spread (size - 1) / size^2 + 1), else N(0, spread / size + 1).

        Args:
            received: (G, D) features of released groups of one class.
            mean: (D,) of the class's candidates.
            candidates: (N, D) features of candidates of the class, less their mean.
            size: private images behind a group.
        """
        groups = (received - self.gain * mean - self.bias) @ self.axes
        share = (self.gain * candidates) @ self.axes / size
        inside, outside = self.spread * (size - 1) / size**2 + 1, self.spread / size + 1
        fit = groups @ (share / inside).T - (share.square() / inside).sum(1) / 2
        plain = groups.square() @ (1 / outside - 1 / inside) / 2
        return fit + plain[:, None] + (outside / inside).log().sum() / 2

    @property
    def through(self) -> float:
        """The number of components in which more of a private image than of noise is received."""
        return float((self.spread > 1).sum())


def _times_inverse(rows: Tensor, residual: Tensor) -> Tensor:
    """(N, D) rows times the inverse of the covariance of a (G, D) residual, shrunk, by Woodbury's identity."""
    groups, features = residual.shape
    shrinkage = float(ledoit_wolf_shrinkage(residual.numpy(), assume_centered=True))
    alone = FLOOR + shrinkage * float(residual.square().sum()) / groups / features
    factors = residual * ((1 - shrinkage) / groups) ** 0.5
    inner = factors @ factors.T + alone * torch.eye(groups, dtype=residual.dtype)
    through: Tensor = (rows @ factors.T) @ torch.linalg.solve(inner, factors)
    return (rows - through) / alone
