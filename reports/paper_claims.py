"""The paper's five claims (arXiv 2210.03205), each with what this run says of it."""

from collections.abc import Callable, Iterator
from functools import partial

from leakbench.metrics.decision import LEAKS, NOTHING
from leakbench.reports.spec import parse_spec, parse_student
from leakbench.reports.table import Table, show
from leakbench.reports.verdicts import Results

PAPER = "bn-matching"
COMPARABLE = 0.9
"""Share of identity's accuracy that this page calls comparable."""

Answer = tuple[bool | None, str]
"""Whether a claim holds for a release, None where that is open, and the measurement that says so."""


def claims(results: Results) -> Table | None:
    """The claims and their verdicts, or None where no release of the paper's defense was made.

    A claim *holds* or *does not hold* where all releases of the defense agree, holds *only when* where they do not, and
    is *open* where nothing that was validated was measured.
    """
    specs = [spec for spec in results.defenses if parse_spec(spec).name == PAPER]
    if not specs:
        return None
    rows = []
    for claim, condition, answer in _claims(results):
        answers = {spec: answer(spec) for spec in specs}
        measurements = "; ".join(f"{_short(results, spec)}: {text}" for spec, (_, text) in answers.items())
        rows.append(
            (claim, _verdict(results, {spec: holds for spec, (holds, _) in answers.items()}), measurements, condition)
        )
    notes = (
        "Each claim as leakbench reads it; intervals are at 95 %, see T1 to T6 for controls. The paper's own tables "
        "were not at hand.",
        f"Reproduce: leakbench run {_suite(results)}.",
    )
    heads = ("Claim of arXiv 2210.03205", "Verdict", "Figures", "Holds where")
    return Table("T9", "The paper's claims", heads, tuple(rows), notes)


def _claims(results: Results) -> Iterator[tuple[str, str, Callable[[str], Answer]]]:
    yield (
        "Networks trained on the release are comparably accurate",
        f"a student's accuracy is at least {COMPARABLE:.0%} of that on identity, beyond the interval",
        lambda spec: _accuracy(results, spec),
    )
    yield (
        "Released images do not look like private ones",
        "SSIM to the source is below that of identity's images to the nearest stranger",
        lambda spec: _dissimilar(results, spec),
    )
    for family, words in (("gradient", "gradient matching"), ("memorization", "model memorization")):
        yield f"It resists {words}", "no validated attack gives members away", _resists(results, family)
    yield (
        "It resists GAN-based attacks",
        "no validated attack shows a class or gives members away",
        _resists(results, "gan"),
    )


def _accuracy(results: Results, spec: str) -> Answer:
    """Of all students with hard labels: it holds where it does for each."""
    identity, answers, measurements = results.spec_named("identity"), [], []
    for student in filter(partial(results.asked_for, spec, "utility"), results.hard_students):
        ours = results.measurement(spec, "utility", student, "student.accuracy")
        base = results.measurement(identity, "utility", student, "student.accuracy") if identity else None
        if ours is None or base is None or ours.low is None or ours.high is None:
            return None, results.missing(spec, "utility", student)
        bar = COMPARABLE * base.value
        answers.append(True if ours.low >= bar else False if ours.high < bar else None)
        measurements.append(f"{parse_student(student).network} {show(ours)} % of {base.value:.1f} %")
    return _all(answers), ", ".join(measurements) or "not run"


def _all(answers: list[bool | None]) -> bool | None:
    if False in answers:
        return False
    return True if answers and None not in answers else None


def _dissimilar(results: Results, spec: str) -> Answer:
    ours = results.measurement(spec, "visual", "", "paired.ssim")
    identity = results.spec_named("identity")
    stranger = results.measurement(identity, "visual", "", "stranger.ssim") if identity else None
    if ours is None or stranger is None:
        return None, results.missing(spec, "visual", "", "paired.ssim")
    text = f"SSIM {show(ours)}, strangers {show(stranger)}"
    if ours.high is None or ours.low is None or stranger.low is None or stranger.high is None:
        return None, text
    return (True if ours.high < stranger.low else False if ours.low > stranger.high else None), text


def _resists(results: Results, family: str) -> Callable[[str], Answer]:
    attacks = [attack for attack in results.attacks if results.family(attack) == family]

    def answer(spec: str) -> Answer:
        leaks = {attack: results.member_verdict(spec, attack) for attack in attacks}
        by = [attack for attack, verdict in leaks.items() if verdict == LEAKS]
        if family == "gan":
            by += [attack for attack in attacks if attack not in by and results.attack_verdict(spec, attack) == "yes"]
        if by:
            return False, f"beaten by {', '.join(results.label(a) + _added(results, spec, a) for a in by)}"
        silent = [
            a for a in attacks if leaks[a] == NOTHING and (family != "gan" or results.attack_verdict(spec, a) == "no")
        ]
        rest = [f"{results.label(a)} ({leaks[a]})" for a in attacks if a not in silent]
        found = [f"{NOTHING} by {results.silent(spec, silent)}"] * bool(silent)
        found += [f"open: {', '.join(rest)}"] * bool(rest)
        # One attack that finds nothing does not make up for another that was not shown to work.
        return (True if silent and not rest else None), "; ".join(found) or "not run"

    return answer


def _added(results: Results, spec: str, attack: str) -> str:
    """Where reconstructions lead beside where the attacked released images do: what the attack adds to the release."""
    found, plain = (
        results.measurement(spec, "attack", attack, f"linked.statistics.{part}") for part in ("attack", "baseline")
    )
    if found is None or plain is None:
        return ""
    return f" (source first by statistics: {found.value:.2f}, from the release itself {plain.value:.2f})"


def _verdict(results: Results, answers: dict[str, bool | None]) -> str:
    known = {spec: holds for spec, holds in answers.items() if holds is not None}
    if not known:
        return "open"
    left = [_short(results, spec) for spec in answers if spec not in known]
    rest = f"; open: {' or '.join(left)}" if left else ""
    if len(set(known.values())) == 1:
        return ("holds" if all(known.values()) else "does not hold") + rest
    return "only when " + " or ".join(_short(results, spec) for spec, holds in known.items() if holds) + rest


def _short(results: Results, spec: str) -> str:
    """The parameters in which a release differs from the others of the paper's defense."""
    others = [parse_spec(other) for other in results.defenses if parse_spec(other).name == PAPER]
    apart = [(k, v) for k, v in parse_spec(spec).parameters if any(other.value(k) != v for other in others)]
    return ", ".join(f"{key}={value}" for key, value in apart) or spec


def _suite(results: Results) -> str:
    cell = results.records[0].cell
    return f"{cell.suite.rpartition('-')[0]} --dataset {cell.dataset}"
