"""From records to verdicts: pooled measurements, whether the controls allow to believe them, and a word."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from leakbench.metrics.decision import ALSO_DECIDES, DECIDES, FAMILY, MUST_BE_SILENT, Question
from leakbench.metrics.measurement import Measurement
from leakbench.reports.frames import tidy
from leakbench.reports.records import Attacked, Guarantee, Record, pool_seeds
from leakbench.reports.spec import labels, parse_spec, parse_student

CANARIES = {"leaks": "canaries found", "no leak found": "no canary found"}
"""Verdicts of attacks that look for canaries: they tell of the defense, not of the members."""


@dataclass(frozen=True)
class Control:
    """Whether an attack's answer to a question may be believed.

    Args:
        power: it succeeded on `identity`; None where that was not measured.
        silence: it found nothing on `disjoint`; None where that was not measured, or does not apply.
        why: what is wrong, in words; empty where nothing is.
    """

    power: bool | None
    silence: bool | None
    why: str

    @property
    def validated(self) -> bool:
        """Both controls passed."""
        return not self.why


@dataclass(frozen=True)
class Epsilon:
    """What an attack says of a defense's formal guarantee.

    Args:
        bound: no epsilon below it allows what was found; None where there is none.
        claim: the epsilon that the defense claims, or None.
        comparable: whether the claim is for the same neighbours, and the attack's controls passed.
    """

    bound: Measurement | None
    claim: float | None
    comparable: bool

    @property
    def contradicted(self) -> bool:
        """Whether the claim is wrong, at the bound's confidence: of one attack, of many that is not corrected for."""
        return bool(self.comparable and self.bound and self.claim is not None and self.bound.value > self.claim)


def is_control(defense: str) -> bool:
    """Whether a defense is a control, which does not compete for the best measurement."""
    return parse_spec(defense).name in ("identity", "disjoint")


