"""Runs side by side: the matrix of each, what changed, by how much, and whether the intervals allow for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from leakbench.metrics.decision import deciding
from leakbench.metrics.measurement import Measurement
from leakbench.reports.glance import FAMILIES, families, matrix, utility
from leakbench.reports.table import Table, show
from leakbench.reports.verdicts import Results
from leakbench.reports.write import ReportProblem, load_run


def _matrix(name: str, results: Results) -> Table:
    rows = []
    for defense, cells in matrix(results).items():
        accuracy = show(utility(results, defense)[0], "no student", interval=False)
        told = (f"{found.sign} {found.outcome} {found.detail}".rstrip() for found in cells.values())
        rows.append((results.label(defense), accuracy, *told))
    heads = ("Defense", "accuracy, %", *(FAMILIES.get(family, family) for family in families(results)))
    return Table("matrix", name, heads, tuple(rows))


def _turned(named: dict[str, Results]) -> list[str]:
    """A sentence for each release and family whose outcome is another than in the first run."""
    (first, before), *others = named.items()
    known = matrix(before)
    return [
        f"{results.label(defense)}, {FAMILIES.get(family, family)}: {known[defense][family].outcome} in {first}, "
        f"{found.outcome} in {name}."
        for name, results in others
        for defense, cells in matrix(results).items()
        for family, found in cells.items()
        if family in known.get(defense, {}) and known[defense][family].outcome != found.outcome
    ]


def compare(folders: list[Path]) -> list[Table]:
    """The first page of each run as a table, and the measurements that decide of all, each run set against the first.

    Args:
        folders: run folders, two at least.

    Returns:
        A matrix for each run, and last a row for each measurement that any of them has. ``outside`` says whether the
        intervals of the first run and another have nothing in common; where one has no interval, it says nothing. Notes
        say which cells of a matrix are not what they are in the first, and what else differs.

    Raises:
        ReportProblem: fewer than two folders, or one that is no run.
    """
    if len(folders) < 2:
        raise ReportProblem("compare needs two run folders at least")
    runs = [load_run(folder) for folder in folders]
    all_results = [results for results, _ in runs]
    names = [f"{chr(65 + i)}: {folder.name}" for i, folder in enumerate(folders)]
    rows = [row for key in _keys(all_results) if (row := _row(key, all_results))]
    changes = [f"{chr(66 + i)} - A" for i in range(len(runs) - 1)]
    columns = ("Defense", "Method", "Figure", *names, *changes, "outside")
    named = dict(zip(names, all_results, strict=True))
    notes = (*_turned(named), *_differences([run for _, run in runs]))
    return [*map(_matrix, names, all_results), Table("compare", "Runs side by side", columns, tuple(rows), notes)]


def _keys(all_results: list[Results]) -> list[tuple[str, str, str, str]]:
    """(defense, task, method, measurement), in the order in which the runs have them."""
    keys: dict[tuple[str, str, str, str], None] = {}
    for results in all_results:
        for defense in results.defenses:
            for student in results.students:
                keys[defense, "utility", student, "student.accuracy"] = None
            for attack in results.attacks:
                for question in results.questions(attack):
                    for name in deciding(question):
                        keys[defense, "attack", attack, name] = None
    return list(keys)


def _row(key: tuple[str, str, str, str], all_results: list[Results]) -> tuple[str, ...] | None:
    defense, task, method, name = key
    found = [results.measurement(defense, task, method, name) for results in all_results]
    if not any(found):
        return None
    first, *others = found
    missing = [results.missing(defense, task, method, name).split(":")[0] for results in all_results]
    changes = [f"{other.value - first.value:+.4g}" if first and other else "n/a" for other in others]
    apart = [_apart(first, other) for other in others]
    shown = [show(measurement, why) for measurement, why in zip(found, missing, strict=True)]
    return (defense, method, name, *shown, *changes, ", ".join(apart))


def _apart(first: Measurement | None, other: Measurement | None) -> str:
    ends = [end for m in (first, other) for end in ((m.low, m.high) if m else (None, None))]
    if first is None or other is None or any(end is None for end in ends):
        return "n/a"
    low, high, other_low, other_high = (float(end) for end in ends if end is not None)
    return "yes" if high < other_low or other_high < low else "no"


def _differences(runs: list[dict[str, Any]]) -> list[str]:
    """A sentence for each thing that is not the same in all runs: then there are more reasons than one to differ."""
    looked_at: dict[str, Callable[[dict[str, Any]], object]] = {
        "the suite": lambda run: f"{run['suite']['name']} ({run.get('identity', {}).get('hash', '')})",
        "the members": lambda run: run.get("identity", {}).get("data", ""),
        "the plug-ins": lambda run: run.get("identity", {}).get("plugins", {}),
        "leakbench's commit": lambda run: run.get("environment", {}).get("commit", ""),
        "the device": lambda run: run.get("environment", {}).get("device", ""),
        "torch": lambda run: run.get("environment", {}).get("torch", ""),
    }
    notes = []
    for name, look in looked_at.items():
        values = [str(look(run)) for run in runs]
        if len(set(values)) > 1:
            notes.append(f"Not the same in all runs: {name}: {'; '.join(values)}.")
    return notes
