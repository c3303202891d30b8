"""What copies say: are there more of private images than of images that were not used?"""

import numpy as np
import torch
from scipy.stats import binomtest

from leakbench.benchmarks.audit.folders import Folders
from leakbench.metrics.copies import Copy, find_copies
from leakbench.metrics.decision import ALARMS, LEAKS, NOTHING, UNKNOWN
from leakbench.metrics.shown import AGREE, FLAT

MISSED = (
    "copies may be missed that show less than a third of each side (of 32-pixel pictures, less than half), "
    "that were pasted small into another picture, blended with as much of one, or are negatives of parts: "
    "docs/copies.md says how many are"
)
"""What a search for copies does not find; beside every verdict that is not a leak."""


def featureless(folders: Folders) -> list[str]:
    """Of which pictures parts were not looked for, and what was not looked at."""
    if not folders.details:
        return [
            "quick: no local features were looked at, so parts of private pictures, and turned or pasted ones, were "
            "not looked for; audit again without it before you publish"
        ]
    points = folders.private.described.points
    few = int((np.diff(points.distinctive.ends) < AGREE).sum())
    said = [f"{few} private images have too few local features for parts of them to be found"] * bool(few)
    if points.fixed.any():
        said.append(
            f"{100 * points.fixed.mean():.2g} % of the private images' local features lie at the same place in many of "
            "them (dead pixels, logos, frames) and count for nothing"
        )
    among = len(folders.released.described.points.looks)
    if among > FLAT:
        said.append(
            f"the released images have {among:,} local features: those of private images were compared with the "
            "nearest groups of them alone, by which a few parts of poor pictures are missed"
        )
    return said


def like_private(others: list[Copy], folders: Folders) -> int:
    """How many of the holdout's images that have a copy in the release are near copies of private images as well."""
    assert folders.holdout is not None
    who = torch.tensor([copy.private for copy in others], dtype=torch.int64)
    return len(find_copies(folders.holdout.described.take(who), folders.private.described)) if len(who) else 0


def judge_copies(
    copies: list[Copy], others: list[Copy], doubtful: int, size: int, holdout: int, tolerated: int
) -> tuple[str, str]:
    """What copies say: exact ones are a leak; of near ones there must be more than the holdout has by chance.

    Photographs of the same thing are in many datasets twice, so it takes more near copies than images that were not
    used have (a binomial test at 5 %): 5 of 60 against 0 of 60 are a leak, 5 of 10,000 against 0 of 40 are not. A few
    more, which may be chance, are no leak and no silence; neither are as many, since the holdout may have been used as
    well, or be private images that somebody has re-encoded.

    Args:
        copies: of private images.
        others: of the holdout's.
        doubtful: how many of the latter look like private images as well.
        size: private images.
        holdout: images that were not used.
        tolerated: copies that are no leak.
    """
    exactly, ours, theirs = sum(c.exact for c in copies), len(copies), len(others)
    of_others = f"{theirs} of {holdout} of the holdout, which was not used, do"
    sentence = f"{ours} of {size} private images have a copy in the release ({exactly} exact); {of_others}"
    if exactly > tolerated or significant(ours, theirs, size, holdout, tolerated):
        return LEAKS, sentence
    if ours <= tolerated:
        return NOTHING, sentence
    excused = doubtful and (theirs == doubtful or significant(ours, theirs - doubtful, size, holdout, tolerated))
    if excused:  # then no or few others excuse ours
        return UNKNOWN, f"{sentence}; {doubtful} of these look like private images: take such ones out of the holdout"
    if ours * holdout <= theirs * size:
        return UNKNOWN, f"{sentence}; they show the same things, or the holdout was used as well: look at them"
    by_chance = chance(ours, theirs, size, holdout)
    return UNKNOWN, f"{sentence}; so many more may be chance (p = {by_chance:.2f}): look at them"


def chance(ours: int, theirs: int, size: int, holdout: int) -> float:
    """Probability of so many copies of private images, or more, among as many of both, if they had them as often."""
    return float(binomtest(ours, ours + theirs, size / (size + holdout), alternative="greater").pvalue)


def significant(ours: int, theirs: int, size: int, holdout: int, tolerated: int) -> bool:
    """Whether private images have more near copies than are tolerated, and than the holdout's say is chance."""
    return ours > tolerated and chance(ours, theirs, size, holdout) < ALARMS


def holdout_released(copies: list[Copy], others: list[Copy], size: int, holdout: int) -> str:
    """Whether the release has more of the holdout than of the private images, or some of it as it is, in words."""
    ours, theirs, exactly = len(copies), len(others), sum(c.exact for c in others)
    share = holdout / (size + holdout)
    more = theirs and binomtest(theirs, ours + theirs, share, alternative="greater").pvalue < ALARMS
    if not exactly and not more:
        return ""
    return (
        f"the holdout was released: {theirs} of its {holdout} images have a copy in the release ({exactly} exact), so "
        "it cannot stand for images that were not used; give another"
    )
