"""Comparison tables T1 to T9, as data."""

from collections.abc import Collection
from dataclasses import replace

from leakbench.metrics.measurement import Measurement
from leakbench.reports import label_robust
from leakbench.reports.leakage import leakage
from leakbench.reports.leakage_columns import LEAKAGE
from leakbench.reports.paper_claims import claims
from leakbench.reports.practice import practice
from leakbench.reports.spec import RUNGS, parse_student
from leakbench.reports.table import Table, merit, ranked, short, show
from leakbench.reports.verdicts import Results, is_control

Column = tuple[str, list[Measurement | None], list[str]]
"""A head, what is measured of each defense, and how it is printed."""


def _utility(results: Results) -> Table:
    columns = [_accuracies(results, student) for student in results.students]
    examined = _examined(results)
    robust = [(head, found, list(map(show, found))) for head, found in label_robust.columns(results)]
    rows = [[results.label(defense)] for defense in results.defenses]
    ranks: dict[tuple[int, int], int] = {}
    controls = list(map(is_control, results.defenses))
    for column, (_, found, shown) in enumerate((*columns, *examined, *robust), 1):
        ranks |= ranked(column, list(map(merit, found)), controls)
        for row, text in zip(rows, shown, strict=True):
            row.append(text)
    seeds = len({r.cell.seed for r in results.records})
    notes = [
        f"Test accuracy in % on real images, 95 % interval; in brackets the ratio to identity. Seeds: {seeds}.",
        RANKED,
    ]
    asked = {parse_student(student).labels for student in results.students}
    notes += [note for rung, note in PUBLISHED.items() if rung in asked]
    notes += [EXAMINATION] if examined else []
    notes += label_robust.NOTES if robust else []
    for who, does in (("oracle", "grades GAN attacks"), ("teacher", "defenses read")):
        accuracy = next((r.get(f"{who}.accuracy") for r in results.records if r.cell.task == who), None)
        if accuracy:
            notes.append(f"The {who} that {does} has a test accuracy of {show(accuracy)} %.")
    return Table(
        "T1",
        "Utility: students of each release, tested on real images",
        ("Defense", *(head for head, _, _ in (*columns, *examined, *robust))),
        tuple(map(tuple, rows)),
        tuple(notes),
        ranks,
    )


def _accuracies(results: Results, student: str) -> Column:
    """Of a student of every release, with the share of what the same network reaches on everybody's hard labels."""
    identity, hard = results.spec_named("identity"), f"{parse_student(student).network}:hard"
    base = results.measurement(identity, "utility", hard, "student.accuracy") if identity else None
    found = [results.measurement(defense, "utility", student, "student.accuracy") for defense in results.defenses]
    shown = []
    for defense, measurement in zip(results.defenses, found, strict=True):
        ratio = f" ({measurement.value / base.value:.2f})" if measurement and base and base.value else ""
        shown.append(show(measurement, short(results.missing(defense, "utility", student))) + ratio)
    return _head(student), found, shown


def _examined(results: Results) -> list[Column]:
    """What the teacher thinks of every release, where it looks at them."""
    columns = []
    for name, head in EXAMINED:
        found = [results.measurement(defense, "release", "", name) for defense in results.defenses]
        why = [short(results.missing(defense, "release", "", name)) for defense in results.defenses]
        if any(found):
            columns.append((head, found, [show(m, reason) for m, reason in zip(found, why, strict=True)]))
    return columns


def _head(student: str) -> str:
    asked = parse_student(student)
    return f"{asked.network}, {RUNGS.get(asked.labels, asked.labels)}"


EXAMINED = (
    ("release.recognised", "the teacher recognises (%)"),
    ("release.agreement", "the teacher says what it says of the source (%)"),
)
EXAMINATION = (
    "The teacher looks at every release: of how many images it says what they are labelled, and what it says of the "
    "private image that each was made from. That is what a release is worth to somebody who has the teacher; where "
    "there are too few images to teach a network from scratch, nothing but pretrained students is asked beside it."
)
PUBLISHED = {
    "views": "Labelled views: a file is published beside the release that says what the teacher thinks of some "
    "augmented views of every image; the teacher itself is not published for it. No attack here reads that file: what "
    "it gives away was not looked for.",
    "teacher": "The published teacher answers: it is published beside the release, and a student learns what it says "
    "of every augmented image. What that network gives away by itself is what attacks on the teacher find.",
}
"""What is published at the rungs that a release does not hold by itself."""
RANKED = "The best measurement of a defense is bold, the second best in italics or underlined; controls do not compete."
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
KERNEL = (
    ("private.kernel", "kernel distance to private images (1/1000)"),
    ("stranger.kernel", "control: kernel distance to strangers (1/1000)"),
)
FRECHET = (
    ("private.frechet", "Fréchet distance to private images"),
    ("stranger.frechet", "control: Fréchet distance to strangers"),
)
COPIES = (
    ("private.copied", "copied private images (%)"),
    ("stranger.copied", "control: copied strangers (%)"),
    ("private.extracted", "extracted private images (%), arXiv 2301.13188"),
    ("stranger.extracted", "control: extracted strangers (%)"),
)


