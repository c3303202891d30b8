"""How few hidden copies of each kind would have been a leak: private pictures are changed, and looked for."""

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from scipy.stats import binom

from leakbench.benchmarks.audit.changes import CHANGES
from leakbench.benchmarks.audit.copy_verdict import significant
from leakbench.benchmarks.audit.folders import Folders
from leakbench.benchmarks.audit.track import Track, unwatched
from leakbench.metrics.copies import blank, find_copies
from leakbench.metrics.described import One, collected, describe
from leakbench.metrics.power import SEEN
from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.seeds import seeded_rng

TRIED = 16
"""Private pictures that are changed in each way, at most."""
HARD = frozenset({"crop to 30 %", "pasted at half size", "a quarter pasted", "blend of 50 %"})
"""Kinds that a silence may miss, and says so: `copy_verdict.MISSED`."""


def copy_power(
    folders: Folders, others: int, tolerated: int, seed: int, track: Track = unwatched
) -> tuple[bool, list[str]]:
    """What hidden copies of each kind would have been a leak, in words.

    Args:
        folders: with a holdout, whose pictures lend their parts to blends and collages.
        others: pictures of the holdout that have a copy in the release.
        tolerated: copies that are no leak.
        seed: of who is changed.
        track: shows how far it is.

    Returns:
        Whether all kinds but the `HARD` ones would have been, and a sentence for each number of copies, one for the
        kinds that are missed; of blank pictures nothing is found.
    """
    assert folders.holdout is not None
    size, holdout = len(folders.private), len(folders.holdout)
    most = min(size, len(folders.released))

    def seen(hidden: int) -> bool:
        least = int(binom.ppf(1 - SEEN, hidden, found / tried))  # of the hidden ones are found, as likely as `SEEN`
        return significant(least, others, size, holdout, tolerated)

    by_count: defaultdict[int, list[str]] = defaultdict(list)
    missed: dict[str, str] = {}
    for kind, (found, tried) in _recalls(folders, seed, track).items():
        told = f"{kind} ({found} of {tried})" if found < tried else kind
        fewest = bisect_left(range(most + 1), True, key=seen)
        if fewest > most:
            missed[kind] = told
        else:
            by_count[fewest].append(told)
    lines = [
        f"power: {count} hidden cop{'y' if count == 1 else 'ies'} of any of these kinds would have been a leak: "
        + ", ".join(kinds)
        for count, kinds in sorted(by_count.items())
    ]
    if missed:
        kinds = ", ".join(missed.values())
        lines.append(f"power: no number of hidden copies would have been a leak of these: {kinds}")
    return bool(by_count) and HARD.issuperset(missed), lines


def _recalls(folders: Folders, seed: int, track: Track) -> dict[str, tuple[int, int]]:
    """How many pictures that were changed in each way are found among all private ones, and of how many.

    Parts of them are looked for as they would be if they were released: in all that is released beside them.
    """
    assert folders.holdout is not None
    everybody = folders.private.described
    full = (~blank(everybody)).nonzero().flatten()
    rng = seeded_rng("copy power", seed)
    order = full[torch.randperm(len(full), generator=rng)].tolist()
    lent = torch.randperm(len(folders.holdout), generator=rng).tolist()
    tried = min(TRIED, len(order))
    kinds = [kind for kind in CHANGES for _ in range(tried)]
    # In a round each private picture is changed in one way: of several copies the search names the best.
    jobs = [(kind, order[i % len(order)], lent[i % len(lent)]) for i, kind in enumerate(kinds)]
    rounds = [jobs[i : i + len(order)] for i in range(0, len(jobs), len(order))] if order else []
    found: Counter[str] = Counter()
    for part in track("looking for changed private pictures", rounds, len(rounds)):
        seen = collected([_changed(folders, *job) for job in part])
        asked = replace(everybody, points=everybody.points.of([private for _, private, _ in part]))
        hidden = folders.released.described.shown.hiding(seen.points)
        copies = {copy.private: copy.released for copy in find_copies(asked, seen, hidden)}
        found.update(kind for place, (kind, private, _) in enumerate(part) if copies.get(private) == place)
    return {kind: (found[kind], tried) for kind in CHANGES} if tried else {}


def _changed(folders: Folders, kind: str, private: int, other: int) -> One:
    """What a changed private picture is recognised by."""
    assert folders.holdout is not None
    image = _picture(folders.private.pictures.decode(private))
    lent = _picture(folders.holdout.pictures.decode(other)).resize(image.size)
    side = next(iter(folders.private.described.views.values())).shape[-1]
    return describe(np.asarray(CHANGES[kind](image, lent)), side, folders.geometries, details=folders.details)


def _picture(decoded: np.ndarray | str) -> Image.Image:
    if isinstance(decoded, str):
        raise DataProblems([f"{decoded}; it was changed during the audit: audit again"])
    return Image.fromarray(decoded)
