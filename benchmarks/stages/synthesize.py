"""Just the release, to be published: what `leakbench synthesize` does."""

import secrets
from pathlib import Path

import torch
from torch import nn

from leakbench.benchmarks.stages.publish import about, equipped, synthesised, synthesizer
from leakbench.benchmarks.suite.model import Suite
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.benchmarks.suite.public import check_labels, check_others, need_none, open_public
from leakbench.synth.data.datasets import Pool, stratified_order
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import train
from leakbench.synth.randomness import SystemRandomness
from leakbench.synth.release_files import save_release
from leakbench.synth.seeds import derive_seed, seeded_rng


def synthesize(
    suite: Suite,
    spec: str,
    pool: Pool,
    *,
    out: Path,
    seed: int | None,
    members: int | None,
    device: torch.device,
    public: Path | None,
) -> int:
    """Make a release into a folder.

    Args:
        suite: gives the teacher's network and recipe.
        spec: of the defense.
        pool: the dataset.
        out: an empty or missing folder.
        seed: everything random derives from it; by default from the operating system, and nobody can do it again. Which
            images are the members, where not all are, is always the same choice.
        members: private images to use; all by default.
        device: where to compute.
        public: a folder of other people's images.

    Returns:
        How many images were released.

    Raises:
        RequestProblems: the defense releases nothing, reads public images and there are none, cannot be kept with these
            parameters, or would have shown members without saying so; nothing was written.
    """
    defense = synthesizer(spec)
    others = _others(spec, pool, public)
    chosen = stratified_order(pool.labels, seeded_rng("members", seed or 0))[:members]
    private = Images(pool.draw(chosen), pool.labels[chosen], pool.classes)
    if public is not None:
        check_others(others, public, private)
    own = secrets.randbits(63) if seed is None else seed
    given = equipped(
        defense,
        seed=derive_seed("defense", spec, own),
        device=device,
        teacher=_teacher(suite, private, own, device) if defense.teacher_based else None,
        public=others,
        randomness=SystemRandomness() if seed is None else None,
    )
    try:
        release = synthesised(defense, private, given)
    except ValueError as error:  # what a defense, or the guard, has to say of the request
        raise RequestProblems([f"{spec!r}: {error}"]) from error
    said = about(spec, defense, public="" if public is None else public.name, known_seed=seed is not None)
    save_release(release, out, about=said)
    return len(release.images)


def _others(spec: str, pool: Pool, public: Path | None) -> Images:
    """The public images; none where none were given and none are needed."""
    if public is None:
        need_none([spec], "give them by --public DIR: a part of the private images will not do")
        return Images(torch.empty((0, 3, 1, 1), dtype=torch.uint8), torch.empty(0, dtype=torch.int64), pool.classes)
    others = open_public(public, pool)
    check_labels([spec], others, pool.classes)
    return others


def _teacher(suite: Suite, private: Images, seed: int, device: torch.device) -> nn.Module:
    name, own = suite.teacher.network, derive_seed("teacher", "init", seed)
    network = build(name, classes=len(private.classes), side=private.side, seed=own)
    return train(network, private, suite.teacher.recipe, seed=derive_seed("teacher", seed), device=device)
