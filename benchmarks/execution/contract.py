"""What every defense must do, as a check: `leakbench check`, and the test over everything registered."""

import json
import random
from collections.abc import Callable
from dataclasses import asdict, is_dataclass

import numpy as np
import torch
from pebble import ProcessExpired
from torch import Tensor

from leakbench.benchmarks.execution import plugins
from leakbench.benchmarks.execution.contained import children_end, run_in_subprocess, took_too_long
from leakbench.synth.contract import ContractViolation, check_release
from leakbench.synth.defense import (
    CLAIMS,
    Claim,
    Defense,
    GradientFilter,
    PrivateTrainer,
    Release,
    Resources,
    Synthesizer,
)
from leakbench.synth.guard import Guard
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import NETWORKS, PROBE, build
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import seeded_rng

CPU = torch.device("cpu")
COUNT = 40
"""Images that a defense is tried on."""
LIMIT = 300.0
"""Seconds that a defense may take for all of it: a few releases of 40 small images."""


def check_apart(plugin: str, name: str, limit: float = LIMIT) -> str:
    """Try a defense of a plug-in in a process of its own, which it cannot take the caller's down with.

    Args:
        plugin: the file or module.
        name: of the defense, as it is registered there.
        limit: seconds that it may take.

    Returns:
        The first thing that is wrong, as a sentence, or nothing.
    """
    with children_end():
        answer = run_in_subprocess(_check_named, plugin, name, seconds=limit)
        if took_too_long(answer.exception()):
            return f"took more than {limit:g} seconds for releases of {COUNT} small images"
        try:
            return answer.result()
        except ProcessExpired as error:
            return f"must raise an exception where it cannot go on; it ended its process (status {error.exitcode})"


def _check_named(plugin: str, name: str) -> str:
    plugins.load([plugin])
    try:
        return check(defenses[name])
    except BaseException as error:  # noqa: BLE001 - what is no Exception would end the command
        return f"must raise an Exception where it cannot go on, got {type(error).__name__}: {error}"


def check(make: Callable[[], Defense]) -> str:
    """Try a defense on small data of two classes, in color and in gray.

    Args:
        make: builds it; called several times.

    Returns:
        The first thing that is wrong, as a sentence, or nothing.
    """
    try:
        defense = _built(make)
        if isinstance(defense, Synthesizer):
            for channels in (3,) if defense.teacher_based else (3, 1):
                _check_release(make, channels)
        if isinstance(defense, PrivateTrainer):
            _check_train(defense)
        if isinstance(defense, GradientFilter):
            _check_share(defense)
    except ContractViolation as problem:
        return str(problem)
    except Exception as error:  # noqa: BLE001 - the wrong types of somebody else's code come to light anywhere
        return f"what it returns cannot be worked with: {type(error).__name__}: {error}"
    return ""


def _built(make: Callable[[], Defense]) -> Defense:
    try:
        defense = make()
    except (Exception, SystemExit) as error:
        raise ContractViolation(f"cannot be built with its defaults: {type(error).__name__}: {error}") from error
    if not is_dataclass(defense) or not type(defense).__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise ContractViolation("must be a frozen dataclass: put @dataclass(frozen=True, kw_only=True) above it")
    for name in CLAIMS.values():
        claim = getattr(defense, name, Claim())
        if not isinstance(claim, Claim):
            raise ContractViolation(f"its {name} must be a leakbench.Claim, got {type(claim).__name__}")
    try:
        same = json.loads(json.dumps(asdict(defense))) == asdict(defense)
    except TypeError:
        same = False
    if not same:
        raise ContractViolation("its parameters must survive JSON: use numbers, strings and booleans")
    return defense


def small(channels: int, purpose: str, count: int = COUNT) -> Images:
    """Random pictures of two classes, 32 pixels a side."""
    pixels = torch.randint(0, 256, (count, channels, 32, 32), generator=seeded_rng(purpose), dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % 2, ("a", "b"))


