"""Time and memory of looking for copies among many pictures: ``python -m leakbench.benchmarks.speed.scale DIR``.

As many pictures of DIR are private as are released, all of them different; each number is a process of its own, whose
peak of memory the system says. Pictures smaller than --side are scaled up and grained.
"""

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from leakbench.metrics.copies import find_copies
from leakbench.metrics.described import LARGEST_VIEW, Described, collected, describe
from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.data.pictures import Pictures
from leakbench.synth.data.sources.folders import open_folder
from leakbench.synth.seeds import seeded_rng

GRAIN = 8
"""Standard deviation of 255."""


def seen(pictures: Pictures, side: int) -> Described:
    """What pictures are recognised by, read one after another, as an audit does."""

    def look(array: NDArray[np.uint8]) -> object:
        if array.shape[0] < side:
            large = cv2.resize(array, (side, side), interpolation=cv2.INTER_CUBIC)
            grain = np.random.default_rng(int(array.sum())).normal(0, GRAIN, large.shape)
            array = (large + grain).clip(0, 255).astype(np.uint8)
        return describe(array, min(side, LARGEST_VIEW), ("crop",))

    ones = list(pictures.each(look))
    problems = [one for one in ones if isinstance(one, str)]
    if problems:
        raise DataProblems(problems)
    return collected(ones)


def measured(folder: Path, side: int, count: int) -> dict[str, float]:
    """Seconds of each stage, and the peak of memory in GiB."""
    stages: dict[str, float] = {"pictures": count}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        stages[name] = time.perf_counter() - begun

    everything = open_folder(folder, [])
    order = torch.randperm(len(everything), generator=seeded_rng("scale"))
    with timed("describe"):
        private, released = (seen(everything.take(part), side) for part in order[: 2 * count].split(count))
    stages["features"] = len(released.points.looks)
    with timed("index"):
        released.shown  # noqa: B018
    with timed("search parts"):
        released.shown.copies(private.points.distinctive)
    with timed("whole search"):
        stages["copies"] = len(find_copies(private, released))
    stages["GiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return stages


def main() -> None:
    """Print a line for each number of pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--counts", default="500,1000,2000,4000")
    asked = parser.parse_args()
    counts = list(map(int, asked.counts.split(",")))
    if (there := len(open_folder(asked.folder, []))) < 2 * max(counts):
        raise SystemExit(f"{asked.folder}: has {there} pictures, and {2 * max(counts)} are needed")
    for count in counts:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(json.dumps(pool.apply(measured, (asked.folder, asked.side, count))), flush=True)


if __name__ == "__main__":
    main()
