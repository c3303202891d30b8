"""From records to verdicts: pooled measurements, whether the controls allow to believe them, and a word."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import pandas as pd
from scipy.stats import combine_pvalues

from leakbench.metrics import decision
from leakbench.metrics.decision import CANARIES, FAMILY, LEAKS, NOTHING, WORKED, Control, Question
from leakbench.metrics.measurement import Measurement
from leakbench.metrics.power import Power, power, smallest_link
from leakbench.reports.frames import tidy
from leakbench.reports.records import Attacked, Record, over_seeds
from leakbench.reports.spec import labels, parse_spec, parse_student


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
        pool = over_seeds if task == "utility" or name.startswith(("model.", "honest.")) else decision.pooled
        return pool(m for m in found if m)

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
        identity = self._seeds(self.spec_named("identity"), self.without_sanitizing(attack))
        failed = any(record.status == "failed" for record in self.rows("", "blind"))
        # Canaries the attacker has drawn itself.
        blind = [] if self.goal(attack) == "canaries" else None if failed else self.blind
        return decision.control(question, identity, self._seeds(self.spec_named("disjoint"), attack), blind)

    @property
    def blind(self) -> decision.Seeds:
        """What the blind control measured of each split; nothing where it was not run."""
        return [record.measurements for record in self.rows("", "blind")]

    def _seeds(self, defense: str | None, attack: str) -> decision.Seeds:
        """The measurements of every seed; none at all where one is missing."""
        found = [record.measurements for record in self.rows(defense, "attack", attack)] if defense else []
        return found if len(found) == self.seeds else []

    @property
    def hard_students(self) -> list[str]:
        """The students that learned from hard labels."""
        return [student for student in self.students if parse_student(student).labels == "hard"]

    def hard_student(self, defense: str) -> str:
        """The first student of hard labels that a defense was to have; a private trainer may have none but its own."""
        records = (r for r in self.records if (r.cell.defense, r.cell.task) == (defense, "utility"))
        return next((r.cell.method for r in records if parse_student(r.cell.method).labels == "hard"), "")

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
        return decision.detected(self._seeds(defense, attack), question)

    def above_zero(self, defense: str, attack: str, name: str) -> bool:
        """Whether one excess is above 0, in every seed."""
        return decision.above_zero(self._seeds(defense, attack), name)

    def power(self, defense: str, attack: str, question: Question) -> Power | None:
        """The smallest leak that would have been seen, and what the attack reaches on `identity`."""
        identity = self._seeds(self.spec_named("identity"), self.without_sanitizing(attack))
        return power(self._seeds(defense, attack), question, identity)

    def smallest_link(self, defense: str, attack: str) -> tuple[float, int] | None:
        """The smallest share of sources ranked first that would have been seen, and of how many."""
        return smallest_link(self._seeds(defense, attack))

    def verdict(self, defense: str, attack: str, question: Question) -> str:
        """``leaks``, ``no leak found``, ``not validated: why``, ``failed`` or ``n/a``; never ``safe``."""
        found = self.detected(defense, attack, question)
        if found is None:
            return self.missing(defense, "attack", attack)
        return decision.outcome(found, self.control(attack, question))

    def attack_verdict(self, defense: str, attack: str) -> str:
        """Whether the attack got what its victim trained on: ``yes``, ``no``, why that is not known, or ``-``."""
        first, *more = self.questions(attack)
        if not more:
            return "-"
        answer = self.verdict(defense, attack, first)
        return WORKED.get(answer, answer)

    def member_verdict(self, defense: str, attack: str) -> str:
        """The verdict on members, or on canaries."""
        verdict = self.verdict(defense, attack, self.questions(attack)[-1])
        return CANARIES.get(verdict, verdict) if self.goal(attack) == "canaries" else verdict

    def shows_class(self, defense: str, attack: str) -> bool:
        """Whether an attack shows what a class looks like, which says nothing of members."""
        return self.questions(attack)[0] == "class" and self.attack_verdict(defense, attack) == WORKED[LEAKS]

    def attack_answer(self, defense: str, attack: str) -> str:
        """The same as `attack_verdict`, a no with its power."""
        return self._powered(self.attack_verdict(defense, attack), defense, attack, self.questions(attack)[0])

    def member_answer(self, defense: str, attack: str) -> str:
        """The same as `member_verdict`, a silence with its power."""
        return self._powered(self.member_verdict(defense, attack), defense, attack, self.questions(attack)[-1])

    def _powered(self, verdict: str, defense: str, attack: str, question: Question) -> str:
        silent = verdict in (NOTHING, CANARIES[NOTHING], WORKED[NOTHING])
        worth = self.power(defense, attack, question) if silent else None
        if silent and worth is None:
            return f"{verdict} (power not known)"
        return verdict if worth is None else f"{verdict} ({worth})"

    def verdicts_on_members(self) -> list[tuple[str, str]]:
        """Every defense under test and attack of which there is a verdict on members: each may be a false alarm."""
        return [
            (defense, attack)
            for attack in self.attacks
            for defense in self.defenses
            if not is_control(defense) and self.verdict(defense, attack, self.questions(attack)[-1]) in (LEAKS, NOTHING)
        ]

    def alarm_probability(self, defense: str, attack: str) -> float | None:
        """The chance of as loud an answer of a release that gives nothing away; over seeds by Fisher's method."""
        asked = self.questions(attack)[-1]
        found = [decision.alarm_probability(seed, asked) for seed in self._seeds(defense, attack)]
        known = [max(p, 1e-300) for p in found if p is not None]
        return float(combine_pvalues(known).pvalue) if known and len(known) == len(found) else None

    def silent(self, defense: str, attacks: Iterable[str]) -> str:
        """The labels of attacks that found no leak of members, with the smallest that each would have seen."""
        alike: dict[str, list[str]] = {}
        for attack in attacks:
            worth = self.power(defense, attack, self.questions(attack)[-1])
            said = "power not known" if worth is None else f"{worth.least}{', weak' * worth.weak}"
            alike.setdefault(said, []).append(self.label(attack))
        return ", ".join(f"{', '.join(found)} ({'each ' * (len(found) > 1)}{said})" for said, found in alike.items())
