"""The private pictures that are at risk, as rows of a table: why, and beside which released one."""

import torch

from leakbench.benchmarks.audit.folders import Folders
from leakbench.metrics.copies import Copy
from leakbench.metrics.neighbours import nearest

COPY, MEMBER = "copy", "member"
"""Why a private picture is at risk: the release shows it, or attacks tell that it was used."""
PARTS = ("part of private, % left top right bottom", "part of released, % left top right bottom")
"""Columns that say what of a private picture is shown where, if it is not all of it."""
COLUMNS = ("kind", "private", "released", "why", *PARTS)
Row = dict[str, str]
"""A value for each of `COLUMNS`."""


def copied(folders: Folders, copy: Copy) -> Row:
    """A private picture that the release shows.

    Args:
        folders: that are audited.
        copy: what was found.
    """
    boxes = [] if copy.parts is None else [" ".join(f"{100 * edge:.0f}" for edge in box) for box in copy.parts]
    return _row(folders, COPY, copy.private, copy.released, copy.why) | dict(zip(PARTS, boxes, strict=False))


def told_first(chosen: torch.Tensor, folders: Folders, attack: str) -> dict[int, Row]:
    """Private pictures that score higher than everybody who was not in, each beside the released one that is nearest.

    Args:
        chosen: their positions, (N,).
        folders: that are audited.
        attack: that tells them.
    """
    geometry = folders.geometries[0]
    released = folders.released.described.views[geometry]
    shown = folders.private.described.views[geometry][chosen]
    plain, mirrored = nearest(shown, released), nearest(shown.flip(3), released)
    near = plain.position.where(plain.squared_distance <= mirrored.squared_distance, mirrored.position)
    why = f"{attack}: before every image of the holdout"
    return {i: _row(folders, MEMBER, i, j, why) for i, j in zip(chosen.tolist(), near.tolist(), strict=True)}


def _row(folders: Folders, kind: str, private: int, released: int, why: str) -> Row:
    names = folders.private.pictures.names[private], folders.released.pictures.names[released]
    return {"kind": kind, "private": names[0], "released": names[1], "why": why, **dict.fromkeys(PARTS, "")}
