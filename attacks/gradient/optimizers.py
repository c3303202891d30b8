"""Optimisers over many searches at once: every row of the unknowns is a search of its own."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, MultiStepLR, SequentialLR

Schedule = Callable[[torch.optim.Optimizer], LRScheduler]


class Optimizer(Protocol):
    """Changes the unknowns in place, each of shape (J, …)."""

    def step(self, gradients: list[Tensor]) -> None:
        """One step of every row."""

    def keep(self, rows: Tensor) -> list[Tensor]:
        """Go on with these rows only: the new unknowns."""


def _leaves(unknowns: list[Tensor], rows: Tensor) -> list[Tensor]:
    return [unknown.detach()[rows].requires_grad_() for unknown in unknowns]


def step_decay(iterations: int) -> Schedule:
    """Tenfold smaller steps after 3/8, 5/8 and 7/8 of the iterations (arXiv 2003.14053)."""
    return lambda optimizer: MultiStepLR(optimizer, [iterations * part // 8 for part in (3, 5, 7)], gamma=0.1)


def warm_cosine(iterations: int, warmup: int = 50) -> Schedule:
    """A linear warm-up, then half a cosine to zero (arXiv 2104.07586)."""
    warmup = min(warmup, max(1, iterations // 4))

    def schedule(optimizer: torch.optim.Optimizer) -> LRScheduler:
        parts = [
            LinearLR(optimizer, 1 / warmup, 1.0, warmup),
            CosineAnnealingLR(optimizer, max(1, iterations - warmup)),
        ]
        return SequentialLR(optimizer, parts, [warmup])

    return schedule


class Adam:
    """torch's Adam, which is a search of its own in every element; `signed` feeds it the gradient's sign.

    Args:
        unknowns: leaf tensors (J, …), changed in place.
        learning_rate: peak rate, in the unknowns' units.
        schedule: of the rate.
        signed: follow the sign of the gradient.
    """

    def __init__(self, unknowns: list[Tensor], learning_rate: float, schedule: Schedule, *, signed: bool) -> None:
        self.unknowns, self.signed = unknowns, signed
        self.optimizer = torch.optim.Adam(unknowns, lr=learning_rate)
        self.schedule = schedule(self.optimizer)

    def step(self, gradients: list[Tensor]) -> None:
        """One step of Adam, then of the schedule."""
        for unknown, gradient in zip(self.unknowns, gradients, strict=True):
            unknown.grad = gradient.sign() if self.signed else gradient
        self.optimizer.step()
        self.schedule.step()

    def keep(self, rows: Tensor) -> list[Tensor]:
        """Go on with these rows only: the new unknowns."""
        old, self.unknowns = self.unknowns, _leaves(self.unknowns, rows)
        self.optimizer.param_groups[0]["params"] = self.unknowns
        for before, after in zip(old, self.unknowns, strict=True):
            state = self.optimizer.state.pop(before)
            self.optimizer.state[after] = {k: v[rows] if v.ndim else v for k, v in state.items()}
        return self.unknowns


class LBFGS:
    """torch.optim.LBFGS without line search, on every row separately: a shared step length would couple the searches.

    A test holds it to torch's own on a single row, iteration by iteration.

    Args:
        unknowns: leaf tensors (J, …), changed in place.
        learning_rate: of every step; the first is shortened by the gradient's L1 norm where that exceeds 1.
        history: past steps that the curvature is read from.
    """

    def __init__(self, unknowns: list[Tensor], *, learning_rate: float = 1.0, history: int = 100) -> None:
        self.unknowns, self.learning_rate, self.history = unknowns, learning_rate, history
        self.steps: list[Tensor] = []
        self.changes: list[Tensor] = []
        self.inverses: list[Tensor] = []
        self.last: tuple[Tensor, Tensor] | None = None
        self.curvature = torch.ones(len(unknowns[0]), 1, device=unknowns[0].device)

    def step(self, gradients: list[Tensor]) -> None:
        """One quasi-Newton step."""
        gradient = torch.cat([g.flatten(1) for g in gradients], 1)
        length = torch.full_like(self.curvature, self.learning_rate)
        if self.last is None:
            length = length * (1 / gradient.abs().sum(1, keepdim=True)).clamp_max(1)
            move = -length * gradient
        else:
            self._remember(*self.last, gradient)
            move = length * self._direction(gradient)
        self.last = (move, gradient)
        self._apply(move)

    def keep(self, rows: Tensor) -> list[Tensor]:
        """Go on with these rows only: the new unknowns."""
        self.unknowns = _leaves(self.unknowns, rows)
        for kept in (self.steps, self.changes, self.inverses):
            kept[:] = [value[rows] for value in kept]
        self.curvature = self.curvature[rows]
        if self.last is not None:
            self.last = (self.last[0][rows], self.last[1][rows])
        return self.unknowns

    def _remember(self, move: Tensor, before: Tensor, after: Tensor) -> None:
        change = after - before
        product = (change * move).sum(1, keepdim=True)
        usable = product > 1e-10  # torch's threshold; elsewhere a row learns nothing from this step
        self.curvature = torch.where(usable, product / change.square().sum(1, keepdim=True), self.curvature)
        self.steps.append(torch.where(usable, move, 0))
        self.changes.append(torch.where(usable, change, 0))
        self.inverses.append(torch.where(usable, 1 / product, 0))
        for kept in (self.steps, self.changes, self.inverses):
            del kept[: -self.history]

    def _direction(self, gradient: Tensor) -> Tensor:
        """The two-loop recursion (Nocedal 1980)."""
        direction = -gradient
        weights = []
        for move, change, inverse in zip(*map(reversed, (self.steps, self.changes, self.inverses)), strict=True):
            weight = inverse * (move * direction).sum(1, keepdim=True)
            direction = direction - weight * change
            weights.append(weight)
        direction = direction * self.curvature
        for move, change, inverse in zip(self.steps, self.changes, self.inverses, strict=True):
            direction = direction + move * (weights.pop() - inverse * (change * direction).sum(1, keepdim=True))
        return direction

    @torch.no_grad()
    def _apply(self, move: Tensor) -> None:
        sizes = [unknown[0].numel() for unknown in self.unknowns]
        for unknown, part in zip(self.unknowns, move.split(sizes, 1), strict=True):
            unknown += part.view_as(unknown)