class Results:
    """The records of a run, asked by defense, task, method and measurement.

    Args:
        records: in any order; defenses and methods keep the order in which they first appear.
        seeds: how many repetitions the run was asked for; a row that has fewer is incomplete and has no measurements.
        planned: ids of the cells that the run was asked for; all that are missing by default.
    """

    def __init__(
        self, records: Iterable[Record], *, seeds: int | None = None, planned: Iterable[str] | None = None
    ) -> None:
        self.planned = None if planned is None else frozenset(planned)
        self.records = list(records)
        self.seeds = seeds or 1 + max((r.cell.seed for r in self.records), default=0)
        self._rows: defaultdict[tuple[str, str, str], list[Record]] = defaultdict(list)
        self._attacked: dict[str, Attacked] = {}
        for r in self.records:
            self._rows[r.cell.defense, r.cell.task, r.cell.method].append(r)
            if r.attacked and (r.status == "ok" or r.cell.method not in self._attacked):
                known = self._attacked.get(r.cell.method)
                self._attacked[r.cell.method] = known if known and known.story else r.attacked
        self.defenses = list(dict.fromkeys(r.cell.defense for r in self.records if r.cell.defense))
        self.attacks = list(dict.fromkeys(r.cell.method for r in self.records if r.cell.task == "attack"))
        self._labels = labels(self.defenses) | labels(self.attacks)
        self.students = list(dict.fromkeys(r.cell.method for r in self.records if r.cell.task == "utility"))

    def frame(self) -> pd.DataFrame:
        """Every measurement in a row of its own, as in measurements.parquet; a failed cell has a row without one."""
        return tidy(self.records)

    def table(self, name: str) -> pd.DataFrame:
        """A table of the report, ``T1`` to ``T9``, as it is printed.

        Raises:
            KeyError: the run has no such table.
        """
        from leakbench.reports.tables import tables  # which reads results

        found = {table.name: table for table in tables(self)}
        if name not in found:
            raise KeyError(f"this run has no table {name!r}; it has {', '.join(found)}")
        return found[name].frame()

    def rows(self, defense: str, task: str, method: str = "") -> list[Record]:
        """The records of one row, one per seed."""
        return self._rows.get((defense, task, method), [])

    def measurement(self, defense: str, task: str, method: str, name: str) -> Measurement | None:
        """A measurement pooled over seeds; None where any seed failed or lacks it: no averages over survivors."""
        found = [record.get(name) for record in self.rows(defense, task, method)]
        if len(found) < self.seeds or not all(found):
            return None
        trained = task == "utility" or name.startswith(("model.", "honest."))
        return pool_seeds((m for m in found if m), over_seeds=trained)

    def missing(self, defense: str, task: str, method: str, name: str = "") -> str:
        """Why a measurement is not there: ``failed``, ``n/a: why`` or ``n/a``."""
        rows = self.rows(defense, task, method)
        if not self.asked_for(defense, task, method):
            return "n/a: not part of this run"
        if len(rows) < self.seeds:
            return f"incomplete: {len(rows)} of {self.seeds} seeds"
        if any(r.status == "failed" for r in rows):
            return "failed"
        reasons = [r.reason for r in rows if r.status == "not_applicable"] + [
            r.absent[name] for r in rows if name in r.absent
        ]
        return f"n/a: {reasons[0]}" if reasons else "n/a"

    def asked_for(self, defense: str, task: str, method: str = "") -> bool:
        """Whether a row has records, or is part of what the run was asked for."""
        if self.planned is None or self.rows(defense, task, method):
            return True
        cells = (
            replace(self.records[0].cell, defense=defense, task=task, method=method, seed=s) for s in range(self.seeds)
        )
        return any(cell.id in self.planned for cell in cells)

    def epsilon(self, defense: str, attack: str) -> Epsilon:
        """The lower bound for the neighbours of the claim on what was attacked; else any, beside no claim."""
        claim = next((r.claim for r in self.rows(defense, "attack", attack)), Guarantee())
        names = {"replace one image": "members.epsilon", "add/remove one image": "members.epsilon-add-remove"}
        same = names.get(claim.get("relation", ""))
        bound = self._least(defense, attack, same) if same else None
        if bound is None:
            other = next(filter(None, (self._least(defense, attack, name) for name in names.values())), None)
            return Epsilon(other, claim.get("epsilon"), comparable=False)
        return Epsilon(bound, claim.get("epsilon"), comparable=self.control(attack, "members").validated)

    def _least(self, defense: str, attack: str, name: str) -> Measurement | None:
        """The smallest of the seeds' lower bounds: their mean would be no bound."""
        found = [record.get(name) for record in self.rows(defense, "attack", attack)]
        if len(found) < self.seeds or not all(found):
            return None
        return min((m for m in found if m), key=lambda m: m.value)

    def spec_named(self, name: str) -> str | None:
        """The spec of the defense of this name (a control), or None."""
        return next((spec for spec in self.defenses if parse_spec(spec).name == name), None)

    def attacked(self, attack: str) -> Attacked:
        """What the records of an attack say of it: the first that was finished."""
        return self._attacked.get(attack, Attacked())

    def without_sanitizing(self, attack: str) -> str:
        """The attack that shows this one's power: itself, or the same against a model that nobody has sanitized.

        What is done to a model before it is handed out is under test like a defense; were the attack to succeed in
        spite of it, a countermeasure that works would look like an attack that does not.
        """
        said, body = self.attacked(attack), parse_spec(attack).body
        if not said.sanitized:
            return attack
        wanted = False, said.scenario_without_sanitizing
        for other in self.attacks:
            found = self.attacked(other)
            if parse_spec(other).body == body and (found.sanitized, found.scenario_without_sanitizing) == wanted:
                return other
        return attack

    def control(self, attack: str, question: Question) -> Control:
        """Did the attack succeed on `identity` and, where members are concerned, find nothing on `disjoint`?"""
        power = self.detected(self.spec_named("identity"), self.without_sanitizing(attack), question)
        silence = None
        problems = []
        if question in MUST_BE_SILENT:
            disjoint = self.spec_named("disjoint")
            loud = self.detected(disjoint, attack, question)
            silence = None if loud is None else not loud
            measurement = self.measurement(disjoint, "attack", attack, DECIDES[question]) if disjoint else None
            if (
                question == "private"
                and measurement is not None
                and measurement.high is not None
                and measurement.high < 0
            ):
                problems.append("members and holdout are not exchangeable on disjoint")
        if power is None:
            problems.append("identity not measured")
        elif not power:
            problems.append("no power shown on identity")
        if question in MUST_BE_SILENT and silence is None:
            problems.append("disjoint not measured")
        elif question in MUST_BE_SILENT and not silence:
            problems.append("false alarm on disjoint")
        return Control(power, silence, ", ".join(problems))

    @property
    def hard_students(self) -> list[str]:
        """The students that learned from hard labels."""
        return [student for student in self.students if parse_student(student).labels == "hard"]

    def label(self, method: str) -> str:
        """A short label of a defense or an attack: see `spec.labels`."""
        return self._labels.get(method, method)

    def family(self, attack: str) -> str:
        """The family of an attack, which decides its table; every attack's record carries it."""
        return self.attacked(attack).family

    def goal(self, attack: str) -> str:
        """What an attack is after, where its records say it."""
        return self.attacked(attack).goal

    def questions(self, attack: str) -> tuple[Question, ...]:
        """The questions an attack answers: the last is whether members leak."""
        return FAMILY.get(self.family(attack), ("trained", "private"))

    def detected(self, defense: str | None, attack: str, question: Question) -> bool | None:
        """Whether anything that answers the question says yes, controls aside; None where it was not measured."""
        if defense is None:
            return None
        measurement = self.measurement(defense, "attack", attack, DECIDES[question])
        if measurement is None or measurement.low is None:
            return None
        if question == "members" and measurement.high is not None and measurement.high < 0:
            return True  # who scores lower than chance is given away as well: turn the score round
        names = (DECIDES[question], *ALSO_DECIDES.get(question, ()))
        return any(self.above_zero(defense, attack, name) for name in names)

    def attack_verdict(self, defense: str, attack: str) -> str:
        """Whether the attack got what its victim trained on: ``yes``, ``no``, why that is not known, or ``-``."""
        first, *more = self.questions(attack)
        if not more:
            return "-"
        answer = self.verdict(defense, attack, first)
        return {"leaks": "yes", "no leak found": "no"}.get(answer, answer)

    def above_zero(self, defense: str, attack: str, name: str) -> bool:
        """The pooled interval is above 0, and every seed agrees: pooled quantiles alone raise too many alarms."""
        measurement = self.measurement(defense, "attack", attack, name)
        each = [record.get(name) for record in self.rows(defense, "attack", attack)]
        return bool(
            measurement and measurement.low is not None and measurement.low > 0 and all(m and m.value > 0 for m in each)
        )

    def member_verdict(self, defense: str, attack: str) -> str:
        """The verdict on members, or on canaries."""
        verdict = self.verdict(defense, attack, self.questions(attack)[-1])
        return CANARIES.get(verdict, verdict) if self.goal(attack) == "canaries" else verdict

    def verdict(self, defense: str, attack: str, question: Question) -> str:
        """``leaks``, ``no leak found``, ``not validated: why``, ``failed`` or ``n/a``; never ``safe``."""
        found = self.detected(defense, attack, question)
        if found is None:
            return self.missing(defense, "attack", attack)
        control = self.control(attack, question)
        if not control.validated:
            return f"not validated: {control.why}"
        return "leaks" if found else "no leak found"
