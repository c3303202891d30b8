"""Comparison tables T1 to T7, as data."""

import math
from dataclasses import dataclass

from metrics.measurement import Measurement
from reports.verdicts import Results


@dataclass(frozen=True)
class Table:
    """A table of strings.

    Args:
        name: ``T1`` …, the file's name.
        title: one line.
        columns: heads.
        rows: cells.
        notes: what a reader must know: intervals, variants, controls.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def digits(figure: Measurement) -> int:
    """Decimals that a figure deserves: two significant digits of half its interval, four at most."""
    half = 0.0 if figure.low is None or figure.high is None else (figure.high - figure.low) / 2
    return min(4, max(0, 1 - math.floor(math.log10(half)))) if half > 0 else 3


def show(
    figure: Measurement | None, missing: str = "n/a", *, interval: bool = True, decimals: int | None = None
) -> str:
    """A figure with its interval, with the decimals that the interval's width allows unless they are given."""
    if figure is None:
        return missing
    decimals = digits(figure) if decimals is None else decimals
    if figure.low is None or figure.high is None:
        return f"{figure.value:.{decimals}f}"
    half = (figure.high - figure.low) / 2
    text = f"{figure.value:.{decimals}f}"
    return f"{text} [{figure.low:.{decimals}f}, {figure.high:.{decimals}f}]" if interval and half > 0 else text


def _utility(results: Results) -> Table:
    identity = results.named("identity")
    rows = []
    for defense in results.defenses:
        row = [defense]
        for student in results.students:
            figure = results.figure(defense, "utility", student, "student.accuracy")
            hard = student.split(":")[0] + ":hard"
            base = results.figure(identity, "utility", hard, "student.accuracy") if identity else None
            ratio = f" ({figure.value / base.value:.2f})" if figure and base and base.value else ""
            row.append(show(figure, results.missing(defense, "utility", student)) + ratio)
        rows.append(tuple(row))
    heads = [student.replace(":", ", ") + " labels" for student in results.students]
    seeds = len({r.cell.seed for r in results.records})
    oracle = [r.get("oracle.accuracy") for r in results.records if r.cell.task == "oracle"]
    notes = [f"Test accuracy in % on real images, 95 % interval; in brackets the ratio to identity. Seeds: {seeds}."]
    if oracle and oracle[0]:
        notes.append(f"The oracle that grades GAN attacks has a test accuracy of {show(oracle[0])} %.")
    return Table(
        "T1", "Utility: students trained from scratch on the release", ("Defense", *heads), tuple(rows), tuple(notes)
    )


VISUAL = (
    ("paired.ssim", "SSIM to source"),
    ("paired.psnr", "PSNR to source (dB)"),
    ("paired.lpips", "LPIPS to source"),
    ("paired.ms-ssim", "MS-SSIM to source"),
    ("nearest.ssim", "SSIM to nearest private"),
    ("nearest.psnr", "PSNR to nearest private (dB)"),
    ("stranger.ssim", "control: SSIM to nearest stranger"),
    ("stranger.psnr", "control: PSNR to nearest stranger (dB)"),
)


def _visual(results: Results) -> Table:
    absent = {name: why for r in results.records if r.cell.task == "visual" for name, why in r.absent.items()}
    notes = [
        "Source: the private image it was made from where there is exactly one, else the nearest of the class. "
        "Control: the same against holdout images. 95 % bootstrap intervals over images."
    ]
    notes += [f"{head}: not applicable: {absent[name]}." for name, head in VISUAL if name in absent]
    rows = []
    for defense in results.defenses:
        cells = [results.figure(defense, "visual", "", name) for name, _ in VISUAL]
        missing = [results.missing(defense, "visual", "", name) for name, _ in VISUAL]
        rows.append(
            (
                defense,
                *(show(cell, _short(why), interval=False) for cell, why in zip(cells, missing, strict=True)),
            )
        )
    heads = ("Defense", *(head for _, head in VISUAL))
    return Table("T2", "Visual: how alike released and private images look", heads, tuple(rows), tuple(notes))


LEAKAGE = {
    "gradient": (
        "T3",
        "Gradient matching",
        (
            ("trained.ssim", "SSIM to the victim's image"),
            ("trained.ssim.best", "best image's SSIM"),
            ("trained.psnr", "PSNR (dB)"),
            ("trained.identification", "identified"),
            ("labels.accuracy", "labels found"),
            ("private.ssim", "SSIM to private"),
            ("source.identification", "source identified"),
        ),
    ),
    "memorization": (
        "T4",
        "Model memorization",
        (
            ("trained.ssim", "SSIM to the training image"),
            ("trained.mae", "pixel error (of 255)"),
            ("trained.lpips", "LPIPS"),
            ("trained.bit-errors", "bits wrong"),
            ("trained.identification", "identified"),
            ("private.ssim", "SSIM to private"),
            ("source.mae", "pixel error to source"),
            ("source.identification", "source identified"),
            ("model.accuracy", "accuracy, %"),
            ("honest.accuracy", "accuracy without attacker, %"),
            ("model.cost", "accuracy cost, points"),
        ),
    ),
    "gan": (
        "T5",
        "GAN-based",
        (
            ("class.oracle", "oracle accuracy"),
            ("trained.class", "nearest released of the class"),
            ("class.precision", "precision"),
            ("class.recall", "recall"),
            ("class.frechet", "Fréchet distance to members / holdout / another class"),
            ("class.kernel", "kernel distance, likewise"),
            ("private.ssim", "SSIM to private"),
        ),
    ),
    "membership": (
        "T6",
        "Membership and linkage",
        (
            ("members.auc", "AUC"),
            ("members.tpr-at-1", "TPR at 1 % FPR"),
            ("members.tpr-at-0.1", "TPR at 0.1 % FPR"),
            ("members.first", "members before every other"),
            ("members.balanced-accuracy", "balanced accuracy"),
            ("members.epsilon", "epsilon is at least"),
            ("linkage.top-1", "source ranked first"),
            ("linkage.top-10", "source among the first 10"),
            ("linkage.top-1-of-100", "first of 100"),
        ),
    ),
}
LEAKAGE_NOTES = (
    "Each figure with three parts reads: attack / control / baseline, then the excess of attack over control with its "
    "95 % interval. Control: another released image of the class (trained), as many holdout images (private), a "
    "federation whose other clients never train or an untrained student (class), chance (AUC, identification). "
    "Baseline: the class's mean "
    "auxiliary image, one over the number of classes, or a score that knows nothing of the release. Members leak where "
    "the excess of either figure on members is above 0.",
    "'Worked' asks whether the attack got what its victim trained on; 'members leak' whether that gives away the "
    "private images. 'Not validated': the attack did not succeed on identity, or raised an alarm on disjoint, so its "
    "figure proves nothing.",
)


