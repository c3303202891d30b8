"""A linear head that learns private images' features with a guarantee, by noisy full-batch gradient descent."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from leakbench.synth.defense import Claim
from leakbench.synth.defenses.differential_privacy import dp_claim, noise_multiplier_within_budget
from leakbench.synth.randomness import Randomness

BIAS = 0.1
"""The constant beside every feature vector, which gets sqrt(1 - BIAS**2) of a norm of 1."""
MOMENTUM = 0.9


def with_constant(features: Tensor) -> Tensor:
    """(N, D + 1) float64 of norms of at most 1: anybody's features (N, D), shortened and scaled, and a constant."""
    features = features.double()
    short = features / features.norm(dim=1, keepdim=True).clamp_min(1)
    return torch.cat([short * (1 - BIAS**2) ** 0.5, short.new_full((len(short), 1), BIAS)], 1)


def noise_of_a_step(epsilon: float, delta: float, steps: int) -> float:
    """The least noise on each of so many steps that keeps epsilon: together they are one mechanism of less."""
    return float(noise_multiplier_within_budget((), epsilon, delta) * steps**0.5)


def head_claim(epsilon: float, delta: float, steps: int) -> Claim:
    """The (epsilon, delta) of a head: many Gaussian mechanisms, which compose to one (arXiv 1905.02383)."""
    mechanism = f"{steps} noisy gradients of a linear head, each a Gaussian mechanism"
    return dp_claim(epsilon, delta, mechanism, gaussian=True)


def noisy_softmax_regression(
    seen: Tensor,
    labels: Tensor,
    classes: int,
    *,
    noise: float,
    steps: int,
    learning_rate: float,
    randomness: Randomness,
) -> Tensor:
    """Weights (K, D) of a softmax regression by full-batch gradient descent on clipped gradients with noise.

    A gradient of one image is an outer product, of which the norm is the product of two: it is cut to at most 1, so
    that a step's sum changes by no more when an image comes or goes.

    Args:
        seen: (N, D) of norms of at most 1.
        labels: (N,) of them.
        classes: K.
        noise: standard deviation of what is added to every entry of a step's sum.
        steps: in all.
        learning_rate: with momentum.
        randomness: of the noise.
    """
    wanted = one_hot(labels, classes).to(seen.dtype)
    weights = torch.zeros(classes, seen.shape[1], dtype=seen.dtype)
    speed = torch.zeros_like(weights)
    for _ in range(steps):
        total = clipped_sum((seen @ weights.T).softmax(1) - wanted, seen)
        total = total + noise * randomness.normal(*weights.shape).to(seen.dtype)
        speed = MOMENTUM * speed + total / len(seen)
        weights = weights - learning_rate * speed
    return weights


def clipped_sum(errors: Tensor, seen: Tensor) -> Tensor:
    """(K, D) the sum of the outer products of errors (N, K) and inputs (N, D), each cut to a norm of at most 1."""
    norms = errors.norm(dim=1, keepdim=True) * seen.norm(dim=1, keepdim=True)
    total: Tensor = (errors / norms.clamp_min(1)).T @ seen
    return total
