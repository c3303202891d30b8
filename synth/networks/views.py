"""A label file: augmented views of images, and what a teacher says of each, for students that never see the teacher."""

from dataclasses import replace
from math import ceil

import torch
from torch import Tensor, nn

from leakbench.synth.images import Images
from leakbench.synth.networks.lessons import cutmix
from leakbench.synth.networks.training import Recipe, augment, predict
from leakbench.synth.seeds import seeded_rng


def labelled_views(
    images: Images, teacher: nn.Module, recipe: Recipe, *, count: int, seed: int, device: torch.device
) -> tuple[Images, Tensor]:
    """Views of every image, as a student of this recipe would see them, and the teacher's probabilities of each.

    Fast knowledge distillation (arXiv 2112.01528) publishes crops and labels of every epoch; here the crops are kept
    as pictures.

    Args:
        images: N of them.
        teacher: that is asked.
        recipe: crops, flips and cut-mixes; no student sees more views than it has steps for.
        count: views of each image, at most.
        seed: of the views.
        device: where to compute.

    Returns:
        V images with the labels of those that they were made from, and (V, K) probabilities.
    """
    rng, size = seeded_rng("views", seed), min(recipe.batch_size, len(images))
    count = min(count, ceil(recipe.steps * size / len(images)))
    views, labels = [], []
    for _ in range(count):
        for index in torch.randperm(len(images), generator=rng).split(size):  # whom it is cut-mixed with
            labels.append(images.labels[index])
            batch = augment(images.pixels[index], recipe, rng)
            if recipe.cutmix and float(torch.rand((), generator=rng)) < recipe.cutmix:
                batch, _, _ = cutmix(batch, rng)
            views.append(batch)
    shown = Images(torch.cat(views), torch.cat(labels), images.classes)
    return shown, predict(teacher, shown.pixels, device=device).softmax(1)


def as_shown(recipe: Recipe) -> Recipe:
    """The recipe of a student of such views, which sees them as they are."""
    return replace(recipe, crop_padding=0, flip=False, cutmix=0.0)