MEMORIZATION_NOTES = (
    "Accuracy is that of the model as handed out, after whatever was done to it; without attacker: the same training "
    "and washing by the same seeds and honest code; the cost is their difference. Two trainings differ by chance as "
    "well, which the interval, paired over test images, does not see; with several seeds it is over them.",
    "Attackers do not adapt to a washing unless their parameters say so. An attack's power is shown where nobody "
    "washes the model. Errors of gray images are those of their luma. 'Bits wrong' is given where bits are stored.",
)


def _three_parts(results: Results, defense: str, attack: str, name: str) -> str:
    if name.endswith(".best"):
        pair = [results.figure(defense, "attack", attack, part) for part in (name, f"{name}-control")]
        return " / ".join(show(part, _short(results.missing(defense, "attack", attack, name))) for part in pair)
    parts = [results.figure(defense, "attack", attack, f"{name}.{part}") for part in ("attack", "control", "baseline")]
    if parts[0] is None:
        single = results.figure(defense, "attack", attack, name)
        return show(single, _short(results.missing(defense, "attack", attack, name)))
    excess = results.figure(defense, "attack", attack, f"{name}.excess")
    decimals = digits(excess) if excess else None
    return " / ".join(show(part, interval=False, decimals=decimals) for part in parts) + f"; {show(excess)}"


def _short(missing: str) -> str:
    """The word without the reason, which stands once among the notes."""
    return "n/a" if missing.startswith("n/a") else missing


def _victim(results: Results, defense: str, attack: str) -> str:
    """What was attacked, on the row: nothing else changes the figures of gradient matching as much."""
    found = next((r.conditions for r in results.of(defense, "attack", attack) if "victim" in r.conditions), None)
    if found is None:
        return "n/a"
    noticed = [
        f"{key.removeprefix('noticed, ')}: {value}" for key, value in found.items() if key.startswith("noticed, ")
    ]
    return "; ".join([found["victim"], *noticed])


def _leakage(results: Results, kind: str) -> Table:
    name, title, figures = LEAKAGE[kind]
    reasons: dict[str, None] = {}
    rows, notes = [], [*LEAKAGE_NOTES, *(MEMORIZATION_NOTES if kind == "memorization" else ())]
    for attack in (a for a in results.attacks if results.family(a) == kind):
        for defense in results.defenses:
            cells = [_three_parts(results, defense, attack, figure) for figure, _ in figures]
            verdicts = (results.worked(defense, attack), results.leak(defense, attack))
            rows.append((defense, results.label(attack), _victim(results, defense, attack), *cells, *verdicts))
        records = [r for r in results.records if r.cell.method == attack and r.conditions]
        if records:
            shown = {k: v for k, v in records[0].conditions.items() if k != "victim" and not k.startswith("noticed, ")}
            notes.append(f"{attack}: " + "; ".join(f"{k}: {v}" for k, v in shown.items()) + ".")
            reasons |= {f"{figure}: not applicable: {why}.": None for figure, why in records[0].absent.items()}
    notes += list(reasons)
    heads = ("Defense", "Attack", "Victim", *(head for _, head in figures), "worked", "members leak")
    return Table(name, title, heads, tuple(rows), tuple(notes))


def _cost(results: Results) -> Table:
    rows = []
    for defense in results.defenses:
        made = results.of(defense, "release")
        images = results.figure(defense, "release", "", "release.images")
        seconds = sum(r.seconds for r in made) / len(made) if made else 0.0
        attacks = sum(r.seconds for r in results.records if r.cell.defense == defense and r.cell.task == "attack")
        students = sum(r.seconds for r in results.records if r.cell.defense == defense and r.cell.task == "utility")
        count = f"{images.value:.0f}" if images else results.missing(defense, "release", "")
        rate = f"{images.value / seconds:.1f}" if images and seconds else "n/a"
        peak = max((r.peak_memory for r in results.records if r.cell.defense == defense), default=0) / 2**30
        rows.append((defense, count, f"{seconds:.1f}", rate, f"{students:.1f}", f"{attacks:.1f}", f"{peak:.2f}"))
    heads = (
        "Defense",
        "images",
        "seconds to make",
        "images/s",
        "seconds of students",
        "seconds of attacks",
        "peak GiB",
    )
    notes = (
        "The first release that reads the teacher also pays for its training. Peak memory is the process's so far.",
    )
    return Table("T7", "Cost", heads, tuple(rows), notes)


def tables(results: Results) -> list[Table]:
    """T1 to T7 of a run, those that have anything to say."""
    utility = [_utility(results)] if results.students else []
    leakage = [table for table in (_leakage(results, kind) for kind in LEAKAGE) if table.rows]
    return [*utility, _visual(results), *leakage, _cost(results)]
