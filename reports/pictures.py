"""Pictures of a report: a strip of each release, and the reconstruction of each family that is worst for privacy."""

from pathlib import Path

from PIL import Image

from leakbench.reports.glance import FAMILIES, families, share
from leakbench.reports.records import Record
from leakbench.reports.spec import PRIVATE, PUBLISHABLE, slug
from leakbench.reports.verdicts import Results

SHOWN = 6
"""Released images in a strip."""
SIDE = 64
"""Pixels a side at which each is shown."""


def strip(results: Results, defense: str, folder: Path) -> str | None:
    """Draw some released images of a defense's first seed side by side, of as many classes as there are.

    Args:
        results: of a run.
        defense: whose release.
        folder: the run folder.

    Returns:
        The file's path in the run folder, or None where there are no released images.
    """
    name = f"{slug(defense)}-seed0"
    images = [file for place in (PUBLISHABLE, PRIVATE) for file in sorted((folder / place / name).glob("*/*.png"))]
    if not images:
        return None
    chosen = [images[position * len(images) // SHOWN] for position in range(SHOWN)]
    drawn = Image.new("RGB", (SHOWN * SIDE, SIDE))
    for position, file in enumerate(chosen):
        with Image.open(file) as image:
            how = Image.Resampling.NEAREST if max(image.size) < SIDE else Image.Resampling.LANCZOS
            drawn.paste(image.convert("RGB").resize((SIDE, SIDE), how), (position * SIDE, 0))
    target = folder / "galleries" / f"released-{name}.png"
    target.parent.mkdir(exist_ok=True)
    drawn.save(target)
    return str(target.relative_to(folder))


def worst(results: Results, defense: str, folder: Path) -> list[dict[str, str]]:
    """For each family the gallery of the attack that gains most of a defense, of those that have one."""
    shown = []
    for family, attacks in families(results).items():
        drawn = [(attack, file) for attack in attacks if (file := gallery(results, defense, attack, folder))]
        if drawn:
            attack, file = max(drawn, key=lambda pair: share(results, defense, pair[0]) or 0.0)
            shown.append(
                {
                    "file": file,
                    "family": FAMILIES.get(family, family),
                    "title": f"{results.label(attack)} against {results.label(defense)}",
                    "verdict": results.member_answer(defense, attack),
                }
            )
    return shown


def gallery(results: Results, defense: str, attack: str, folder: Path) -> str | None:
    """The gallery that an attack left of a defense, of the first seed that has a record; None where it left none."""
    record: Record | None = next(iter(results.rows(defense, "attack", attack)), None)
    file = f"galleries/{record.cell.id}.png" if record else ""
    return file if file and (folder / file).is_file() else None
