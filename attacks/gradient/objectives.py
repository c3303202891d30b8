"""How far apart two updates are: a value per client, and its gradient, in closed form."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Objective = Callable[[Sequence[Tensor], Sequence[Tensor]], tuple[Tensor, list[Tensor]]]
"""Function from own and shared updates, (J, *shape) a parameter, to the distance (J,) and its gradient in the own.

Closed forms, because the parameters' tensors are by far the largest here, and automatic differentiation would walk
them more often.
"""


def _total(terms: Sequence[Tensor]) -> Tensor:
    """Sums over everything but the client.

    In two stages: flattening would copy channels-last memory, and a sum from bf16 to float32 all of it; what a row
    loses by being rounded to bf16 in between averages out over the rows.
    """
    rows = [term.sum(tuple(range(2, term.ndim))) if term.ndim > 2 else term for term in terms]
    return torch.stack([row.float().sum(1) for row in rows]).sum(0)


def rows(weight: Tensor, like: Tensor) -> Tensor:
    """A weight per client (J,), shaped to multiply a tensor (J, *shape) of its dtype."""
    return weight.view(-1, *[1] * (like.ndim - 1)).to(like.dtype)


@torch.no_grad()
def euclidean(own: Sequence[Tensor], shared: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Sum of squared differences, ||own - shared||^2 (DLG, arXiv 1906.08935, equation 4)."""
    differences = [a - b for a, b in zip(own, shared, strict=True)]
    return _total([d.square() for d in differences]), [d.mul_(2) for d in differences]


@torch.no_grad()
def relative(own: Sequence[Tensor], shared: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Squared distance over the squared length of the shared update, ||own - shared||^2 / ||shared||^2.

    The same minimum, but of the same size for fresh and for trained networks, whose gradients are tiny.
    """
    value, gradient = euclidean(own, shared)
    weight = 1 / _total([b.square() for b in shared]).clamp_min(1e-30)
    return weight * value, [g.mul_(rows(weight, g)) for g in gradient]


@torch.no_grad()
def cosine(own: Sequence[Tensor], shared: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """One minus the cosine of the angle, over all parameters at once (arXiv 2003.14053, equation 4)."""

    def dot(left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
        return _total([a * b for a, b in zip(left, right, strict=True)])

    product = dot(own, shared)
    length = dot(own, own).clamp_min(1e-30).sqrt()
    whole = length * dot(shared, shared).clamp_min(1e-30).sqrt()
    toward, along = -1 / whole, product / (whole * length**2)
    gradient = [(a * rows(along, a)).addcmul_(b.to(a.dtype), rows(toward, a)) for a, b in zip(own, shared, strict=True)]
    return 1 - product / whole, gradient
