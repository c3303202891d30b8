"""Just the release: what `leakbench synthesize` does."""

from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.suite import Suite, parameters, parse
from synth.datasets import Pool, Sizes, split
from synth.networks import build
from synth.registry import defenses
from synth.release_files import save_release
from synth.training import train
from synth.types import derive_seed


def synthesize(
    suite: Suite, spec: str, pool: Pool, *, out: Path, seed: int, members: int | None, device: torch.device
) -> int:
    """Make a release into a folder.

    Args:
        suite: gives the sizes and the teacher.
        spec: of the defense.
        pool: the dataset.
        out: an empty or missing folder.
        seed: everything random derives from it.
        members: private images to use; the suite's number by default.
        device: where to compute.

    Returns:
        How many images were released.
    """
    sizes = suite.sizes if members is None else Sizes(members=members, auxiliary=members, test=members)
    parts = split(pool, sizes, seed=seed)
    defense = parse(spec, defenses)
    teacher = None
    if defense.teacher_based:
        private = parts.members
        network = build(
            suite.teacher.network,
            classes=len(private.classes),
            side=private.side,
            seed=derive_seed("teacher", "init", seed),
        )
        teacher = train(network, private, suite.teacher.recipe, seed=derive_seed("teacher", seed), device=device)
    release = defense.release(
        parts.members, teacher=teacher, public=parts.public, seed=derive_seed("defense", spec, seed), device=device
    )
    save_release(
        release, out, about={"defense": spec, "parameters": parameters(defense), "claim": asdict(defense.claim)}
    )
    return len(release.images)
