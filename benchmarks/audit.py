"""The audit of a release that somebody else made: folders of images in, a verdict out."""

import csv
import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.utils import save_image

from attacks.gan.gan_leaks import GanLeaks
from attacks.judge import judge_members
from attacks.membership.density_ratio import DensityRatio
from attacks.membership.nearest import Nearest
from attacks.registry import Attack
from attacks.truth import Truth
from attacks.view import Access, View
from metrics.image import ssim
from metrics.measurement import Measurement
from metrics.membership import members_first
from metrics.neighbours import nearest
from reports.records import Cell, Record
from reports.verdicts import Results
from synth.image_files import DataProblems, list_images, read
from synth.types import Images, Release, Split, concatenate, generator

CPU = torch.device("cpu")
ATTACKS: dict[str, Attack] = {
    "nearest": Nearest(),
    "nearest:space=ssim": Nearest(space="ssim"),
    "gan-leaks": GanLeaks(),
    "density-ratio": DensityRatio(),
}
LEAKS, NOTHING, UNKNOWN = "leaks", "no leak found at this power", "cannot tell"
FEWEST = 40
"""Holdout images: half of them are the attacker's, and the other half must resolve anything."""
NEAR_SSIM, NEAR_RMS = 0.95, 8.0
"""A released image that is more like a private one than this (the distance of 255) is a copy of it, holdout or not."""
SHOWN = 20


@dataclass(frozen=True)
class Folders:
    """What is audited: private and released images, and maybe others of the same kind that were not released."""

    private: Images
    released: Images
    holdout: Images | None
    names: list[str]
    released_names: list[str]


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


def open_folders(private: Path, released: Path, holdout: Path | None, image_size: int | None) -> Folders:
    """Read the folders, with or without classes.

    Raises:
        DataProblems: everything that is wrong with any of them.
    """
    problems: list[str] = []
    pixels: dict[str, Tensor] = {}
    names: dict[str, list[str]] = {}
    for option, folder in (("--private", private), ("--released", released), ("--holdout", holdout)):
        if folder is None:
            continue
        if not folder.is_dir():
            problems.append(f"{option} {folder}: is not a folder; give one with images, in class folders or not")
            continue
        listing = list_images(folder, problems)
        pixels[option] = read(listing, torch.arange(len(listing.files)), image_size, problems)
        names[option] = list(map(listing.show, listing.files))
    if not problems:
        sides = {option: part.shape[-1] for option, part in pixels.items()}
        if len(set(sides.values())) > 1:
            shown = ", ".join(f"{option} has {side}" for option, side in sides.items())
            problems.append(f"the folders' images differ in size ({shown} pixels a side); give --image-size PIXELS")
        elif min(sides.values()) < 11:
            problems.append(f"images of {min(sides.values())} pixels a side are too small; give --image-size 32")
        if holdout is not None and "--holdout" in pixels and len(pixels["--holdout"]) < FEWEST:
            count = len(pixels["--holdout"])
            problems.append(f"--holdout {holdout}: has {count} images; at least {FEWEST} are needed, or leave it out")
    if problems:
        raise DataProblems(problems)
    images = {option: _unlabelled(part) for option, part in pixels.items()}
    return Folders(
        images["--private"], images["--released"], images.get("--holdout"), names["--private"], names["--released"]
    )


def _unlabelled(pixels: Tensor) -> Images:
    return Images(pixels, torch.zeros(len(pixels), dtype=torch.int64), ("image",))


def audit(folders: Folders, *, seed: int = 0) -> Audit:
    """Look for copies, then, where there is a holdout, for members, and say what would have been found."""
    copies = _copies(folders)
    reasons = [f"{len(copies)} of {len(folders.private)} private images have a copy among the released ones"]
    if folders.holdout is None:
        reasons.append("without --holdout, images of the same kind that were not released, nothing else can be told")
        return Audit(LEAKS if copies else UNKNOWN, reasons, list(copies.values()), {})
    parts = _parts(folders, seed)
    order = torch.randperm(len(parts.members) + len(parts.holdout), generator=generator("audit", seed))
    figures: dict[str, tuple[Measurement, ...]] = {}
    above: dict[int, dict[str, str]] = {}
    for name, attack in ATTACKS.items():
        values, measured = _attacked(attack, folders.released, parts, order, seed)
        figures[name] = measured
        reasons.append(f"{name}: {_word(measured)}")
        if _leaks(measured):
            above |= {i: row for i, row in _above(values, order, folders, parts, name).items() if i not in above}
    found = _power(folders, parts, order, seed)
    reasons.append(found[1])
    leaking = bool(copies) or any(map(_leaks, figures.values()))
    rows = copies | {index: row for index, row in above.items() if index not in copies}
    verdict = LEAKS if leaking else NOTHING if found[0] else UNKNOWN
    return Audit(verdict, reasons, list(rows.values()), {k: [asdict(m) for m in v] for k, v in figures.items()})


