"""The audit of a release that somebody else made: a verdict, its reasons, and the images to take out."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from leakbench.attacks.membership.density_ratio import NoDensity
from leakbench.benchmarks.audit.copy_verdict import MISSED, featureless, holdout_released, judge_copies, like_private
from leakbench.benchmarks.audit.folders import Folders
from leakbench.benchmarks.audit.members import (
    ATTACKS,
    Measured,
    Trial,
    before_all,
    from_release,
    hidden_copies,
    leaks,
    stand_in,
    words,
)
from leakbench.benchmarks.audit.students import taught
from leakbench.metrics import decision
from leakbench.metrics.blind import FEWEST, blind_control
from leakbench.metrics.copies import Copy, blank, find_copies
from leakbench.metrics.decision import LEAKS, NOT_VALIDATED, UNKNOWN
from leakbench.metrics.described import Geometry
from leakbench.metrics.neighbours import nearest
from leakbench.metrics.shown import Box
from leakbench.reports.table import show

SILENCE = f"{decision.NOTHING} at this power"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What counts as a leak, fixed before anybody looks.

    Args:
        copies: private images that may have a copy in the release.
        tolerance: by which an attack's AUC or true positive rate may exceed chance, for sure.
        budget: seconds for training students, where there are classes and a holdout.
    """

    copies: int = 0
    tolerance: float = 0.0
    budget: float = 0.0


@dataclass(frozen=True)
class Audit:
    """What was found.

    Args:
        verdict: ``leaks``, ``no leak found at this power`` or ``cannot tell``; never safe.
        reasons: in words.
        risky: rows of private image, released image, and why; the worst first.
        figures: what each attack measured.
    """

    verdict: str
    reasons: list[str]
    risky: list[dict[str, str]]
    figures: dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Attacked:
    """What one attack found.

    Args:
        label: the attack, and the geometry where it is not the first.
        name: of the attack.
        trial: whom it was run on.
        scores: of the candidates.
        measured: how they are judged.
    """

    label: str
    name: str
    trial: Trial
    scores: torch.Tensor
    measured: Measured


def audit(folders: Folders, limits: Limits | None = None, *, seed: int = 0) -> Audit:
    """Look for copies, then, where there is a holdout, for members, and say what would have been found."""
    limits = limits or Limits()
    copies = find_copies(folders.private.described, folders.released.described)
    if folders.holdout is None:
        return _without_holdout(folders, copies, limits)
    trials, members = _trials(folders, seed)
    others = find_copies(folders.holdout.described, folders.released.described)
    counts = len(folders.private), len(folders.holdout)
    copied, sentence = judge_copies(copies, others, like_private(others, folders), *counts, limits.copies)
    rows = {c.private: _row(folders, c.private, c.released, c.why, c.parts) for c in copies}
    reasons = [sentence, *folders.notes, *_left_out(folders, len(members)), *featureless(folders)]
    runs, said = _attacked(folders, trials, limits)
    reasons += said
    told = [run for run in runs if leaks(run.measured, limits.tolerance)]
    for run in told:
        first = members[before_all(run.scores, run.trial.order, len(members))]
        rows = rows | {i: row for i, row in _first(first, folders, run.label).items() if i not in rows}
    alike, controls, blind = _comparable(folders, copies, others, seed)
    excused = [run.label for run in told if stand_in(run.name, run.trial, run.measured)]
    if excused:
        controls.append(
            f"{', '.join(excused)}: proves no leak, because half of the private images in the release's place gives "
            "the other half away as much: private images are more alike among themselves than like the holdout"
        )
    powered, lines = hidden_copies(runs[0].scores, len(folders.released), runs[0].trial, limits.tolerance)
    figures = {run.label: run.measured for run in runs}
    reasons += [*controls, *lines, *_students(folders, runs[0].trial, limits, figures)]
    leaking = {run.label for run in told} - set(excused)
    leaking |= {"lira"} if "lira" in figures and leaks(figures["lira"], limits.tolerance) else set()
    complete = len(runs) == len(ATTACKS) * len(trials)
    silent = copied == decision.NOTHING and not told and not leaking and powered and complete
    verdict = LEAKS if copied == LEAKS or (alike and leaking) else SILENCE if silent and alike else UNKNOWN
    reasons += [MISSED] * (verdict != LEAKS)
    told_of = {name: [asdict(m) for m in measured] for name, measured in (figures | blind).items()}
    return Audit(verdict, reasons, list(rows.values()), told_of)


def _trials(folders: Folders, seed: int) -> tuple[dict[Geometry, Trial], torch.Tensor]:
    """Who was in and who was not, in each geometry, and the positions of the former."""
    trials = {}
    for geometry in folders.geometries:
        parts, members = folders.parts(seed, geometry)
        trials[geometry] = Trial.of(parts, seed, len(folders.geometries))
    return trials, members


def _left_out(folders: Folders, members: int) -> list[str]:
    """What nobody looked for, because it could not be told."""
    blanks, twins = int(blank(folders.private.described).sum()), len(folders.private) - members
    said = {
        "images of the holdout are private ones too, and were left out of it": folders.dropped,
        "private images are blank: they are nobody's, and no copies of them were looked for": blanks,
        "private images are all but the same as images that the attacker holds, and attacks leave them out": twins,
    }
    return [f"{count} {what}" for what, count in said.items() if count]