def _visual(results: Results) -> Table:
    absent = {name: why for r in results.records if r.cell.task == "visual" for name, why in r.absent.items()}
    notes = [
        "Source: the private image it was made from where there is exactly one, else the nearest of the class. "
        "Control: the same against holdout images. 95 % bootstrap intervals over images.",
        RANKED,
    ]
    sets = (*_found(results, KERNEL, absent), *_found(results, FRECHET))
    given = [
        (name, head) for name, head in (*VISUAL, *sets) if not name.startswith("stranger.")
    ]  # controls lack the same
    notes += [f"{head}: not applicable: {absent[name]}." for name, head in given if name in absent]
    if (few := absent.get(FRECHET[0][0])) and FRECHET[0] not in sets:
        notes.append(f"No Fréchet distance: {few}.")
    columns = (*VISUAL, *sets, *_found(results, COPIES), *_unlisted(results))
    rows = [[results.label(defense)] for defense in results.defenses]
    ranks: dict[tuple[int, int], int] = {}
    for column, (name, head) in enumerate(columns, 1):
        measurements = [results.measurement(defense, "visual", "", name) for defense in results.defenses]
        if not name.startswith("stranger.") and (name, head) not in FRECHET:  # of sets of other sizes none is better
            ranks |= ranked(column, list(map(merit, measurements)), list(map(is_control, results.defenses)))
        for row, defense, measurement in zip(rows, results.defenses, measurements, strict=True):
            row.append(show(measurement, short(results.missing(defense, "visual", "", name)), interval=False))
    heads = ("Defense", *(head for _, head in columns))
    return Table(
        "T2", "Visual: how alike released and private images look", heads, tuple(map(tuple, rows)), tuple(notes), ranks
    )


def _found(
    results: Results, columns: tuple[tuple[str, str], ...], absent: Collection[str] = ()
) -> tuple[tuple[str, str], ...]:
    """Those of the columns that any record speaks of, be it to say why they are absent: older ones lack some."""
    found = {m.name for r in results.records if r.cell.task == "visual" for m in r.measurements}
    return tuple(column for column in columns if column[0] in found.union(absent))


def _unlisted(results: Results) -> list[tuple[str, str]]:
    """Measurements against the source that somebody's metric added: each has a column too."""
    known = {name for name, _ in VISUAL} | {"paired.mae"}
    found = {m.name for r in results.records if r.cell.task == "visual" for m in r.measurements}
    names = sorted(name for name in found - known if name.startswith("paired."))
    return [(name, f"{name.removeprefix('paired.')} to source") for name in names]


def _cost(results: Results) -> Table:
    rows = []
    for defense in results.defenses:
        made = results.rows(defense, "release")
        images = results.measurement(defense, "release", "", "release.images")
        seconds = sum(r.seconds for r in made) / len(made) if made else 0.0
        attacks = sum(r.seconds for r in results.records if r.cell.defense == defense and r.cell.task == "attack")
        students = sum(r.seconds for r in results.records if r.cell.defense == defense and r.cell.task == "utility")
        count = f"{images.value:.0f}" if images else results.missing(defense, "release", "")
        rate = f"{images.value / seconds:.1f}" if images and seconds else "n/a"
        peak = max((r.peak_memory for r in results.records if r.cell.defense == defense), default=0) / 2**30
        rows.append(
            (results.label(defense), count, f"{seconds:.1f}", rate, f"{students:.1f}", f"{attacks:.1f}", f"{peak:.2f}")
        )
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
    """T1 to T9 of a run, those that have anything to say."""
    utility = [_utility(results)] if results.students else []
    found = [table for table in (leakage(results, kind) for kind in LEAKAGE) if table.rows]
    claimed = claims(results)
    said = _sources_of_public_images(results)
    told = [replace(table, notes=(*table.notes, *said)) for table in (*utility, _visual(results), *found)]
    return [*told, _cost(results), practice(results), *([claimed] if claimed else [])]


def _sources_of_public_images(results: Results) -> list[str]:
    """A note for each place where public images came from, with the defenses that read them."""
    readers: dict[str, dict[str, None]] = {}
    for record in results.records:
        if record.public:
            readers.setdefault(record.public, {})[results.label(record.cell.defense)] = None
    return [f"Public images, which {', '.join(defenses)} read: {source}." for source, defenses in readers.items()]
