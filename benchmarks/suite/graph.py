"""The stage graph of a suite: its cells, and which of them must be finished before which."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter

from leakbench.attacks.view import Access
from leakbench.benchmarks.suite.model import Suite
from leakbench.benchmarks.suite.spec import attack_of, defense_of
from leakbench.reports.records import Cell, Record
from leakbench.reports.spec import ASKING, parse_student
from leakbench.synth.defense import Defense, PrivateTrainer, Synthesizer
from leakbench.synth.defenses.controls import Identity


@dataclass(frozen=True)
class Plan:
    """The grid of a suite.

    Args:
        cells: in the order of tables, which is also that in which they run where only one runs at a time.
        needs: of a cell, by id: the cells that make what it reads.
    """

    cells: tuple[Cell, ...]
    needs: dict[str, tuple[Cell, ...]]

    @cached_property
    def position(self) -> dict[str, int]:
        """Of each cell, by id, in the order of tables."""
        return {cell.id: index for index, cell in enumerate(self.cells)}

    def left(self, records: dict[str, Record]) -> list[Cell]:
        """The cells that are not done; failed ones are tried again."""
        return [cell for cell in self.cells if cell.id not in records or records[cell.id].status == "failed"]

    def order(self, left: list[Cell]) -> TopologicalSorter[Cell]:
        """What is left, for the taking: a cell is ready when those of its needs that were left are done."""
        there = {cell.id for cell in left}
        graph = {cell: [need for need in self.needs[cell.id] if need.id in there] for cell in left}
        order = TopologicalSorter(graph)
        order.prepare()
        return order

    @property
    def depth(self) -> int:
        """Cells on the longest way through the graph: no number of machines takes fewer one after another."""
        depths: dict[str, int] = {}
        for cell in TopologicalSorter({c: self.needs[c.id] for c in self.cells}).static_order():
            depths[cell.id] = 1 + max((depths[need.id] for need in self.needs[cell.id]), default=0)
        return max(depths.values(), default=0)


def rungs(suite: Suite, defense: Defense) -> list[str]:
    """The labels that students of a defense's release learn: those of a suite that there are."""
    there = {
        "hard": True,
        "soft": bool(defense.publishes_soft_labels),
        "views": isinstance(defense, Synthesizer),
        "teacher": suite.teacher.published and isinstance(defense, Synthesizer),
    }
    return [labels for labels in suite.student.labels if there[labels]]


def student_networks(suite: Suite, defense: Defense) -> tuple[str, ...]:
    """Architectures of the students of a defense: the suite's, or the one that it trains; the first is attacked.

    `identity` has those that others train as well: what they reach without a guarantee.
    """
    asked = suite.student.networks
    if own := _own(defense):
        return (own,) if asked else ()
    if isinstance(defense, Identity) and asked:
        asked += tuple(filter(None, (_own(defense_of(spec)) for spec in suite.defenses)))
    return tuple(dict.fromkeys(asked))


def _own(defense: Defense) -> str:
    return defense.architecture if isinstance(defense, PrivateTrainer) else ""


def networks_of(suite: Suite, cell: Cell) -> set[str]:
    """Architectures of the teacher, of a cell's student, of one that it attacks, or of an attacker's own."""
    found = {suite.teacher.network}
    if cell.task == "utility":
        return found | {parse_student(cell.method).network}
    if cell.task != "attack":
        return found
    attack = attack_of(cell.method)
    found |= {str(getattr(attack, "network", ""))} - {""}
    if attack.needs & {Access.MODEL, Access.SOFT_MODEL}:
        found |= set(student_networks(suite, defense_of(cell.defense))[:1])
    return found


def plan(suite: Suite) -> Plan:
    """All cells of a suite.

    Per seed the blind control and the networks of the data owner, and per defense its release and what reads it.
    """
    identity = f"{suite.name}-{suite.hash}"

    def cell(defense: str, task: str, method: str, seed: int) -> Cell:
        return Cell(suite=identity, dataset=suite.dataset, defense=defense, task=task, method=method, seed=seed)

    def cells() -> Iterator[tuple[Cell, tuple[Cell, ...]]]:
        asked = bool(ASKING & set(suite.student.labels))
        examined = suite.teacher.examines
        taught = asked or examined or any(defense_of(spec).teacher_based for spec in suite.defenses)
        graded = {spec for spec in suite.attacks if attack_of(spec).goal == "class"}
        for seed in range(suite.seeds):
            oracle = cell("", "oracle", suite.teacher.network, seed)
            teacher = cell("", "teacher", suite.teacher.network, seed)
            if suite.attacks:
                yield cell("", "blind", "", seed), ()
            if graded:
                yield oracle, ()
            if taught:
                yield teacher, ()
            for spec in suite.defenses:
                defense = defense_of(spec)
                release = cell(spec, "release", "", seed)
                yield release, (teacher,) if defense.teacher_based or examined else ()
                yield cell(spec, "visual", "", seed), (release,)
                labels = rungs(suite, defense)
                networks = student_networks(suite, defense)
                students = [cell(spec, "utility", f"{n}:{k}", seed) for n in networks for k in labels]
                for student in students:
                    yield student, (release, *[teacher] * (parse_student(student.method).labels in ASKING))
                for attack in suite.attacks:
                    needs = attack_of(attack).needs
                    hard = [s for s in students if s.method.endswith(":hard")][:1]
                    soft = [s for s in students if s.method.endswith(":soft")][:1] or hard
                    victim = hard * (Access.MODEL in needs) + soft * (Access.SOFT_MODEL in needs)
                    published = [teacher] if Access.TEACHER in needs and defense.teacher_based else []
                    grader = [oracle] if attack in graded else []
                    yield cell(spec, "attack", attack, seed), (release, *grader, *victim, *published)

    found = list(cells())
    return Plan(tuple(own for own, _ in found), {own.id: needs for own, needs in found})
