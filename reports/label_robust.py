"""What of a release's utility is in its images: the label-robust figures of DD-Ranking (arXiv 2505.13300)."""

import math
from collections.abc import Iterator
from dataclasses import replace

from leakbench.metrics.measurement import Better, Measurement
from leakbench.reports.spec import RUNGS, parse_spec, parse_student
from leakbench.reports.verdicts import Results

NOTES = (
    "Hard label recovery: what a student of the release's hard labels loses against one of all private images; lower "
    "is better. Improvement over random: what a student of the release gains, at a rung of labels, over one of as many "
    "private photographs drawn at random (`subset`) at the same rung; higher is better (arXiv 2505.13300). "
    "Intervals add in squares, as if the two students had been tested on different images: too wide, not too narrow.",
)


def hard_label_recovery(results: Results, defense: str, network: str) -> Measurement | None:
    """Accuracy of hard labels of everybody, less that of a release's; None where either is missing, or they are one."""
    identity = results.spec_named("identity")
    if identity is None or identity == defense:
        return None
    student = f"{network}:hard"
    return _difference(_accuracy(results, identity, student), _accuracy(results, defense, student), "lower")


def improvement_over_random(results: Results, defense: str, student: str) -> Measurement | None:
    """Accuracy of a student of a release less that of a `subset` with as many images; None where there is none."""
    images = results.measurement(defense, "release", "", "release.images")
    for other in results.defenses:
        as_many = results.measurement(other, "release", "", "release.images")
        if other == defense or parse_spec(other).name != "subset" or not (images and as_many):
            continue
        if images.value == as_many.value:
            return _difference(_accuracy(results, defense, student), _accuracy(results, other, student), "higher")
    return None


def columns(results: Results) -> Iterator[tuple[str, list[Measurement | None]]]:
    """Both figures of every defense, for each student of which there is anything to compare with random images."""
    for network in dict.fromkeys(parse_student(student).network for student in results.students):
        students = [student for student in results.students if parse_student(student).network == network]
        gains = {s: [improvement_over_random(results, defense, s) for defense in results.defenses] for s in students}
        if any(map(any, gains.values())):
            losses = [hard_label_recovery(results, defense, network) for defense in results.defenses]
            yield f"{network}: hard label recovery (points)", losses
        for student, gained in gains.items():
            if any(gained):
                rung = parse_student(student).labels
                yield f"{network}, {RUNGS.get(rung, rung)}: improvement over random (points)", gained


def _accuracy(results: Results, defense: str, student: str) -> Measurement | None:
    return results.measurement(defense, "utility", student, "student.accuracy")


def _difference(one: Measurement | None, other: Measurement | None, better: Better) -> Measurement | None:
    if one is None or other is None:
        return None
    half = math.hypot(*((m.high - m.low) / 2 for m in (one, other) if m.low is not None and m.high is not None))
    value = one.value - other.value
    low, high = value - half, value + half
    return replace(one, name="student.difference", value=value, low=low, high=high, unit="points", better=better)
