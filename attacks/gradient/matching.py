"""Gradient matching: search for images whose update looks like the one that was shared."""

import copy
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor
from torch.nn.functional import one_hot, softmax

from leakbench.attacks.attack import Attack
from leakbench.attacks.gradient.inferred_statistics import with_inferred_statistics
from leakbench.attacks.gradient.labels import infer_labels
from leakbench.attacks.gradient.objectives import Objective
from leakbench.attacks.gradient.optimizers import Optimizer
from leakbench.attacks.gradient.priors import Prior
from leakbench.attacks.gradient.updates import client_updates
from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.shared_gradients import SharedGradients
from leakbench.attacks.view import Access, View
from leakbench.metrics.chunks import in_chunks
from leakbench.synth.networks.architectures import MEAN, STD
from leakbench.synth.networks.training import has_bf16
from leakbench.synth.ranges import Count
from leakbench.synth.seeds import derive_seed, seeded_rng

LOW, HIGH = -MEAN / STD, (1 - MEAN) / STD
"""The valid range of a pixel in the networks' normalised units, in which the search lives."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a variant of gradient matching is made of; images start from standard normal noise.

    Args:
        objective: distance of updates.
        optimizer: built around the unknowns.
        priors: weights and penalties, built for the clients (J,) whose rows they will see.
        box: keep pixels in their range after every step.
        noise: standard deviation of the noise added to the gradient, in units of its root mean square (Langevin).
        search_labels: optimise label logits beside the images instead of inferring labels beforehand.
    """

    objective: Objective
    optimizer: Callable[[list[Tensor]], Optimizer]
    priors: Callable[[Tensor], list[tuple[float, Prior]]] = lambda clients: []
    box: bool = True
    noise: float = 0.0
    search_labels: bool = False


@dataclass(frozen=True, kw_only=True)
class GradientMatching(Attack):
    """What all variants share: restarts, chunks, the best iterate, and giving up.

    All restarts of all clients run as one batch, in chunks that fit the memory. Each search keeps its best iterate
    by its own objective, and each client's best restart wins. Restarts clearly behind are given up.

    Args:
        iterations: optimiser steps.
        restarts: independent starts per client.
        give_up: give up a restart whose objective, at a quarter, half and three quarters of the iterations, exceeds
            the best of its client by this share; 0 never gives up.
        bf16: compute gradients in bf16, where the hardware has it: 1.3 to 2 times as fast on two CPU cores
            (docs/speed.md), for settings where the reconstruction is far from exact anyway.

    Raises:
        ValueError: a parameter out of range.
        FloatingPointError: what was shared is not finite.
    """

    iterations: Count = 400
    restarts: Count = 1
    give_up: float = 0.1
    bf16: bool = False

    family = "gradient"
    needs = frozenset({Access.GRADIENTS})
    goal = "images"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in vars(self).items():
            if isinstance(value, float) and not value >= 0:
                raise ValueError(f"{name} must be >= 0, got {value}")

    @abstractmethod
    def parts(self, shared: SharedGradients) -> Parts:
        """What this variant is made of, for these clients."""

    def run(self, view: View, *, seed: int, device: torch.device) -> Reconstructions:
        """Reconstruct every client's images."""
        shared = with_inferred_statistics(view.gradients().to(device))
        if not all(torch.isfinite(g).all() for g in shared.gradients):
            raise FloatingPointError("what the clients shared is not finite")
        clients = len(shared.gradients[0])
        labels = infer_labels(shared) if shared.labels is None else shared.labels
        rng = seeded_rng("gradient matching", seed, device=device)
        shape = (clients * self.restarts, shared.batch, *shared.image_shape)
        start = torch.randn(shape, generator=rng, device=device)
        logits = torch.randn((*shape[:2], shared.classes), generator=rng, device=device)
        rows = torch.arange(clients, device=device).repeat_interleave(self.restarts)

        def search(part: slice) -> _Search:
            at = torch.arange(part.start * self.restarts, part.stop * self.restarts, device=device)
            return _Search(self, shared, labels.to(device), rows[at], start[at], logits[at], at, len(rows), seed).run()

        searches = in_chunks(search, clients, chunk(shared, self.restarts, device))
        pixels, found = (torch.cat(column) for column in zip(*((s.pixels, s.labels) for s in searches), strict=True))
        done = sum(s.steps for s in searches) / (self.iterations * len(rows))
        return Reconstructions(
            pixels.flatten(0, 1).cpu(),
            found.flatten().cpu(),
            torch.arange(clients).repeat_interleave(shared.batch),
            notes={"share of iterations saved by giving up": 1 - done},
        )


