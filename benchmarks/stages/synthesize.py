"""Just the release, to be published: what `leakbench synthesize` does."""

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from leakbench.benchmarks.stages.publish import about, equipped, synthesised, synthesizer
from leakbench.benchmarks.suite.model import Suite
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.benchmarks.suite.public import need_none, others_of
from leakbench.synth.data.datasets import Pool
from leakbench.synth.data.split import stratified_order
from leakbench.synth.defense import Release
from leakbench.synth.images import Images
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
    announce: Callable[[str], None] = lambda line: None,
) -> str:
    """Make a release into a folder; nothing is left there where that fails.

    Args:
        suite: gives the teacher's network and recipe.
        spec: of the defense.
        pool: the dataset.
        out: an empty or missing folder.
        seed: everything random derives from it. By default what protects (noise, signs, who is drawn) comes from the
            operating system, and the rest from a seed of its that is not kept. Which images are the members, where not
            all are, is always the same choice.
        members: private images to use; all of the training part by default.
        device: where to compute.
        public: a folder of other people's images.
        announce: told what was left out.

    Returns:
        A line on what was made.

    Raises:
        RequestProblems: the defense releases nothing, reads public images and there are none, cannot go on with these
            parameters, or would have shown members without saying so.
    """
    defense = synthesizer(spec)
    if public is None:
        need_none([spec], "give them by --public DIR: a part of the private images will not do")
    others, left_out = (None, []) if public is None else others_of(public, pool, [spec])
    for line in left_out:
        announce(line)
    chosen = stratified_order(pool.labels, seeded_rng("members", seed or 0))[:members]
    private = Images(pool.draw(chosen), pool.labels[chosen], pool.classes)
    try:
        release = _made(suite, spec, private, others, seed, device)
        named = None if public is None else public.resolve().name
        said = about(spec, defense, public=named, known_seed=seed is not None, left_out=bool(left_out))
        _save(release, out, said)
    except OSError:
        raise  # the disk's, which is said elsewhere
    except (Exception, SystemExit) as error:  # whatever a defense, somebody's own too, does wrong is a sentence
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise RequestProblems([f"{spec!r}: {kind}{error}"]) from error
    if said["claim"]["kind"] == "void":
        announce(f"the claim is void: {said['claim']['why']}")
    why = f"; not for publication: {said['not for publication']}" if "not for publication" in said else ""
    return f"{len(release.images)} images in {out}, made from {len(private)} private ones{why}"


def _made(
    suite: Suite, spec: str, private: Images, others: Images | None, seed: int | None, device: torch.device
) -> Release:
    """The release, of the operating system's randomness where no seed is given."""
    defense, own = synthesizer(spec), secrets.randbits(63) if seed is None else seed
    teacher = None
    if defense.teacher_based:
        init, training = derive_seed("teacher", "init", own), derive_seed("teacher", own)
        teacher = suite.teacher.trained(private, init_seed=init, seed=training, device=device)
    given = equipped(
        defense,
        seed=derive_seed("defense", spec, own),
        device=device,
        teacher=teacher,
        public=others,
        randomness=SystemRandomness() if seed is None else None,
    )
    return synthesised(defense, private, given)


def _save(release: Release, out: Path, said: dict[str, object]) -> None:
    """Write a release under another name and rename it; who shows private images is shown to nobody else."""
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        save_release(release, part, about=said)
        if "not for publication" in said:
            part.chmod(0o700)
        if out.exists():
            out.rmdir()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
