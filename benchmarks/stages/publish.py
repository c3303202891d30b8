"""What a synthesizer is given, the last guard behind it, and what is said of the release it made."""

from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from leakbench.attacks.view import Access
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.benchmarks.suite.spec import attack_of, defense_of, parameters
from leakbench.reports.records import Cell
from leakbench.reports.spec import ASKING, parse_student
from leakbench.synth.contract import check_release
from leakbench.synth.defense import (
    NO_CLAIM,
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
from leakbench.synth.randomness import Randomness

SIMULATED = "a part of the dataset (simulation)"
"""What stands in for public images where none are given."""

VOID_SEED = "everything random follows from a known seed: whoever knows the command can make the release again"
VOID_PUBLIC = "what was read as public is a part of the dataset, which the guarantee leaves out"
VOID_LEFT_OUT = "public images were left out as copies of private ones: that they are missing tells of these"


def equipped(
    defense: Synthesizer,
    *,
    seed: int,
    device: torch.device,
    teacher: nn.Module | None,
    public: Images | None,
    randomness: Randomness | None = None,
) -> Resources:
    """What a synthesizer says that it reads, and nothing else."""
    return Resources(
        seed=seed,
        device=device,
        teacher=teacher if defense.teacher_based else None,
        public=public if defense.reads_public else None,
        randomness=randomness,
    )


def synthesised(defense: Synthesizer, members: Images, resources: Resources) -> Release:
    """The release of a synthesizer, once it is seen to be one and to show nobody whom it does not mean to show.

    Raises:
        ContractViolation: it is no release of these members.
        PrivateImagesReleased: it shows members, and does not declare it.
    """
    # Before the defense's own code runs, which may change what it is handed.
    guard = None if defense.shows_members else Guard(members, resources.public if defense.reads_public else None)
    release = defense.release(members, resources)
    check_release(defense, release, members)
    if guard is not None:
        guard.check(release.images)
    return release


def unpublishable(defense: Synthesizer, *, public_given: bool, known_seed: bool) -> list[str]:
    """Why what a synthesizer releases is not for publication; empty where nothing speaks against it.

    Args:
        defense: any.
        public_given: whether public images are other people's, not a part of the dataset.
        known_seed: whether everything random follows from a seed that others can know.
    """
    why = ["it shows private images, or may"] * defense.shows_members
    why += ["what it read as public is a part of the dataset"] * (defense.reads_public and not public_given)
    why += ["what protects is random, and follows from a known seed"] * (defense.relies_on_randomness and known_seed)
    return why


def about(
    spec: str, defense: Synthesizer, *, public: str | None, known_seed: bool, left_out: bool = False
) -> dict[str, Any]:
    """What release.json says of how a release was made.

    Args:
        spec: of the defense.
        defense: the same, built.
        public: what the public images' folder is called; None for a part of the dataset.
        known_seed: whether its randomness can be drawn again.
        left_out: whether some of the public images were found among the private ones, and left out.
    """
    claim = asdict(defense.release_claim)
    void = [VOID_SEED] * known_seed + [VOID_PUBLIC] * (defense.reads_public and public is None)
    void += [VOID_LEFT_OUT] * (defense.reads_public and left_out)
    if defense.release_claim.kind == "differential-privacy" and void:
        claim |= {"kind": "void", "why": "; ".join(void)}
    said = {"defense": spec, "parameters": parameters(defense), "claim": claim}
    said |= {"seed": "known" if known_seed else "of the operating system, not kept"}
    if defense.reads_public:
        said |= {"public": SIMULATED if public is None else public}
    why = unpublishable(defense, public_given=public is not None, known_seed=known_seed)
    return said | ({"not for publication": "; ".join(why)} if why else {})


def claim_of(cell: Cell) -> Claim:
    """The claim that covers what a cell looks at: the release and all that is made from it, a student, or gradients."""
    defense = defense_of(cell.defense)
    needs = attack_of(cell.method).needs if cell.task == "attack" else frozenset()
    if isinstance(defense, PrivateTrainer) and (cell.task == "utility" or Access.MODEL in needs):
        return defense.student_claim
    if cell.task == "utility" and parse_student(cell.method).labels in ASKING:
        return NO_CLAIM  # a teacher that learned the members without any noise was asked as well
    if isinstance(defense, Synthesizer):
        return defense.release_claim
    return defense.gradients_claim if isinstance(defense, GradientFilter) and Access.GRADIENTS in needs else NO_CLAIM


def synthesizer(spec: str) -> Synthesizer:
    """The synthesizer that a spec names.

    Raises:
        RequestProblems: it names none.
    """
    defense = defense_of(spec)
    if not isinstance(defense, Synthesizer):
        raise RequestProblems([f"{spec!r} releases no images; {publishes(defense)}: `leakbench run` attacks these"])
    return defense


def offered(defense: Defense) -> frozenset[Access]:
    """What attackers can get hold of, by the roles of a defense: without a release, there is none to look at."""
    if isinstance(defense, Synthesizer):
        return frozenset(Access)
    trained = [Access.MODEL] if isinstance(defense, PrivateTrainer) else []
    shared = [Access.GRADIENTS] if isinstance(defense, GradientFilter) else []
    return frozenset([Access.AUXILIARY, Access.CANDIDATES, *trained, *shared])


def publishes(defense: Defense) -> str:
    """What a defense without a release publishes instead, in words."""
    trains, filters = isinstance(defense, PrivateTrainer), isinstance(defense, GradientFilter)
    what = ["networks that it trains on the members"] * trains + ["gradients that it has filtered"] * filters
    return f"it publishes {' and '.join(what)}"