class _Search:
    """The searches of a chunk of clients, from their start to each client's best."""

    def __init__(
        self,
        attack: GradientMatching,
        shared: SharedGradients,
        labels: Tensor,
        clients: Tensor,
        start: Tensor,
        logits: Tensor,
        searches: Tensor,
        count: int,
        seed: int,
    ) -> None:
        self.attack, self.clients = attack, clients
        self.searches, self.count, self.seed, self.iteration = searches, count, seed, 0
        self.parts = attack.parts(shared)
        self.update = client_updates(shared, bf16=attack.bf16 and has_bf16(start.device))
        self.priors = self.parts.priors(clients)
        self.images = (start.clamp(LOW, HIGH) if self.parts.box else start.clone()).requires_grad_()
        self.targets = one_hot(labels[clients], shared.classes).float()
        self.logits = logits.clone().requires_grad_()
        self.unknowns = [self.images, self.logits] if self.parts.search_labels else [self.images]
        self.optimizer = self.parts.optimizer(self.unknowns)
        self.shared = [g[clients] for g in shared.gradients]
        self.best = [unknown.detach().clone() for unknown in self.unknowns]
        self.least = torch.full((len(clients),), torch.inf, device=start.device)
        self.steps = 0

    def run(self) -> "_Search":
        """Search; `pixels` (V, B, C, H, W) and `labels` (V, B) hold the outcome."""
        checks = {self.attack.iterations * quarter // 4 for quarter in (1, 2, 3)} - {0}
        for iteration in range(self.attack.iterations):
            if iteration in checks and self.attack.give_up and self.attack.restarts > 1:
                self._give_up()
            value, gradients = self._objective()
            self.steps += len(self.clients)
            better = value < self.least
            self.least = torch.where(better, value, self.least)
            for best, unknown in zip(self.best, self.unknowns, strict=True):
                best[better] = unknown.detach()[better]
            self.optimizer.step(gradients)
            if self.parts.box:
                self.images.data.clamp_(LOW, HIGH)
        if not torch.isfinite(self.least).all():
            raise FloatingPointError("the objective was never finite: are the shared gradients?")
        winners = torch.stack([self._winner(client) for client in self.clients.unique()])
        self.pixels = (self.best[0][winners] * STD + MEAN).clamp(0, 1)
        self.labels = (self.best[1] if self.parts.search_labels else self.targets)[winners].argmax(2)
        return self

    def _objective(self) -> tuple[Tensor, list[Tensor]]:
        """Value (J,) and gradient of every search."""
        targets = softmax(self.logits, 2) if self.parts.search_labels else self.targets
        own = self.update(self.images * STD + MEAN, targets)
        if not self.steps:  # the memory layout of the own updates saves a copy at every comparison
            self.shared = [torch.empty_like(a).copy_(b) for a, b in zip(own, self.shared, strict=True)]
        value, cotangents = self.parts.objective([g.detach() for g in own], self.shared)
        penalties = [weight * prior(self.images) for weight, prior in self.priors]
        outputs = [*own, *(p.sum() for p in penalties)]
        gradients = torch.autograd.grad(outputs, self.unknowns, [*cotangents, *(None for _ in penalties)])
        if self.parts.noise:
            gradients = tuple(g + self.parts.noise * self._noise(g, i) for i, g in enumerate(gradients))
            self.iteration += 1
        return torch.stack([value, *(p.detach() for p in penalties)]).sum(0), list(gradients)

    def _noise(self, gradient: Tensor, unknown: int) -> Tensor:
        """Normal noise of each row's root mean square; the same for a search whoever else is in its chunk."""
        rng = seeded_rng("langevin", derive_seed(self.seed, self.iteration, unknown), device=gradient.device)
        everybody = torch.randn((self.count, *gradient.shape[1:]), generator=rng, device=gradient.device)
        size = gradient.flatten(1).square().mean(1).sqrt().view(-1, *[1] * (gradient.ndim - 1))
        return size * everybody[self.searches]

    def _winner(self, client: Tensor) -> Tensor:
        return torch.where(self.clients == client, self.least, torch.inf).argmin()

    def _give_up(self) -> None:
        """Drop the restarts that are clearly behind the best of their client."""
        leaders = torch.stack([self.least[self._winner(client)] for client in self.clients])
        kept = (self.least <= leaders + self.attack.give_up * leaders.abs()).nonzero().squeeze(1)
        self.unknowns = self.optimizer.keep(kept)
        self.images, *logits = self.unknowns
        self.logits = logits[0] if logits else self.logits
        self.shared = [g[kept] for g in self.shared]
        self.searches = self.searches[kept]
        self.best = [b[kept] for b in self.best]
        self.clients, self.least, self.targets = self.clients[kept], self.least[kept], self.targets[kept]
        self.priors = self.parts.priors(self.clients)


def chunk(shared: SharedGradients, restarts: int, device: torch.device) -> int:
    """How many clients to search for at once: as many as fit a quarter of the free memory, 32 images on a CPU.

    A search holds about six copies of the parameters and ten of the activations, which one forward pass counts.
    """
    sizes: list[int] = []
    probe = copy.deepcopy(shared.network)  # a pass in training mode would change the running statistics
    for layer in probe.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda layer, inputs, output: sizes.append(output.numel()))
    with torch.no_grad():
        probe(torch.zeros(shared.batch, *shared.image_shape, device=device))
    parameters = sum(p.numel() for p in shared.network.parameters())
    need = 4 * restarts * (6 * parameters * shared.local_steps + 10 * sum(sizes) * shared.local_steps)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    fit = max(1, free // (4 * need))
    return int(fit if device.type == "cuda" else min(fit, max(1, 32 // (restarts * shared.batch))))
