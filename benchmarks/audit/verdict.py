"""The audit of a release that somebody else made: a verdict, its reasons, and the images to take out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from leakbench.benchmarks.audit.attacked import Attacked, attack_all, left_out
from leakbench.benchmarks.audit.copy_power import copy_power
from leakbench.benchmarks.audit.copy_verdict import MISSED, featureless, holdout_released, judge_copies, like_private
from leakbench.benchmarks.audit.folders import Folders
from leakbench.benchmarks.audit.members import (
    ATTACKS,
    Measured,
    Trial,
    before_all,
    hidden_copies,
    leaks,
    words,
)
from leakbench.benchmarks.audit.result import NOT_ASKED, Audit, Part
from leakbench.benchmarks.audit.risky import copied, told_first
from leakbench.benchmarks.audit.students import taught
from leakbench.benchmarks.audit.track import Track, unwatched
from leakbench.metrics import decision
from leakbench.metrics.blind import FEWEST, blind_control
from leakbench.metrics.copies import Copy, blank, find_copies
from leakbench.metrics.decision import LEAKS, NOT_VALIDATED, UNKNOWN
from leakbench.metrics.described import Geometry
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


def audit(folders: Folders, limits: Limits | None = None, *, seed: int = 0, track: Track = unwatched) -> Audit:
    """Look for copies, then, where there is a holdout, for members, and say what would have been found."""
    limits = limits or Limits()
    sources = [folder for folder in (folders.private, folders.holdout) if folder is not None]
    tracked = track("looking for copies", sources, len(sources))
    copies, *rest = [find_copies(source.described, folders.released.described) for source in tracked]
    if folders.holdout is None:
        return _without_holdout(folders, copies, limits)
    (others,) = rest
    trials, members = _trials(folders, seed)
    rows = {c.private: copied(folders, c) for c in copies}
    runs, said = attack_all(folders, trials, members, limits.tolerance, track)
    told = [run for run in runs if leaks(run.measured, limits.tolerance)]
    for run in told:
        first = run.members[before_all(run.scores, run.trial.order, len(run.members))]
        rows = rows | {i: row for i, row in told_first(first, folders, run.label).items() if i not in rows}
    alike, controls, blind = _comparable(folders, copies, others, seed)
    figures = {run.label: run.measured for run in runs}
    complete = sum(not run.of_class for run in runs) == (len(ATTACKS) - len(left_out(folders))) * len(trials)
    parts = (
        _shown(folders, copies, others, limits, seed, track),
        _membership(runs, [*said, *controls], alike=alike, complete=complete, folders=folders, limits=limits),
        _students(folders, runs[0].trial, limits, figures, alike=alike),
    )
    notes = [*folders.notes, *_left_out(folders, len(members)), *featureless(folders)]
    return Audit(overall(parts), parts, notes, list(rows.values()), figures | blind, folders)


def overall(parts: Sequence[Part]) -> str:
    """Leaks if any part does; silent if copies and membership are, and students tell nobody."""
    words = [part.verdict for part in parts]
    if LEAKS in words:
        return LEAKS
    silent = {decision.NOTHING, NOT_ASKED, NOT_VALIDATED}
    return SILENCE if words[:2] == [decision.NOTHING] * 2 and silent.issuperset(words) else UNKNOWN


def _shown(folders: Folders, copies: list[Copy], others: list[Copy], limits: Limits, seed: int, track: Track) -> Part:
    """What copies say; a silence says how few of each kind would have been a leak."""
    assert folders.holdout is not None
    counts = len(folders.private), len(folders.holdout)
    word, sentence = judge_copies(copies, others, like_private(others, folders), *counts, limits.copies)
    if word == LEAKS:
        return Part("copies", word, [sentence])
    powered, lines = copy_power(folders, len(others), limits.copies, seed, track)
    return Part("copies", word if powered else UNKNOWN, [sentence, *lines, MISSED])


def _membership(
    runs: list[Attacked], said: list[str], *, alike: bool, complete: bool, folders: Folders, limits: Limits
) -> Part:
    """What attacks on the release say that exceed the blind control, and how few copies they would have seen."""
    told = [run for run in runs if leaks(run.measured, limits.tolerance)]
    excused = [run.label for run in told if run.explained()]
    if excused:
        said = [
            *said,
            f"{', '.join(excused)}: proves no leak, because half of the private images in the release's place gives "
            "the other half away as much, or because private images look different in this class",
        ]
    powered, lines = hidden_copies(runs[0].scores, len(folders.released), runs[0].trial, limits.tolerance)
    leaking = alike and len(told) > len(excused)
    silent = alike and not told and powered and complete
    return Part("membership", LEAKS if leaking else decision.NOTHING if silent else UNKNOWN, [*said, *lines])


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
    verdict = LEAKS if len(copies) > limits.copies else UNKNOWN
    sentences = [
        f"{len(copies)} of {len(folders.private)} private images have a copy among the released ones",
        f"{len(twins)} of {int(half.sum())} private images have one among the other half of the private ones",
    ]
    unknown = (
        "without --holdout, images of the same kind that were not used, nobody can say whether the release tells "
        "members from others, how many hidden copies would have been found, or what students are worth: no part of "
        "the private images can stand for it, because all of them may have been used"
    )
    parts = (
        Part("copies", verdict, sentences + [MISSED] * (verdict != LEAKS)),
        Part("membership", UNKNOWN, [unknown]),
        Part("students", NOT_ASKED, []),
    )
    notes = [*folders.notes, *featureless(folders)]
    return Audit(verdict, parts, notes, [copied(folders, c) for c in copies], {}, folders)


BLIND = "blind control"
CONTROL = "lira on a student of the private images"


def _students(folders: Folders, trial: Trial, limits: Limits, figures: dict[str, Measured], *, alike: bool) -> Part:
    """What students say; their figures are added to the others."""

    def part(verdict: str, *reasons: str) -> Part:
        return Part("students", verdict, list(reasons))

    if not folders.classes:
        return part(NOT_ASKED, "students: not trained, because the folders do not have the same class folders")
    if not limits.budget:
        return part(NOT_ASKED, "students: not trained, because --budget is 0")
    found = taught(folders, trial, limits.budget)
    if found.lira is None or found.control is None:
        return part(NOT_ASKED, *found.lines)
    if not leaks(found.control):
        why = f"lira: {NOT_VALIDATED}: no power shown on a student of the private images themselves"
        return part(NOT_VALIDATED, *found.lines, why)
    figures["lira"], figures[CONTROL] = found.lira, found.control
    told = leaks(found.lira, limits.tolerance)
    return part(
        (LEAKS if alike else UNKNOWN) if told else decision.NOTHING,
        *found.lines,
        f"lira, on a student of the release: {words(found.lira, limits.tolerance)}",
        f"lira, its control on a student of the private images: {words(found.control, 0.0)}",
    )
