"""What a cell computes, by its task. Each is a function of the context and a cell."""

from collections.abc import Callable

from leakbench.benchmarks.stages.blind import blind_stage
from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.stages.leakage import attack_stage
from leakbench.benchmarks.stages.outcome import Outcome
from leakbench.benchmarks.stages.release import release_stage
from leakbench.benchmarks.stages.utility import oracle_stage, teacher_stage, utility_stage
from leakbench.benchmarks.stages.visual import visual_stage
from leakbench.reports.records import Cell

STAGES: dict[str, Callable[[RunContext, Cell], Outcome]] = {
    "blind": blind_stage,
    "release": release_stage,
    "visual": visual_stage,
    "utility": utility_stage,
    "oracle": oracle_stage,
    "teacher": teacher_stage,
    "attack": attack_stage,
}