def _attacked(folders: Folders, trials: dict[Geometry, Trial], limits: Limits) -> tuple[list[Attacked], list[str]]:
    """What each attack found in each geometry, and in words; those that cannot be run have words alone."""
    runs, reasons = [], []
    for geometry, trial in trials.items():
        released = folders.images(folders.released, geometry)
        for name in ATTACKS:
            label = name if geometry == folders.geometries[0] else f"{name}, squeezed"
            try:
                runs.append(Attacked(label, name, trial, *from_release(name, released, trial)))
            except NoDensity as error:
                reasons.append(f"{label}: could not be run on this release: {error}")
                continue
            reasons.append(f"{label}: {words(runs[-1].measured, limits.tolerance)}")
    return runs, reasons


def _comparable(
    folders: Folders, copies: list[Copy], others: list[Copy], seed: int
) -> tuple[bool, list[str], dict[str, Measured]]:
    """Whether private images and holdout differ in nothing but that the former were used, in words, and measured."""
    assert folders.holdout is not None
    released = holdout_released(copies, others, len(folders.private), len(folders.holdout))
    used = [released] * bool(released)
    if int((~blank(folders.private.described)).sum()) < FEWEST:
        few = f"blind control: not run, because it takes {FEWEST} private images; attacks that compare cannot tell"
        return False, [few, *used], {}
    sides = [s.described.take((~blank(s.described)).nonzero().flatten()) for s in (folders.private, folders.holdout)]
    found = [blind_control(*(side.views[g] for side in sides), seed=seed) for g in folders.geometries]
    apart = [decision.above_zero([[one]], decision.BLIND_CONTROL) for one in found]
    most = max(found, key=lambda one: one.value)
    area = f"(AUC {0.5 + most.value:.3f}, its excess at {most.level:g} {show(most)})"
    if not any(apart):
        alike = f"blind control: private images and holdout do not look different {area}"
        return not used, [alike, *used], {BLIND: tuple(found)}
    different = (
        f"blind control: private images and holdout look different {area}, without the release; whatever attacks find "
        "by comparing may be that and no leak, and copies are all that can be told: give a holdout of the same source, "
        "taken at random"
    )
    return False, [different, *used], {BLIND: tuple(found)}


def _without_holdout(folders: Folders, copies: list[Copy], limits: Limits) -> Audit:
    """Copies are all that can be told; how alike private images are among themselves gives the scale."""
    own = folders.private.described
    half = torch.arange(len(own)) % 2 == 0
    one, other = (own.take(part.nonzero().flatten()) for part in (half, ~half))
    twins = find_copies(one, other) if len(other) else []
    reasons = [
        f"{len(copies)} of {len(folders.private)} private images have a copy among the released ones",
        f"{len(twins)} of {int(half.sum())} private images have one among the other half of the private ones",
        "without --holdout, images of the same kind that were not used, nobody can say whether the release tells "
        "members from others, how many hidden copies would have been found, or what students are worth: no part of "
        "the private images can stand for it, because all of them may have been used",
    ]
    reasons[1:1] = [*folders.notes, *featureless(folders)]
    verdict = LEAKS if len(copies) > limits.copies else UNKNOWN
    rows = [_row(folders, c.private, c.released, c.why, c.parts) for c in copies]
    return Audit(verdict, reasons + [MISSED] * (verdict != LEAKS), rows, {})


BLIND = "blind control"
PARTS = ("part of private, % left top right bottom", "part of released, % left top right bottom")
"""Columns that say what of a private picture is shown where, if it is not all of it."""
CONTROL = "lira on a student of the private images"


def _students(folders: Folders, trial: Trial, limits: Limits, figures: dict[str, Measured]) -> list[str]:
    """What students say; their figures are added to the others."""
    if not folders.classes:
        return ["students: not trained, because the folders do not have the same class folders"]
    if not limits.budget:
        return ["students: not trained, because --budget is 0"]
    found = taught(folders, trial, limits.budget)
    if found.lira is None or found.control is None:
        return found.lines
    if not leaks(found.control):
        return [*found.lines, f"lira: {NOT_VALIDATED}: no power shown on a student of the private images themselves"]
    figures["lira"], figures[CONTROL] = found.lira, found.control
    return [
        *found.lines,
        f"lira, on a student of the release: {words(found.lira, limits.tolerance)}",
        f"lira, its control on a student of the private images: {words(found.control, 0.0)}",
    ]


def _row(
    folders: Folders, private: int, released: int, why: str, parts: tuple[Box, Box] | None = None
) -> dict[str, str]:
    shown = ["", ""] if parts is None else [" ".join(f"{100 * edge:.0f}" for edge in box) for box in parts]
    return {
        "private": folders.private.pictures.names[private],
        "released": folders.released.pictures.names[released],
        "why": why,
        **dict(zip(PARTS, shown, strict=True)),
    }


def _first(chosen: torch.Tensor, folders: Folders, name: str) -> dict[int, dict[str, str]]:
    """Rows of private images that score higher than everybody who was not in."""
    geometry = folders.geometries[0]
    released = folders.released.described.views[geometry]
    shown = folders.private.described.views[geometry][chosen]
    plain, mirrored = nearest(shown, released), nearest(shown.flip(3), released)
    near = plain.position.where(plain.squared_distance <= mirrored.squared_distance, mirrored.position)
    why = f"{name}: before every image of the holdout"
    return {i: _row(folders, i, j, why) for i, j in zip(chosen.tolist(), near.tolist(), strict=True)}
