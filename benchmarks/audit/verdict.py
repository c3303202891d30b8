"""The audit of a release that somebody else made: a verdict, its reasons, and the images to take out."""

import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torchvision.utils import save_image

from leakbench.attacks.membership.density_ratio import NoDensity
from leakbench.benchmarks.audit.copies import Copy, blank, find_copies
from leakbench.benchmarks.audit.copy_verdict import holdout_released, judge_copies, like_private
from leakbench.benchmarks.audit.folders import Folders
from leakbench.benchmarks.audit.local_features import Shown
from leakbench.benchmarks.audit.members import (
    ATTACKS,
    Measured,
    before_all,
    from_release,
    hidden_copies,
    leaks,
    stand_in,
    words,
)
from leakbench.benchmarks.audit.students import taught
from leakbench.benchmarks.storage.store import write_whole
from leakbench.metrics import decision
from leakbench.metrics.blind import FEWEST, blind_control
from leakbench.metrics.decision import LEAKS, NOT_VALIDATED, UNKNOWN
from leakbench.metrics.neighbours import nearest
from leakbench.reports.table import show
from leakbench.synth.images import Split
from leakbench.synth.seeds import seeded_rng

SILENCE = f"{decision.NOTHING} at this power"
SHOWN = 20


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


def audit(folders: Folders, limits: Limits | None = None, *, seed: int = 0) -> Audit:
    """Look for copies, then, where there is a holdout, for members, and say what would have been found."""
    limits = limits or Limits()
    shown = Shown(folders.released.pixels)
    copies = find_copies(folders.private.pixels, folders.released.pixels, shown)
    if folders.holdout is None:
        return _without_holdout(folders, copies, limits)
    parts, members = folders.parts(seed)
    order = torch.randperm(len(parts.members) + len(parts.holdout), generator=seeded_rng("audit", seed))
    others = find_copies(folders.holdout.pixels, folders.released.pixels, shown)
    copied, sentence = judge_copies(copies, others, like_private(others, folders), folders, limits.copies)
    rows = {c.private: _row(folders, c.private, c.released, c.why) for c in copies}
    reasons = [sentence]
    reasons += _left_out(folders, len(parts.members))
    found, figures, said = _attacked(folders, parts, order, seed, limits)
    reasons += said
    for name in (name for name in figures if leaks(figures[name], limits.tolerance)):
        first = members[before_all(found[name], order, len(parts.members))]
        rows = rows | {i: row for i, row in _first(first, folders, name).items() if i not in rows}
    alike, controls, blind = _comparable(folders, copies, others, seed)
    told = [name for name in figures if leaks(figures[name], limits.tolerance)]
    excused = [name for name in told if stand_in(name, parts, seed, figures[name])]
    if excused:
        controls.append(
            f"{', '.join(excused)}: proves no leak, because half of the private images in the release's place gives "
            "the other half away as much: private images are more alike among themselves than like the holdout"
        )
    powered, lines = hidden_copies(found["nearest"], len(folders.released), parts, order, seed, limits.tolerance)
    reasons += [*controls, *lines, *_students(folders, parts, order, seed, limits, figures)]
    if "lira" in figures and leaks(figures["lira"], limits.tolerance):
        told.append("lira")
    silent = copied == decision.NOTHING and not told and powered and found.keys() == ATTACKS.keys()
    leaking = copied == LEAKS or (alike and set(told) > set(excused))
    verdict = LEAKS if leaking else SILENCE if silent and alike else UNKNOWN
    told_of = {name: [asdict(m) for m in measured] for name, measured in (figures | blind).items()}
    return Audit(verdict, reasons, list(rows.values()), told_of)


def _left_out(folders: Folders, members: int) -> list[str]:
    """What nobody looked for, because it could not be told."""
    blanks, twins = int(blank(folders.private.pixels).sum()), len(folders.private) - members
    said = {
        "images of the holdout are private ones too, and were left out of it": folders.dropped,
        "private images are blank: they are nobody's, and no copies of them were looked for": blanks,
        "private images are all but the same as images that the attacker holds, and attacks leave them out": twins,
    }
    return [f"{count} {what}" for what, count in said.items() if count]


def _attacked(
    folders: Folders, parts: Split, order: torch.Tensor, seed: int, limits: Limits
) -> tuple[dict[str, torch.Tensor], dict[str, Measured], list[str]]:
    """Each attack's scores, what was measured of them, and in words; those that cannot be run have words alone."""
    found, figures, reasons = {}, {}, []
    for name in ATTACKS:
        try:
            found[name], figures[name] = from_release(name, folders.released, parts, order, seed)
        except NoDensity as error:
            reasons.append(f"{name}: could not be run on this release: {error}")
            continue
        reasons.append(f"{name}: {words(figures[name], limits.tolerance)}")
    return found, figures, reasons


