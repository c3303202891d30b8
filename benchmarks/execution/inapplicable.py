"""Where there is nothing to compute, and why."""

from leakbench.attacks.view import Access, of_the_teacher
from leakbench.benchmarks.stages.publish import offered, publishes
from leakbench.benchmarks.storage.environment import is_plugin
from leakbench.benchmarks.suite.graph import networks_of
from leakbench.benchmarks.suite.model import Suite
from leakbench.benchmarks.suite.spec import attack_of, defense_of
from leakbench.reports.records import Cell
from leakbench.synth.defense import PrivateTrainer, Synthesizer
from leakbench.synth.networks.architectures import PROBE
from leakbench.synth.networks.public import missing


def inapplicable(suite: Suite, weights: bool, cell: Cell) -> str:
    """Why there is nothing to compute; empty where there is.

    Args:
        suite: the cell's suite.
        weights: whether the teacher is somebody else's network.
        cell: that is asked for.
    """
    return _beside_the_point(cell) or _withheld(suite, weights, cell) or _unlike(cell) or _missing(suite, cell)


def _beside_the_point(cell: Cell) -> str:
    """Why a cell has nothing to say of a defense that publishes no images; empty where it has."""
    defense = defense_of(cell.defense) if cell.defense else None
    if defense is None or isinstance(defense, Synthesizer):
        return ""
    why = f"this defense releases no images, {publishes(defense)}"
    if cell.task in ("release", "visual"):
        return why
    if cell.task == "utility":
        return "" if isinstance(defense, PrivateTrainer) else f"{why}; no student learns from those here"
    missing = attack_of(cell.method).needs - offered(defense)
    named = ", ".join(sorted(access.name for access in missing))
    return f"{why}; the attack needs {named}" if missing else ""


def _withheld(suite: Suite, weights: bool, cell: Cell) -> str:
    """Why an attack on the teacher has none to attack; empty where it has."""
    needs = attack_of(cell.method).needs if cell.task == "attack" else frozenset()
    if Access.TEACHER not in needs:
        return ""
    if not suite.teacher.published:
        return "the teacher does not count as published here (published = false), and no attack gets it"
    if weights and of_the_teacher(needs) and defense_of(cell.defense).teacher_based:
        return "the teacher is somebody else's network (teacher weights), and has seen none of the members"
    return ""


def _unlike(cell: Cell) -> str:
    """Why an attack that trains shadows of students has none of this one; empty where it has, or trains none."""
    defense = defense_of(cell.defense) if cell.task == "attack" else None
    if not isinstance(defense, PrivateTrainer) or not defense.architecture:
        return ""
    attack = attack_of(cell.method)
    if Access.MODEL not in attack.needs or not hasattr(attack, "shadows"):
        return ""
    return "this defense trains a network of its own, in its own way, and the attack's shadows would be unlike it"


def _missing(suite: Suite, cell: Cell) -> str:
    """What a cell's defense or attack needs and this machine lacks; empty where nothing is missing."""
    if PROBE in networks_of(suite, cell) and missing():
        return missing()
    absent = lacking(cell) if cell.task in ("release", "attack") else ""  # an attack may make the release again
    return absent or (attack_of(cell.method).missing() if cell.task == "attack" else "")


def lacking(cell: Cell) -> str:
    """What a cell's defense needs and this machine lacks; of a plug-in, whose code runs elsewhere, nobody asks."""
    defense = defense_of(cell.defense) if cell.defense else None
    return "" if defense is None or is_plugin(type(defense)) else defense.missing()
