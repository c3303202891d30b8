"""Inverting Gradients (Geiping et al., arXiv 2003.14053)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cosine_similarity, cross_entropy

from attacks.registry import Attack, attacks
from attacks.view import Access, Reconstructions, SharedGradients, View
from synth.networks import MEAN, STD
from synth.types import generator


def infer_labels(bias_or_weight_gradient: Tensor) -> Tensor:
    """Each victim's label from its last-layer weight gradient (iDLG, arXiv 2001.02610): the row with the least sum.

    For one image, cross-entropy's gradient in row k is (p_k - [k = label]) times the features, negative only in the
    label's row when the features are non-negative.

    Args:
        bias_or_weight_gradient: (V, K, F) weight gradients of the last linear layer.

    Returns:
        (V,) labels.
    """
    return bias_or_weight_gradient.sum(2).argmin(1)


def total_variation(images: Tensor) -> Tensor:
    """Anisotropic total variation per image: mean absolute horizontal plus vertical difference, (N,)."""
    return (images.diff(dim=3).abs().mean((1, 2, 3))) + images.diff(dim=2).abs().mean((1, 2, 3))


@attacks.register("inverting-gradients")
@dataclass(frozen=True, kw_only=True)
class InvertingGradients(Attack):
    """Search for the image whose gradient points in the direction of the shared one.

    The attacker is the server of a federation: honest, curious, and in possession of the model it sent out and of
    every client's gradient of one step on one released image. It succeeds if it sees the client's image; privacy
    leaks if that image is, or resembles, a private one more than it resembles strangers'.

    The label is inferred from the last layer. Images start from noise and follow the sign of the gradient of
    1 - cosine(shared, own) + TV, Adam, kept within the pixel range; the step drops tenfold after 3/8, 5/8 and 7/8 of
    the iterations; the best iterate of the best restart by the objective is kept. All victims and restarts run as
    one vmap over the per-image gradient.

    Args:
        iterations: optimiser steps (the paper: 24,000; few hundred suffice on small untrained networks).
        restarts: independent starts per victim.
        learning_rate: Adam's, in normalised units.
        tv_weight: of the total variation.
        chunk: images a forward pass.

    Differs from the paper: batches of one image; best iterate instead of the last.
    """

    iterations: int = 400
    restarts: int = 1
    learning_rate: float = 0.1
    tv_weight: float = 0.01
    chunk: int = 64

    family = "gradient"
    needs = frozenset({Access.GRADIENTS})
    goal = "images"

    def __post_init__(self) -> None:
        for name in ("iterations", "restarts", "chunk"):
            if getattr(self, name) < 1:
                raise ValueError(f"inverting-gradients.{name} must be >= 1, got {getattr(self, name)}")

    def run(self, view: View, *, seed: int, device: torch.device) -> Reconstructions:
        """Reconstruct every client's image."""
        shared = view.gradients()
        network = shared.network.to(device)
        labels = infer_labels(_last_weight(shared)).to(device)
        jobs = torch.arange(len(labels)).repeat_interleave(self.restarts)
        rng = generator("inverting-gradients", seed, device=device)
        start = torch.randn((len(jobs), *shared.image_shape), generator=rng, device=device)
        found, scores = [], []
        for job, x in zip(jobs.split(self.chunk), start.split(self.chunk), strict=True):
            wanted = tuple(g[job].to(device) for g in shared.gradients)
            best, score = self._search(network, wanted, labels[job.to(device)], x)
            found.append(best)
            scores.append(score)
        choice = torch.cat(scores).view(-1, self.restarts).argmin(1)
        pixels = torch.cat(found).view(-1, self.restarts, *shared.image_shape)
        picked = pixels[torch.arange(len(labels)), choice]
        return Reconstructions(
            picked.cpu(), labels.cpu(), torch.arange(len(labels)), notes={"objective": float(torch.cat(scores).min())}
        )

    def _search(
        self, network: nn.Module, wanted: tuple[Tensor, ...], labels: Tensor, x: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Optimise a chunk; returns the best images in [0, 1] and their objectives."""
        parameters: dict[str, Tensor] = dict(network.named_parameters())
        buffers = dict(network.named_buffers())
        target = torch.cat([g.flatten(1) for g in wanted], 1)

        def loss(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
            logits = functional_call(network, (parameters, buffers), (image[None],))
            return cross_entropy(logits, label[None])

        per_image = vmap(grad(loss), in_dims=(None, 0, 0))
        x = x.clamp(-MEAN / STD, (1 - MEAN) / STD).requires_grad_()
        optimizer = torch.optim.Adam([x], lr=self.learning_rate)
        milestones = [self.iterations * part // 8 for part in (3, 5, 7)]
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.1)
        best, least = x.detach().clone(), torch.full((len(x),), torch.inf, device=x.device)
        for _ in range(self.iterations):
            pixels = x * STD + MEAN
            own = torch.cat([g.flatten(1) for g in per_image(parameters, pixels, labels).values()], 1)
            objective = 1 - cosine_similarity(own, target) + self.tv_weight * total_variation(x)
            (gradient,) = torch.autograd.grad(objective.sum(), x)
            with torch.no_grad():
                better = objective < least
                least = torch.where(better, objective, least)
                best[better] = x[better]
                x.grad = gradient.sign()
                optimizer.step()
                schedule.step()
                x.clamp_(-MEAN / STD, (1 - MEAN) / STD)
        if not torch.isfinite(least).all():
            raise FloatingPointError("the objective is not finite: are the shared gradients?")
        return (best * STD + MEAN).clamp(0, 1), least.detach()


def _last_weight(shared: SharedGradients) -> Tensor:
    """The weight gradient (V, K, F) of the last linear layer."""
    return next(g for g in reversed(shared.gradients) if g.ndim == 3)
