"""Galleries of reconstructions: what a person believes more readily than a number."""

from pathlib import Path

import torch
from torch import Tensor
from torchvision.utils import save_image

from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.judging.truth import Truth, comparable, paired
from leakbench.metrics.neighbours import nearest
from leakbench.synth.images import Images, to_bytes

COLUMNS = 10


def _nearest_of_class(pixels: Tensor, labels: Tensor, images: Images) -> tuple[Tensor, Tensor]:
    """The nearest image of each guess's class, and its squared distance."""
    found = nearest(pixels, images.pixels, query_labels=labels, candidate_labels=images.labels)
    return images.pixels[found.position], found.squared_distance


def save_gallery(file: Path, guess: Reconstructions, truth: Truth) -> None:
    """Write four rows: private, released, reconstructed, nearest stranger (holdout).

    The rule: of each victim (or, where the guess is of a class, of each class) the guess nearest to a member, the
    nearest first, ten columns at most: the worst for privacy, not the prettiest. The private image is the source
    where there is one, else the nearest member of the class; the released image is the victim's, else the nearest
    of the class.

    Args:
        file: PNG to write.
        guess: the reconstructions.
        truth: what only the judge knows.
    """
    guess, truth = comparable(guess, truth)
    position = None
    if guess.clients is not None:
        guess, position = paired(guess, truth)
    pixels = to_bytes(guess.pixels)
    members, holdout = truth.split.members, truth.split.holdout
    private, distance = _nearest_of_class(pixels, guess.labels, members)
    if position is not None:
        released = truth.released.pixels[position]
        if truth.single_source is not None:
            private = members.pixels[truth.single_source[position]]
            distance = (pixels.int() - private.int()).square().flatten(1).sum(1)
        order = distance.argsort(stable=True)
    else:
        released, _ = _nearest_of_class(pixels, guess.labels, truth.released)
        order = distance.argsort(stable=True)
        labels = guess.labels[order].tolist()
        order = order[torch.tensor([label not in labels[:i] for i, label in enumerate(labels)])]
    order = order[:COLUMNS]
    strangers, _ = _nearest_of_class(pixels[order], guess.labels[order], holdout)
    rows = torch.cat([private[order], released[order], pixels[order], strangers]).float() / 255
    file.parent.mkdir(parents=True, exist_ok=True)
    scale = max(1, 64 // rows.shape[-1])
    big = rows.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    save_image(big, file, nrow=len(order), padding=4, pad_value=1.0)
