"""What a student is taught of the images of a batch: by rung of labels, and cut-mixed where its recipe says so."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def cutmix(images: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, float]:
    """Images with a rectangle of a partner's, the same one for a batch (CutMix, arXiv 1905.04899, alpha 1).

    Args:
        images: (N, C, H, W).
        rng: of the rectangle and the partners, on the images' device.

    Returns:
        (N, C, H, W); (N,) positions of the partners; and the share of its own pixels that an image keeps.
    """
    height, width = images.shape[-2:]
    device = images.device
    cut, row, column = torch.rand(3, generator=rng, device=device).tolist()
    half = sqrt(cut) / 2
    top, bottom = (round(min(max(row + side, 0.0), 1.0) * height) for side in (-half, half))
    left, right = (round(min(max(column + side, 0.0), 1.0) * width) for side in (-half, half))
    partner = torch.randperm(len(images), generator=rng, device=device)
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images[partner][..., top:bottom, left:right]
    return mixed, partner, 1 - (bottom - top) * (right - left) / (height * width)


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What is known of a training set's images.

    Args:
        labels: (N,) classes: the first rung.
        soft: (N, K) probabilities, one vector an image: the second.
        answer: from a batch as it is shown to a published teacher's logits (N, K): the third.
        classes: K.
        cutmix: share of the batches that are cut-mixed.
    """

    labels: Tensor
    soft: Tensor | None = None
    answer: Callable[[Tensor], Tensor] | None = None
    classes: int
    cutmix: float = 0.0

    def taught(self, batch: Tensor, index: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """A batch as it is shown, and the probabilities (N, K) to learn; None where they are the classes themselves.

        Args:
            batch: uint8 (N, C, H, W), augmented.
            index: (N,) positions in the training set.
            rng: of the cut-mixing.
        """
        known = None if self.soft is None else self.soft[index]
        if self.cutmix and float(torch.rand((), generator=rng, device=rng.device)) < self.cutmix:
            own = one_hot(self.labels[index], self.classes).float() if known is None else known
            batch, partner, kept = cutmix(batch, rng)
            known = kept * own + (1 - kept) * own[partner]
        return batch, known if self.answer is None else self.answer(batch).softmax(1)
