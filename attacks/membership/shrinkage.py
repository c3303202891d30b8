"""Variances of many things, each measured a few times, shrunk to what is usual among them."""

import math

import torch
from scipy.optimize import brentq
from scipy.special import digamma, polygamma
from torch import Tensor

LEAST, MOST = 1e-3, 1e6
"""Degrees of freedom between which those of the usual variance are looked for."""
LEAST_VARIANCE = 1e-12


def usual(variances: Tensor, freedom: float) -> tuple[float, float]:
    """The inverse-gamma distribution that sample variances' true values come from, by moments of their logarithms.

    Args:
        variances: (N,) sample variances.
        freedom: degrees of freedom of each.

    Returns:
        Degrees of freedom and scale of the prior, d and s^2: 1 / variance is chi-squared of d, divided by d s^2.
        Infinite degrees where variances differ by no more than chance.

    Smyth (doi 10.2202/1544-6115.1027), section 6.2.
    """
    logs = variances.double().clamp_min(LEAST_VARIANCE).log() - digamma(freedom / 2) + math.log(freedom / 2)
    beyond = float(logs.var()) - float(polygamma(1, freedom / 2)) if len(logs) > 1 else 0.0
    if beyond <= float(polygamma(1, MOST / 2)):
        return math.inf, float(logs.mean().exp())
    least = min(beyond, float(polygamma(1, LEAST / 2)))
    prior = 2 * brentq(lambda half: float(polygamma(1, half)) - least, LEAST / 2, MOST / 2)
    return prior, math.exp(float(logs.mean()) + float(digamma(prior / 2)) - math.log(prior / 2))


def shrunk(variances: Tensor, freedom: float) -> tuple[Tensor, float]:
    """Posterior variances, and the degrees of freedom of what is predicted with them.

    Args:
        variances: of any shape, sample variances.
        freedom: degrees of freedom of each.
    """
    prior, scale = usual(variances.flatten(), freedom)
    if math.isinf(prior):
        return torch.full_like(variances, scale), math.inf
    return (prior * scale + freedom * variances) / (prior + freedom), prior + freedom
