"""Tables T3 to T6: what attacks found, with their controls."""

import json

from scipy.stats import false_discovery_control

from leakbench.metrics import decision
from leakbench.metrics.decision import ALARMS
from leakbench.metrics.measurement import Measurement
from leakbench.reports.epsilon import epsilon
from leakbench.reports.leakage_columns import LEAKAGE, LEAKAGE_NOTES, LINKED_NOTE, MORE_NOTES, VOID
from leakbench.reports.records import Attacked
from leakbench.reports.table import Table, digits, ranked, short, show
from leakbench.reports.verdicts import Results, is_control


def _three_parts(results: Results, defense: str, attack: str, name: str) -> str:
    if name.endswith(".best"):
        pair = [results.measurement(defense, "attack", attack, part) for part in (name, f"{name}-control")]
        return " / ".join(show(part, short(results.missing(defense, "attack", attack, name))) for part in pair)
    parts = [
        results.measurement(defense, "attack", attack, f"{name}.{part}") for part in ("attack", "control", "baseline")
    ]
    if parts[0] is None:
        single = results.measurement(defense, "attack", attack, name)
        return show(single, short(results.missing(defense, "attack", attack, name)))
    excess = results.measurement(defense, "attack", attack, f"{name}.excess")
    decimals = digits(excess) if excess else None
    return " / ".join(show(part, interval=False, decimals=decimals) for part in parts) + f"; {show(excess)}"


def _epsilon(results: Results, defense: str, attack: str) -> str:
    """The lower bound, beside what the defense claims of the same neighbours."""
    found = epsilon(results, defense, attack)
    if found.bound is None:
        return short(results.missing(defense, "attack", attack, "members.epsilon"))
    relation = " (add/remove)" if found.bound.name.endswith("add-remove") else ""
    claim = f"; claim {found.claim:g}" if found.claim is not None else ""
    if claim and not found.comparable:
        claim += " (not comparable)"
    gaussian = f"; {found.gaussian.value:.2f} if Gaussian" if found.gaussian else ""
    return f"{found.bound.value:.2f}{relation}{gaussian}{claim}" + (": contradicted" if found.contradicted else "")


def _victim(results: Results, defense: str, attack: str) -> str:
    """What was attacked, on the row: nothing else changes the measurements of gradient matching as much."""
    rows = results.rows(defense, "attack", attack)
    found = next((r.attacked for r in rows if r.attacked and r.attacked.victim), None)
    if found is None:
        return "n/a"
    return "; ".join([found.victim, *(f"{name}: {value:.3g}" for name, value in found.notes.items())])


def _told(attacked: Attacked) -> str:
    """What a table says of an attack once, below."""
    said = {"family": attacked.family, "parameters": json.dumps(attacked.parameters)} | attacked.details
    said |= {"threat model": ", ".join(attacked.threat_model)}
    return "; ".join(f"{name}: {text}" for name, text in sorted(said.items()) if text)


def _cell(results: Results, defense: str, attack: str, measurement: str) -> str:
    if measurement == "members.epsilon":
        return _epsilon(results, defense, attack)
    return _three_parts(results, defense, attack, measurement)


ABOUT_MEMBERS = ("private.", "source.", "linked.", "members.", "linkage.")
"""Figures by which defenses are ranked: the less an attack that is validated gains, the better."""
MARKED = (
    "Of each attack that is validated, the defense against which it gains least is bold, the second in italics or "
    "underlined; controls do not compete. The best of these defenses is not thereby a good one."
)


def _marks(
    results: Results, attack: str, defenses: list[str], first_row: int, measurements: list[str]
) -> dict[tuple[int, int], int]:
    """The best and the second best defense of an attack, by each measurement on members."""
    marks: dict[tuple[int, int], int] = {}
    if not results.control(attack, results.questions(attack)[-1]).validated:
        return marks
    for column, measurement in enumerate(measurements, 3):
        if measurement.startswith(ABOUT_MEMBERS):
            found = [results.measurement(defense, "attack", attack, f"{measurement}.excess") for defense in defenses]
            marks |= ranked(column, list(map(_harmless, found)), list(map(is_control, defenses)), first_row=first_row)
    return marks


def _harmless(excess: Measurement | None) -> float | None:
    """None of what an attack may gain over chance is best; an AUC tells from either side of it."""
    if excess is None:
        return None
    return -abs(excess.value) if excess.name == "members.auc.excess" else min(0.0, -excess.value)


