"""How many changed pictures are found, where nobody else's is: ``python -m leakbench.benchmarks.speed.recall DIR``.

Each finder has the threshold at which it calls none of the pairs of unrelated pictures a copy; ours is the fixed one of
`find_copies`. The peers are the nearest in pixels, and the perceptual hash of imagehash where that library is there.
"""

import argparse
import importlib
import importlib.util
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from leakbench.benchmarks.audit.changes import CHANGES, Picture
from leakbench.metrics.copies import find_copies
from leakbench.metrics.described import GEOMETRIES, LARGEST_VIEW, Described, One, collected, describe
from leakbench.synth.seeds import seeded_rng

SMALL, FOLDERS = 12, 50
Looks = np.ndarray
Peer = Callable[[Sequence[Picture]], Looks]
"""What pictures look like to a finder, (N, D): near is alike."""


def pixels(pictures: Sequence[Picture]) -> Looks:
    """Squeezed to at most 32 by 32."""
    return np.stack([np.asarray(p.resize((32, 32), Image.Resampling.BICUBIC), np.float32).ravel() for p in pictures])


def perceptual_hash(pictures: Sequence[Picture]) -> Looks:
    """64 bits of the discrete cosine transform."""
    imagehash = importlib.import_module("imagehash")
    return np.stack([imagehash.phash(picture).hash.ravel().astype(np.float32) for picture in pictures])


PEERS: dict[str, Peer] = {"nearest in pixels": pixels, "imagehash PHash": perceptual_hash}


def apart(ours: Looks, theirs: Looks) -> np.ndarray:
    """(N, M) distances."""
    squares = (ours**2).sum(1)[:, None] + (theirs**2).sum(1) - 2 * ours @ theirs.T
    distances: np.ndarray = np.sqrt(np.maximum(squares, 0))
    return distances


def found_by_peer(look: Peer, private: Sequence[Picture], unrelated: Sequence[Picture]) -> Callable[..., float]:
    """The share that a peer finds below the least distance between unrelated pictures."""
    ours = look(private)
    threshold = apart(ours, look(unrelated)).min()

    def share(released: Sequence[Picture]) -> float:
        distances = apart(ours, look(released))
        own = np.diag(distances)
        return float(((own < threshold) & (own <= distances.min(1))).mean())

    return share


def looks(pictures: Sequence[Picture], view: int) -> list[One]:
    """What each picture is recognised by."""
    return [describe(np.asarray(picture), view, GEOMETRIES) for picture in pictures]


def load(folder: Path, side: int | None, count: int, among: int) -> tuple[list[Picture], list[Picture], list[Picture]]:
    """As many pictures of a folder as asked for, as many others, and further ones."""
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
    random.Random(0).shuffle(files)
    if len(files) < 2 * count + among:
        raise SystemExit(f"{folder}: has {len(files)} pictures, and {2 * count + among} are needed")
    pictures = []
    for file in files[: 2 * count + among]:
        with Image.open(file) as image:
            upright = image.convert("RGB")
        pictures.append(ImageOps.fit(upright, (side, side)) if side else upright)
    return pictures[:count], pictures[count : 2 * count], pictures[2 * count :]


def _small_folders(ours: Described, others: Described, called: set[tuple[int, int]]) -> Iterator[int]:
    """Further copies that are found among few pictures, where each has the more chance matches with each."""
    rng = seeded_rng("small folders")
    for _ in range(FOLDERS):
        one, other = (torch.randperm(len(side), generator=rng)[:SMALL] for side in (ours, others))
        found = find_copies(ours.take(one), others.take(other))
        yield sum((int(one[copy.private]), int(other[copy.released])) not in called for copy in found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, help="pixels a side; as they are unasked")
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--among", type=int, default=0, help="other pictures that are released beside; for ours alone")
    asked = parser.parse_args()
    private, others, crowd = load(asked.folder, asked.side, asked.count, asked.among)
    peers = {name: look for name, look in PEERS.items() if look is pixels or importlib.util.find_spec("imagehash")}
    shares = {name: found_by_peer(look, private, others) for name, look in peers.items()}
    view = min(LARGEST_VIEW, *(min(picture.size) for picture in private))
    ours, strangers, beside = collected(looks(private, view)), collected(looks(others, view)), looks(crowd, view)
    called = {(copy.private, copy.released) for copy in find_copies(ours, strangers)}
    print(f"{len(private)} pictures; false alarms of ours among {len(private)} by {len(others)}: {len(called)}")
    print(f"released beside them, for ours alone: {len(crowd)} others")
    small = sum(_small_folders(ours, strangers, called))
    print(f"others in {FOLDERS} pairs of folders of {SMALL} of them: {small}\n")
    print("| change | leakbench | " + " | ".join(shares) + " |\n| --- |" + " --- |" * (1 + len(shares)))
    for name, change in CHANGES.items():
        released = [change(picture, others[i % len(others)].resize(picture.size)) for i, picture in enumerate(private)]
        right = sum(
            copy.private == copy.released for copy in find_copies(ours, collected(looks(released, view) + beside))
        )
        row = [right / len(private), *(share(released) for share in shares.values())]
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in row) + " |", flush=True)


if __name__ == "__main__":
    main()