def _copies(folders: Folders) -> dict[int, dict[str, str]]:
    """Private images that are released as they are or all but: by hash, pixels and structure, mirrored or not."""
    released = {_digest(image): i for i, image in reversed(list(enumerate(folders.released.pixels)))}
    rows: dict[int, dict[str, str]] = {}
    shown = folders.private.pixels
    for mirror in (False, True):
        pixels = shown.flip(3) if mirror else shown
        near = nearest(pixels, folders.released.pixels)
        rms = (near.squared_distance.double() / pixels[0].numel()).sqrt()
        alike = ssim(pixels.float() / 255, folders.released.pixels[near.position].float() / 255)
        for i in ((rms <= NEAR_RMS) & (alike >= NEAR_SSIM)).nonzero().flatten().tolist():
            exact = released.get(_digest(pixels[i]))
            where = near.position[i].item() if exact is None else exact
            kind = "near copy" if exact is None else "copy"
            why = f"{kind}{', mirrored' * mirror}: SSIM {alike[i]:.3f}, {rms[i]:.1f} of 255 apart"
            rows.setdefault(i, _row(folders, i, int(where), why))
    return rows


def _digest(image: Tensor) -> bytes:
    return hashlib.sha256(image.contiguous().numpy().tobytes()).digest()


def _row(folders: Folders, private: int, released: int, why: str) -> dict[str, str]:
    return {"private": folders.names[private], "released": folders.released_names[released], "why": why}


def _parts(folders: Folders, seed: int) -> Split:
    """Half of the holdout is the attacker's, the other half is who was not in."""
    assert folders.holdout is not None
    order = torch.randperm(len(folders.holdout), generator=generator("holdout", seed))
    own, others = (folders.holdout.take(part) for part in order.tensor_split(2))
    return Split(members=folders.private, holdout=others, auxiliary=own, public=own, test=own)


def _attacked(
    attack: Attack, released: Images, parts: Split, order: Tensor, seed: int
) -> tuple[Tensor, tuple[Measurement, ...]]:
    """Scores of the candidates in this order, and how they are judged."""
    shown: dict[Access, Callable[..., Any]] = {
        Access.RELEASE: lambda: Release(released),
        Access.AUXILIARY: lambda: parts.auxiliary,
        Access.CANDIDATES: lambda: parts.candidates(order),
    }
    guess = attack.run(View(threat_model="audit", grants=shown), seed=seed, device=CPU)
    truth = Truth(
        released=released,
        victims=torch.arange(0),
        source_index=None,
        split=parts,
        oracle=torch.nn.Identity(),
        seed=seed,
        device=CPU,
        candidates=order,
    )
    return guess.values, judge_members(guess, truth).measurements  # type: ignore[union-attr, arg-type]


def _leaks(measured: tuple[Measurement, ...]) -> bool:
    """By the same rule as a suite's verdict on members."""
    cell = Cell(suite="audit", dataset="", defense="release", task="attack", method="audit")
    record = Record(cell=cell, status="ok", measurements=measured, conditions={"family": "membership"})
    return bool(Results([record]).found("release", "audit", "members"))


def _word(measured: tuple[Measurement, ...]) -> str:
    found = {m.name: m for m in measured}
    area, first = found["members.auc.attack"], found["members.first.attack"]
    chance = found["members.first.control"].value
    verdict = "tells private images from the holdout" if _leaks(measured) else "does not tell them from the holdout"
    return f"{verdict} (AUC {area.value:.3f}, {first.value:.0f} before every other where chance explains {chance:.0f})"


def _above(values: Tensor, order: Tensor, folders: Folders, parts: Split, name: str) -> dict[int, dict[str, str]]:
    """The private images that score higher than everybody who was not in, highest first."""
    private = order < len(parts.members)
    best = values[~private].max()
    chosen = (private & (values > best)).nonzero().flatten()
    chosen = order[chosen[values[chosen].argsort(descending=True)]]
    near = nearest(folders.private.pixels[chosen], folders.released.pixels).position if len(chosen) else chosen
    why = f"{name}: before every image of the holdout"
    return {i: _row(folders, i, j, why) for i, j in zip(chosen.tolist(), near.tolist(), strict=True)}


def _power(folders: Folders, parts: Split, order: Tensor, seed: int) -> tuple[bool, str]:
    """Would as few hidden copies as can be found at all have been found? The release is spiked with them to see."""
    marks = (order < len(parts.members)).numpy()
    nobody = np.zeros(len(marks))
    explained = -members_first(nobody, marks, level=1 - 0.05 / 6).low  # type: ignore[operator]
    count = math.ceil(explained) + 1
    rng = generator("power", seed)
    spiked = parts.members.take(torch.randperm(len(parts.members), generator=rng)[:count])
    shift = torch.randint(-1, 2, spiked.pixels.shape, generator=rng)
    noisy = _unlabelled((spiked.pixels.int() + shift).clamp(0, 255).to(torch.uint8))
    _, measured = _attacked(ATTACKS["nearest"], concatenate(folders.released, noisy), parts, order, seed)
    share = f"{count} hidden copies ({100 * count / len(folders.released):.2g} % of the release)"
    if count <= len(parts.members) and _leaks(measured):
        return True, f"power: {share} would have been found; fewer might not"
    return False, f"power: even {share} would not have been found; a larger holdout is needed"


def write(found: Audit, folders: Folders, out: Path) -> None:
    """riskiest.csv, and riskiest.png: private images above the released ones that give them away, the worst first."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "riskiest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["private", "released", "why"], quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(found.risky)
    if found.risky:
        rows = found.risky[:SHOWN]
        private = folders.private.pixels[torch.tensor([folders.names.index(row["private"]) for row in rows])]
        released = [folders.released_names.index(row["released"]) for row in rows]
        pairs = torch.cat([private, folders.released.pixels[torch.tensor(released)]]).float() / 255
        save_image(pairs, out / "riskiest.png", nrow=len(rows), padding=2, pad_value=1.0)
