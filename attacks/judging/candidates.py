"""Who a guess is compared with: candidates of a class, other victims, strangers, and nobody in particular."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from leakbench.metrics.metric import Metric
from leakbench.metrics.neighbours import nearest
from leakbench.synth.images import Images, to_bytes
from leakbench.synth.seeds import seeded_rng

Floats = NDArray[np.float64]
DISTRACTORS = 99
"""Candidates of the class beside the truth in an identification, at most: chance is then 1 %."""
DRAWS = 20
"""Times that strangers are drawn to count the chance of an identification."""


def class_means(images: Images) -> Tensor:
    """The mean image (K, C, H, W) of every class: the guess of somebody who saw nothing (gray for an absent class)."""
    means = torch.full((len(images.classes), *images.pixels.shape[1:]), 0.5)
    for label in images.labels.unique():
        means[label] = images.of_class(int(label)).float().mean(0)
    return means


def similarities(pixels: Tensor, labels: Tensor, pool: Images, metric: Metric) -> tuple[Floats, NDArray[np.bool_]]:
    """Similarity (R, M) of each guess to each candidate of its class, and which candidates those are.

    Args:
        pixels: (R, C, H, W) in [0, 1].
        labels: (R,) the class of each guess.
        pool: the candidates.
        metric: by which they are compared; higher is more alike.
    """
    allowed = labels[:, None] == pool.labels[None]
    scores = torch.zeros(allowed.shape, dtype=torch.float64)
    for row, mask in enumerate(allowed):
        candidates = pool.pixels[mask].float() / 255
        scores[row, mask] = metric.function(pixels[row].expand(candidates.shape), candidates).double()
    return scores.numpy(), allowed.numpy()


def of_class(images: Images, labels: Tensor, *, seed: int, purpose: str) -> Tensor:
    """For each label the position of a random image of that class."""
    rng = seeded_rng(purpose, seed)
    picks = []
    for label in labels:
        index = (images.labels == label).nonzero().squeeze(1)
        picks.append(index[torch.randint(len(index), (), generator=rng)])
    return torch.stack(picks)


def without(images: Images, index: Tensor) -> Images:
    """All images but those at these positions."""
    keep = torch.ones(len(images), dtype=torch.bool)
    keep[index] = False
    return images.take(keep.nonzero().squeeze(1))


def other_victims(released: Images, position: Tensor, *, seed: int) -> Tensor:
    """For each victim the position of another released image of its class that is not attacked itself.

    Were it attacked beside the victim, a perfect reconstruction would be its own control. Where a class has no image
    left, one of any class stands in.
    """
    rng = seeded_rng("other victims", seed)
    labels = released.labels
    free = torch.ones(len(labels), dtype=torch.bool)
    free[position] = False
    picks = []
    for victim in position:
        others = ((labels == labels[victim]) & free).nonzero()[:, 0]
        if not len(others):
            others = free.nonzero()[:, 0] if free.any() else (torch.arange(len(labels)) != victim).nonzero()[:, 0]
        picks.append(others[torch.randint(len(others), (), generator=rng)])
    return torch.stack(picks)


def assign(pixels: Tensor, targets: Tensor, clients: Tensor) -> Tensor:
    """Which guess stands for which target: per client the pairing with the least squared error (by scipy).

    An attack on a client with several images cannot know their order, so the judge pairs once, for every figure, and
    the same way for controls.

    Args:
        pixels: (R, C, H, W) guesses.
        targets: (R, C, H, W) images, of the same client row by row.
        clients: (R,) in increasing order.

    Returns:
        (R,) the guess for each target.
    """
    order = torch.arange(len(pixels))
    for client in clients.unique():
        rows = (clients == client).nonzero().squeeze(1)
        if len(rows) > 1:
            error = (targets[rows][:, None] - pixels[rows][None]).square().flatten(2).mean(2)
            order[rows] = rows[torch.from_numpy(linear_sum_assignment(error.numpy())[1])]
    return order


def identification_hits(
    pixels: Tensor, right: Images, others: Images, *, seed: int, own: Tensor | None = None
) -> list[int]:
    """For each guess 1 if the right image is nearer than randomly drawn others of its class.

    Args:
        pixels: (R, C, H, W) guesses in [0, 1].
        right: the image that each may show.
        others: the rest to tell it apart from.
        seed: of the draw.
        own: (R,) the position of the right image in `others`, where it is one of them.
    """
    rng = seeded_rng("identification", seed)
    hits = []
    rounded = to_bytes(pixels)
    for row, (guess, image, label) in enumerate(zip(rounded, right.pixels, right.labels, strict=True)):
        among = others.labels == label
        if own is not None:
            among = among & (torch.arange(len(others)) != own[row])
        pool = others.pixels[among]
        drawn = pool[torch.randperm(len(pool), generator=rng)[:DISTRACTORS]]
        # The right image stands last: an exact tie (say, all candidates equal) counts as a miss.
        hits.append(int(nearest(guess[None], torch.cat([drawn, image[None]])).position.item() == len(drawn)))
    return hits


def chance(pixels: Tensor, clients: Tensor, labels: Tensor, others: Images, *, seed: int) -> float:
    """How often a stranger in the right image's place would be told apart.

    Where every client has one image that is one over the candidates, exactly. Pairing several raises it, by how much
    is counted: strangers of the classes are drawn and paired :data:`DRAWS` times.
    """
    available = (labels[:, None] == others.labels[None]).sum(1)
    if len(clients.unique()) == len(clients):
        return float((1 / (available.clamp_max(DISTRACTORS) + 1)).double().mean())
    alone = available == 0  # nobody to be mistaken for: told apart for certain
    if alone.all():
        return 1.0
    if alone.any():
        rest = ~alone
        share = float(rest.double().mean())
        return 1 - share + share * chance(pixels[rest], clients[rest], labels[rest], others, seed=seed)
    hits: list[int] = []
    for draw in range(DRAWS):
        index = of_class(others, labels, seed=seed, purpose=f"chance {draw}")
        strangers = others.take(index)
        order = assign(pixels, strangers.float(), clients)
        hits += identification_hits(pixels[order], strangers, others, seed=seed + draw, own=index)
    return sum(hits) / len(hits)