def expected_alarms(verdicts: int) -> str:
    """How many of these verdicts on members are false alarms, in expectation and at most, where nothing leaks."""
    return (
        f"{verdicts} verdicts on members of defenses under test, each a false alarm with a probability of "
        f"{ALARMS:g} at most: {ALARMS * verdicts:.2g} are expected where nothing leaks."
    )


def blind_words(results: Results) -> str:
    """What the blind control found."""
    found = decision.pooled(decision.of_all(results.blind, decision.BLIND_CONTROL))
    if found is None:
        return f"Blind control: {results.missing('', 'blind', '', decision.BLIND_CONTROL)}."
    told = "CAN" if decision.above_zero(results.blind, decision.BLIND_CONTROL) else "cannot"
    return (
        f"Blind control: members and holdout {told} be told apart without the release (AUC {0.5 + found.value:.3f}, "
        f"its excess {show(found)} at a level of {found.level:g})."
    )


def _known(results: Results, kind: str, name: str) -> bool:
    """Whether any record of a family has a figure, or says why not; older ones know nothing of newer figures."""
    ours = [r for r in results.records if r.attacked and r.attacked.family == kind]
    said = {m.name for r in ours for m in r.measurements} | {reason for r in ours for reason in r.absent}
    return not said or any(what == name or what.startswith(f"{name}.") for what in said)


def _adjusted(results: Results) -> dict[tuple[str, str], str]:
    """Each row's p-value, adjusted for all rows on membership (Benjamini and Hochberg, by scipy)."""
    asked = [cell for cell in results.verdicts_on_members() if results.family(cell[1]) == "membership"]
    found = {cell: p for cell in asked if (p := results.alarm_probability(*cell)) is not None}
    if not found:
        return {}
    return {cell: f"{p:.2g}" for cell, p in zip(found, false_discovery_control(list(found.values())), strict=True)}


def leakage(results: Results, kind: str) -> Table:
    """The table of a family of attacks: a row for each attack and defense."""
    name, title, everything = LEAKAGE[kind]
    measurements = [(measured, head) for measured, head in everything if _known(results, kind, measured)]
    adjusted = _adjusted(results) if kind == "membership" else {}
    linked = any(measured.startswith("linked.") for measured, _ in measurements)
    reasons: dict[str, None] = {}
    rows: list[tuple[str, ...]] = []
    notes = [*LEAKAGE_NOTES, *[LINKED_NOTE] * linked, MARKED, *MORE_NOTES.get(kind, ())]
    ranks: dict[tuple[int, int], int] = {}
    for attack in (a for a in results.attacks if results.family(a) == kind):
        asked = [defense for defense in results.defenses if results.asked_for(defense, "attack", attack)]
        ranks |= _marks(results, attack, asked, len(rows), [measurement for measurement, _ in measurements])
        for defense in asked:
            cells = [_cell(results, defense, attack, measurement) for measurement, _ in measurements]
            verdicts = (results.attack_answer(defense, attack), results.member_answer(defense, attack))
            cells += map(short, verdicts)
            if kind == "membership":
                cells.append(adjusted.get((defense, attack), "n/a"))
            rows.append((results.label(defense), results.label(attack), _victim(results, defense, attack), *cells))
            if (missing := results.missing(defense, "attack", attack)).startswith("n/a: "):
                who = f"{results.label(defense)}, {results.label(attack)}"
                reasons[f"{who}: not applicable: {missing.removeprefix('n/a: ')}."] = None
        first = next((r for r in results.records if r.cell.method == attack and r.attacked), None)
        if first and first.attacked:
            notes.append(f"{attack}: {_told(first.attacked)}.")
            reasons |= {f"{measurement}: not applicable: {why}.": None for measurement, why in first.absent.items()}
    if kind == "membership" and any(r.claim.get("kind") == "differential-privacy" for r in results.records):
        notes.append(VOID)
    notes += [blind_words(results)] if results.blind else []
    notes.append(expected_alarms(sum(results.family(a) == kind for _, a in results.verdicts_on_members())))
    notes += list(reasons)
    heads = ("Defense", "Attack", "Victim", *(head for _, head in measurements), "worked", "members leak")
    heads += ("adjusted p",) if kind == "membership" else ()
    return Table(name, title, heads, tuple(rows), tuple(notes), ranks)