def _check_release(make: Callable[[], Defense], channels: int) -> None:
    members, public = small(channels, "members"), small(channels, "public")
    defense = make()
    assert isinstance(defense, Synthesizer)
    teacher = build("resnet20", classes=2, side=32, seed=0).eval() if defense.teacher_based else None
    weights = [p.clone() for p in teacher.state_dict().values()] if teacher else []
    before, states, guard = (members.pixels.clone(), public.pixels.clone()), _global_states(), Guard(members)

    def release(which: Defense) -> Release:
        assert isinstance(which, Synthesizer)
        others = public if which.reads_public else None
        return which.release(members, Resources(seed=1, device=CPU, teacher=teacher, public=others))

    kind = "gray images" if channels == 1 else "images"
    try:
        first, again = release(defense), release(make())
    except (Exception, SystemExit) as error:
        raise ContractViolation(f"release raises {type(error).__name__} on {kind}: {error}") from error
    if not all(map(torch.equal, before, (members.pixels, public.pixels))):
        raise ContractViolation("release must not change the images that it gets: work on a copy")
    if teacher is not None and not all(map(torch.equal, weights, teacher.state_dict().values())):
        raise ContractViolation("release must not change the teacher: work on a copy")
    if not _same_states(states, _global_states()):
        raise ContractViolation(
            "release must not touch global random generators: use leakbench.seeded_rng('name', seed)"
        )
    if states[3:] != _global_states()[3:]:
        raise ContractViolation(
            "release must leave torch as it was: its gradient mode, its threads and its default dtype"
        )
    check_release(defense, first, members)
    if not defense.shows_members and len(guard.private_among(first.images.pixels)):
        raise ContractViolation(
            "released images are members, byte for byte or turned: say shows_members = True, or do not"
        )
    if not torch.equal(first.images.pixels, again.images.pixels):
        raise ContractViolation("release must be deterministic in the seed: two calls with seed=1 differ")


def _check_train(defense: PrivateTrainer) -> None:
    if defense.architecture not in {"", PROBE, *NETWORKS}:
        known = ", ".join(sorted(NETWORKS))
        raise ContractViolation(f"its architecture must be one of {known}, {PROBE}, got {defense.architecture!r}")
    images, before = small(3, "members"), small(3, "members").pixels
    first, second = (build(defense.architecture or "lenet", classes=2, side=32, seed=0) for _ in range(2))
    try:
        trained = defense.train(first, images, Resources(seed=1, device=CPU))
        defense.prepared(second).load_state_dict(trained.state_dict())
        answers = trained.eval()(images.float())
    except (Exception, SystemExit) as error:
        raise ContractViolation(f"train and prepared do not go together: {type(error).__name__}: {error}") from error
    if not torch.equal(before, images.pixels):
        raise ContractViolation("train must not change the images that it gets: work on a copy")
    if answers.shape != (COUNT, 2) or not torch.isfinite(answers).all():
        raise ContractViolation("train must return a network that gives every image one finite number for each class")


def _check_share(defense: GradientFilter) -> None:
    gradients = (torch.randn(2, 3, 4, generator=seeded_rng("share")), torch.randn(2, 5, generator=seeded_rng("share")))
    try:
        shared = defense.share(gradients, Resources(seed=0, device=CPU))
    except Exception as error:
        raise ContractViolation(f"share raises {type(error).__name__}: {error}") from error
    if [g.shape for g in shared] != [g.shape for g in gradients] or not all(torch.isfinite(g).all() for g in shared):
        raise ContractViolation("share must return as many finite gradients as it gets, of the same shapes")


States = tuple[Tensor, object, object, bool, int, torch.dtype]
"""Three random generators', and torch's settings."""


def _global_states() -> States:
    drawn = torch.random.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002 - looked at only
    return *drawn, torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype()


def _same_states(before: States, after: States) -> bool:
    return torch.equal(before[0], after[0]) and before[1:3] == after[1:3]
