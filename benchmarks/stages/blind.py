"""The stage that looks whether members and holdout can be told apart without any release: whether splits are sound."""

from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.stages.outcome import Outcome
from leakbench.metrics.blind import FEWEST, blind_control
from leakbench.metrics.decision import BLIND_CONTROL
from leakbench.metrics.measurement import Judgement
from leakbench.reports.records import Cell


def blind_stage(context: RunContext, cell: Cell) -> Outcome:
    """Tell members from holdout by what they look like."""
    parts = context.parts(cell.seed)
    if min(len(parts.members), len(parts.holdout)) < FEWEST:
        return Outcome(Judgement((), {BLIND_CONTROL: f"it takes {FEWEST} members and as many others"}))
    seed = context.seed("blind", cell.seed)
    return Outcome(Judgement((blind_control(parts.members.pixels, parts.holdout.pixels, seed=seed),)))
