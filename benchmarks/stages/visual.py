"""The stage that compares released images with private ones."""

from leakbench.attacks.judging.truth import single
from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.stages.outcome import Outcome
from leakbench.metrics.measurement import Judgement
from leakbench.metrics.neighbours import nearest
from leakbench.metrics.visual import compare
from leakbench.reports.records import Cell


def visual_stage(context: RunContext, cell: Cell) -> Outcome:
    """Compare a release with the private images it came from, the nearest ones, and the nearest strangers'."""
    release, sources = context.attacked(cell.defense, cell.seed)
    parts = context.parts(cell.seed)
    images, members = release.images, parts.members
    paired, pairing = single(sources), "source"
    if paired is None:
        paired = nearest(
            images.pixels, members.pixels, query_labels=images.labels, candidate_labels=members.labels
        ).position
        pairing = "nearest of the class"
    seed = context.seed("visual", cell.id)
    found = [compare("paired", images.pixels, members.pixels[paired], seed=seed)]
    for name, candidates in (("nearest", members), ("stranger", parts.holdout)):
        index = nearest(images.pixels, candidates.pixels).position
        found.append(compare(name, images.pixels, candidates.pixels[index], seed=seed))
    measured = tuple(m for judgement in found for m in judgement.measurements)
    absent = {name: why for judgement in found for name, why in judgement.absent.items()}
    return Outcome(Judgement(measured, absent), paired_with=pairing)
