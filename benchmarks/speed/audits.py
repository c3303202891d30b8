"""How often audits are wrong: ``python -m leakbench.benchmarks.speed.audits DIR KIND --out FILE``.

``null``: nothing leaks, and private images and holdout are drawn from one pool. ``shifted``: nothing leaks, but they
look different. ``spiked``: five private pictures are in the release, changed in one of the ways of `audit.changes`, all
of which must be named. Each audit is a line of FILE; the same command goes on where it was stopped.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from leakbench.benchmarks.audit.changes import CHANGES, Change, Picture
from leakbench.benchmarks.audit.folders import open_folders
from leakbench.benchmarks.audit.verdict import audit
from leakbench.metrics.decision import LEAKS
from leakbench.synth.seeds import seeded_rng

LEAST, MOST = 60, 500
"""Private pictures of a null audit."""
SPIKES = 5
SHIFTS: dict[str, Change] = {
    "brightness 0.9": lambda image, other: ImageEnhance.Brightness(image).enhance(0.9),
    "contrast 0.8": lambda image, other: ImageEnhance.Contrast(image).enhance(0.8),
    **{kind: CHANGES[kind] for kind in ("noise of 20", "blur 1", "JPEG 30", "half resolution")},
}
"""What was done to every picture of the holdout, and to no other."""


@dataclass(frozen=True)
class Planned:
    """An audit to make.

    Args:
        name: of its line.
        private, released, holdout: pictures (N, 3, H, W), uint8.
        spikes: positions of the private pictures that were released, and of the released ones that show them.
    """

    name: str
    private: Tensor
    released: Tensor
    holdout: Tensor
    spikes: list[tuple[int, int]] = field(default_factory=list)


class Pool:
    """Pictures of a folder, as many of them as are asked for.

    Args:
        folder: of image files, maybe in class folders.
        side: pixels a side at which they are cropped to their middle.
    """

    def __init__(self, folder: Path, side: int) -> None:
        files = folder.rglob("*")
        self.files = sorted(file for file in files if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
        self.side = side

    def open(self, position: int) -> Picture:
        """One of them."""
        with Image.open(self.files[position]) as image:
            return ImageOps.fit(image.convert("RGB"), (self.side, self.side))

    def thirds(self, count: int, seed: int) -> tuple[list[Picture], list[Picture], list[Picture]]:
        """As many of each, all of them different."""
        drawn = torch.randperm(len(self.files), generator=seeded_rng("audits", seed))[: 3 * count]
        one, two, three = ([self.open(i) for i in part.tolist()] for part in drawn.split(count))
        return one, two, three


def null(pool: Pool, count: int) -> Iterator[Callable[[], Planned]]:
    """Audits of releases of other people's pictures."""
    for seed in range(count):
        most = min(MOST, len(pool.files) // 3)
        size = int(torch.randint(min(LEAST, most), most + 1, (1,), generator=seeded_rng("size", seed)))
        yield lambda seed=seed, size=size: _plan(f"null {seed}", *pool.thirds(size, seed))


def shifted(pool: Pool, count: int) -> Iterator[Callable[[], Planned]]:
    """The same where the holdout was changed, or is of other classes."""
    size = min(200, len(pool.files) // 3)

    def plan(kind: str, seed: int) -> Planned:
        private, released, holdout = pool.thirds(size, seed)
        changed = [SHIFTS[kind](one, other) for one, other in zip(holdout, private, strict=True)]
        return _plan(f"{kind} {seed}", private, released, changed)

    def mixed(seed: int) -> Planned:
        """The first classes by name against the last ones."""
        half = len(pool.files) // 2
        drawn = torch.randperm(half, generator=seeded_rng("mix", seed))
        size = min(200, half // 2)
        first, others = drawn[:size].tolist(), drawn[size : 2 * size].tolist()
        holdout = [pool.open(half + i) for i in first]
        return _plan(f"classes {seed}", [pool.open(i) for i in first], [pool.open(i) for i in others], holdout)

    for seed in range(count):
        for kind in SHIFTS:
            yield lambda kind=kind, seed=seed: plan(kind, seed)
        if len({file.parent for file in pool.files}) > 1:
            yield lambda seed=seed: mixed(seed)


def spiked(pool: Pool, count: int) -> Iterator[Callable[[], Planned]]:
    """Audits of releases with five changed private pictures."""
    size = min(MOST, len(pool.files) // 3)

    def plan(kind: str, seed: int) -> Planned:
        private, released, holdout = pool.thirds(size, seed)
        drawn = torch.randperm(size, generator=seeded_rng("spikes", seed))[:SPIKES].tolist()
        for place, one in enumerate(drawn):
            released[place] = ImageOps.fit(CHANGES[kind](private[one], released[place]), (pool.side, pool.side))
        return _plan(
            f"{kind} {seed}", private, released, holdout, spikes=[(one, place) for place, one in enumerate(drawn)]
        )

    for seed in range(count):
        for kind in CHANGES:
            yield lambda kind=kind, seed=seed: plan(kind, seed)


KINDS = {"null": null, "shifted": shifted, "spiked": spiked}


def _plan(name: str, *parts: Sequence[Picture], spikes: Sequence[tuple[int, int]] = ()) -> Planned:
    private, released, holdout = (_stacked(part) for part in parts)
    return Planned(name, private, released, holdout, list(spikes))


def _stacked(pictures: Sequence[Picture]) -> Tensor:
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2)


def made(planned: Planned, seed: int = 0) -> dict[str, Any]:
    """What an audit says."""
    folders = open_folders(planned.private, planned.released, planned.holdout)
    found = audit(folders, seed=seed)
    private, released = folders.private.pictures.names, folders.released.pictures.names
    named = {(row["private"], row["released"]) for row in found.risky}
    right = sum((private[one], released[other]) in named for one, other in planned.spikes)
    parts = {part.question: part.verdict for part in found.parts}
    line = {"audit": planned.name, "private": len(private), "verdict": found.verdict, **parts}
    return line | {"named": right, "others named": len(named) - right}


def main() -> None:
    """Make the audits that FILE lacks, and count verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--count", type=int, default=1, help="null audits, or rounds of the kinds of the others")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    done = len(asked.out.read_text().splitlines()) if asked.out.exists() else 0
    plans = list(KINDS[asked.kind](Pool(asked.folder, asked.side), asked.count))
    for plan in plans[done:]:
        with asked.out.open("a") as file:
            file.write(json.dumps(made(plan())) + "\n")
    lines = [json.loads(line) for line in asked.out.read_text().splitlines()]
    leaking = sum(line["verdict"] == LEAKS for line in lines)
    print(f"{asked.kind}, {asked.folder.name}: {leaking} of {len(lines)} leak; {sum(x['named'] for x in lines)} named")


if __name__ == "__main__":
    main()