def _comparable(
    folders: Folders, copies: list[Copy], others: list[Copy], seed: int
) -> tuple[bool, list[str], dict[str, Measured]]:
    """Whether private images and holdout differ in nothing but that the former were used, in words, and measured."""
    assert folders.holdout is not None
    released = holdout_released(copies, others, folders)
    used = [released] * bool(released)
    if len(folders.private) < FEWEST:
        few = f"blind control: not run, because it takes {FEWEST} private images; attacks that compare cannot tell"
        return False, [few, *used], {}
    found = blind_control(folders.private.pixels, folders.holdout.pixels, seed=seed)
    area = f"(AUC {0.5 + found.value:.3f}, its excess at {found.level:g} {show(found)})"
    if not decision.above_zero([[found]], decision.BLIND_CONTROL):
        alike = f"blind control: private images and holdout do not look different {area}"
        return not used, [alike, *used], {BLIND: (found,)}
    apart = (
        f"blind control: private images and holdout look different {area}, without the release; whatever attacks find "
        "by comparing may be that and no leak, and copies are all that can be told: give a holdout of the same source, "
        "taken at random"
    )
    return False, [apart, *used], {BLIND: (found,)}


def _without_holdout(folders: Folders, copies: list[Copy], limits: Limits) -> Audit:
    """Copies are all that can be told; how alike private images are among themselves gives the scale."""
    half = torch.arange(len(folders.private)) % 2 == 0
    twins = find_copies(folders.private.pixels[half], folders.private.pixels[~half]) if half.sum() > 1 else []
    reasons = [
        f"{len(copies)} of {len(folders.private)} private images have a copy among the released ones",
        f"{len(twins)} of {int(half.sum())} private images have one among the other half of the private ones",
        "without --holdout, images of the same kind that were not used, nobody can say whether the release tells "
        "members from others, how many hidden copies would have been found, or what students are worth: no part of "
        "the private images can stand for it, because all of them may have been used",
    ]
    rows = [_row(folders, c.private, c.released, c.why) for c in copies]
    return Audit(LEAKS if len(copies) > limits.copies else UNKNOWN, reasons, rows, {})


BLIND = "blind control"
CONTROL = "lira on a student of the private images"


def _students(
    folders: Folders, parts: Split, order: torch.Tensor, seed: int, limits: Limits, figures: dict[str, Measured]
) -> list[str]:
    """What students say; their figures are added to the others."""
    if not folders.classes:
        return ["students: not trained, because the folders do not have the same class folders"]
    if not limits.budget:
        return ["students: not trained, because --budget is 0"]
    found = taught(folders, parts, order, seed, limits.budget)
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


def _row(folders: Folders, private: int, released: int, why: str) -> dict[str, str]:
    return {"private": folders.names[private], "released": folders.released_names[released], "why": why}


def _first(chosen: torch.Tensor, folders: Folders, name: str) -> dict[int, dict[str, str]]:
    """Rows of private images that score higher than everybody who was not in."""
    shown, released = folders.private.pixels[chosen], folders.released.pixels
    plain, mirrored = nearest(shown, released), nearest(shown.flip(3), released)
    near = plain.position.where(plain.squared_distance <= mirrored.squared_distance, mirrored.position)
    why = f"{name}: before every image of the holdout"
    return {i: _row(folders, i, j, why) for i, j in zip(chosen.tolist(), near.tolist(), strict=True)}


def write(found: Audit, folders: Folders, out: Path) -> None:
    """audit.json, riskiest.csv, and riskiest.png: private images above the released ones that give them away."""
    write_whole(out / "audit.json", json.dumps(asdict(found), indent=1).encode())
    table = io.StringIO()
    writer = csv.DictWriter(table, ["private", "released", "why"], quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(found.risky)
    write_whole(out / "riskiest.csv", table.getvalue().encode("utf-8", "backslashreplace"))
    picture = out / "riskiest.png"
    picture.unlink(missing_ok=True)
    if found.risky:
        rows = found.risky[:SHOWN]
        private = folders.private.pixels[torch.tensor([folders.names.index(row["private"]) for row in rows])]
        released = [folders.released_names.index(row["released"]) for row in rows]
        pairs = torch.cat([private, folders.released.pixels[torch.tensor(released)]]).float() / 255
        picture.touch(mode=0o600)  # it shows private images
        save_image(pairs, picture, nrow=len(rows), padding=2, pad_value=1.0)
