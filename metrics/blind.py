"""The blind control: how well members and others can be told apart without the release (arXiv 2406.16201).

Membership can only be told by a score if members and others are alike in everything else. Where a classifier that has
never seen the release tells them apart, so does any distance to the release, with nothing leaked.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from leakbench.metrics.decision import BLIND, BLIND_CONTROL
from leakbench.metrics.measurement import Measurement

SIDE = 16
"""Pixels a side, of what principal components are taken of."""
COMPONENTS = 32
FOLDS = 5
FEWEST = 2 * FOLDS
"""Images of each kind, at least."""
DECIMALS = 5
"""Of everything computed: of equal images the last digits differ by where they lie in memory, and in nothing else."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
AT_ONCE = 4096
PERMUTATIONS, COLUMNS = 999, 111
"""Exchanges of who is called a member, and how many of them at once."""


def blind_control(members: Tensor, others: Tensor, *, seed: int = 0) -> Measurement:
    """How much better than chance members are told from others by what they look like.

    A ridge classifier on simple statistics of images (brightness, contrast, color, sharpness, blocks of a JPEG,
    borders), their squares and principal components scores each fifth after having seen the others; the excess is the
    scores' area under the ROC curve less 1/2. Its interval comes from exchanging who is called a member, all fits
    included: the fifths' areas depend on each other, so that a normal interval raised 3.5 % of alarms where 1 % were
    promised.

    Args:
        members: uint8 (N, C, H, W), N >= 10.
        others: uint8 (M, C, H, W), likewise.
        seed: of the fifths and the exchanges.

    Returns:
        ``blind.auc.excess``; of exchangeable images its lower end is above 0 with a probability of `decision.BLIND`.

    Raises:
        ValueError: fewer images.
    """
    if min(len(members), len(others)) < FEWEST:
        raise ValueError(f"the blind control needs {FEWEST} images of each kind, got {len(members)} and {len(others)}")
    seen, count = _features(torch.cat([members, others])), len(members) + len(others)
    is_member = np.arange(count) < len(members)
    rng = np.random.default_rng(seed)
    folds = np.array_split(rng.permutation(count), FOLDS)
    excess = float(_areas(seen, is_member[:, None], folds)[0]) - 0.5
    exchanged = (
        np.stack([rng.permutation(is_member) for _ in range(COLUMNS)], 1) for _ in range(PERMUTATIONS // COLUMNS)
    )
    null = np.concatenate([_areas(seen, part, folds) for part in exchanged]) - 0.5
    # Above the 990th of 999 is one of the ten largest of 1,000 that are equally likely to be the observed one.
    low, high = np.quantile(null, [BLIND, 1 - BLIND], method="inverted_cdf")
    return Measurement(
        name=BLIND_CONTROL,
        value=excess,
        low=excess - float(high),
        high=excess - float(low),
        n=count,
        better="lower",
        variant="cross-fitted ridge classifier on image statistics and principal components; label exchange",
        level=1 - 2 * BLIND,
    )


def _features(images: Tensor) -> NDArray[np.float32]:
    """Statistics and leading components of all images, standardised; who is a member bears on none of them."""
    parts = [_described(part.float() / 255) for part in images.split(AT_ONCE)]
    statistics, small = (np.concatenate(kind).round(DECIMALS) for kind in zip(*parts, strict=True))
    components = (
        PCA(min(COMPONENTS, len(small) // 4, small.shape[1]), svd_solver="full").fit_transform(small).round(DECIMALS)
    )
    scaled = StandardScaler().fit_transform(np.hstack([statistics, components]))
    squared = np.square(scaled[:, : statistics.shape[1]])  # those in the middle of others, which no line sets apart
    features: NDArray[np.float32] = np.hstack([scaled, StandardScaler().fit_transform(squared)])
    return features


def _areas(seen: NDArray[np.float32], called: NDArray[np.bool_], folds: list[NDArray[np.intp]]) -> NDArray[np.float64]:
    """(P,) areas under the ROC curves of cross-fitted scores, for each of P ways to call images (N, P) members."""
    scores = np.empty(called.shape)
    for index, rest in enumerate(folds):
        fit = np.concatenate([*folds[:index], *folds[index + 1 :]])
        # Without the fit's share of members, which is lower where the rest's is higher.
        labels = called[fit] - called[fit].mean(0)
        model = Ridge(alpha=0.1 * len(fit), fit_intercept=False).fit(seen[fit], labels.astype(np.float32))
        scores[rest] = model.predict(seen[rest]).reshape(len(rest), -1).round(DECIMALS)
    inside = called.sum(0)
    ranks = (rankdata(scores, axis=0) * called).sum(0)
    areas: NDArray[np.float64] = (ranks - inside * (inside + 1) / 2) / (inside * (len(called) - inside))
    return areas


def _described(images: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, D) statistics of images in 0..1, and (N, D') pixels of them made small."""
    gray = images.mean(1)
    across, down = gray.diff(dim=2), gray.diff(dim=1)
    border = torch.cat([gray[:, [0, -1]].flatten(1), gray[:, :, [0, -1]].flatten(1)], 1)
    fine = gray - avg_pool2d(gray[:, None], 3, 1, 1, count_include_pad=False).squeeze(1)
    statistics = [
        images.mean((2, 3)),
        images.std((2, 3)),
        torch.quantile(gray.flatten(1), torch.tensor(QUANTILES), dim=1).T,
        images.std(1).mean((1, 2)).unsqueeze(1) if images.shape[1] > 1 else gray.new_zeros(len(gray), 1),
        torch.stack([part.abs().mean((1, 2)) for part in (across, down, fine)], 1),
        torch.stack([_blocks(across), _blocks(down.transpose(1, 2))], 1),
        torch.stack([border.mean(1), border.std(1)], 1),
        torch.stack([(gray <= 0.02).float().mean((1, 2)), (gray >= 0.98).float().mean((1, 2))], 1),
    ]
    small = interpolate(images, size=SIDE, mode="area").flatten(1)
    return torch.cat(statistics, 1).numpy(), small.numpy()


def _blocks(steps: Tensor) -> Tensor:
    """(N,) how much larger steps are at the edges of 8-pixel blocks than elsewhere."""
    edges = steps[:, :, 7::8]
    return (edges.abs().mean((1, 2)) if edges.shape[2] else steps.new_zeros(len(steps))) - steps.abs().mean((1, 2))
