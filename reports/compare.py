"""Runs side by side: what changed, by how much, and whether that is more than the intervals allow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from leakbench.metrics.decision import deciding
from leakbench.metrics.measurement import Measurement
from leakbench.reports.table import Table, show
from leakbench.reports.verdicts import Results
from leakbench.reports.write import ReportProblem, load_run


def compare(folders: list[Path]) -> Table:
    """The measurements that decide, and the students' accuracy, of two or more runs; each run is set against the first.

    Args:
        folders: run folders, two at least.

    Returns:
        A row for each measurement that any of them has. ``outside`` says whether the intervals of the first run and
        another have nothing in common; where one has no interval, it says nothing. Its notes say what else differs.

    Raises:
        ReportProblem: fewer than two folders, or one that is no run.
    """
    if len(folders) < 2:
        raise ReportProblem("compare needs two run folders at least")
    runs = [load_run(folder) for folder in folders]
    names = [f"{chr(65 + i)}: {folder.name}" for i, folder in enumerate(folders)]
    rows = [row for key in _keys([results for results, _ in runs]) if (row := _row(key, [r for r, _ in runs]))]
    changes = [f"{chr(66 + i)} - A" for i in range(len(runs) - 1)]
    columns = ("Defense", "Method", "Figure", *names, *changes, "outside")
    notes = _differences([run for _, run in runs])
    return Table("compare", "Runs side by side", columns, tuple(rows), tuple(notes))


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
