"""The disjoint, seeded parts of a dataset."""

from dataclasses import dataclass

import torch
from torch import Tensor

from leakbench.synth.data.datasets import Pool
from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.images import Images, Split
from leakbench.synth.seeds import seeded_rng


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many images each part gets, at most; smaller datasets are shared out in the same proportions.

    Args:
        members: private images; holdout and public get as many each.
        auxiliary: images the attacker owns.
        test: real test images.
    """

    members: int
    auxiliary: int
    test: int

    def __post_init__(self) -> None:
        for name in ("members", "auxiliary", "test"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")


def stratified_order(labels: Tensor, rng: torch.Generator) -> Tensor:
    """A random order any slice of which has the classes in the proportions of the whole (to within one image)."""
    key = torch.empty(len(labels), dtype=torch.float64)
    for label in labels.unique():
        index = (labels == label).nonzero().squeeze(1)
        rank = torch.randperm(len(index), generator=rng).double()
        key[index] = (rank + 0.5) / len(index)
    return key.argsort(stable=True)


def _check_classes(pool: Pool, parts: tuple[Tensor, ...]) -> None:
    """Every part needs an image of every class, members and holdout two."""
    problems = []
    for label, name in enumerate(pool.classes):
        found = [int((pool.labels[part] == label).sum()) for part in parts]
        if min(found) < 1 or min(found[:2]) < 2:
            total = int((pool.labels == label).sum())
            problems.append(f"the class {name!r} has {total} images: too few to appear in all disjoint parts ({found})")
    if problems:
        raise DataProblems(problems)


def split(pool: Pool, sizes: Sizes, *, seed: int, public: Images | None = None) -> Split:
    """Draw the disjoint parts, stratified by class and exchangeable within a class.

    Args:
        pool: from :func:`open_pool`.
        sizes: at most so many of each; a smaller dataset is shared out in proportion.
        seed: of the assignment; a test part of the dataset's own is never mixed with the rest.
        public: images of other people, in the place of a part of the dataset.

    Raises:
        DataProblems: some part would be without images of some class.
    """
    order = stratified_order(pool.labels, seeded_rng("split", seed))
    wanted = [sizes.members, sizes.members, sizes.auxiliary]
    wanted += [sizes.members] * (public is None) + [sizes.test] * (pool.test is None)
    share = min(1.0, len(order) / sum(wanted))
    counts = [int(count * share) for count in wanted]
    _check_classes(pool, order[: sum(counts)].split(counts))
    parts = [Images(pool.draw(index), pool.labels[index], pool.classes) for index in order[: sum(counts)].split(counts)]
    if public is not None:
        parts.insert(3, public.take(stratified_order(public.labels, seeded_rng("split public", seed))))
    if pool.test:
        index = stratified_order(pool.test.labels, seeded_rng("split test", seed))[: sizes.test]
        parts.append(Images(pool.test.draw(index), pool.test.labels[index], pool.classes))
    members, holdout, auxiliary, public, test = parts
    return Split(members=members, holdout=holdout, auxiliary=auxiliary, public=public, test=test)
