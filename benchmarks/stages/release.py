"""The stage that synthesises a release."""

from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.stages.outcome import Outcome
from leakbench.benchmarks.stages.publish import about, equipped, synthesised, synthesizer
from leakbench.metrics.measurement import Judgement, Measurement
from leakbench.reports.records import Cell


def release_stage(context: RunContext, cell: Cell) -> Outcome:
    """Synthesise a release and save it, if it shows nobody whom it does not mean to show."""
    defense = synthesizer(cell.defense)
    parts = context.parts(cell.seed)
    given = equipped(
        defense,
        seed=context.seed("defense", cell.defense, cell.seed),
        device=context.device,
        teacher=context.teacher(cell.seed) if defense.teacher_based else None,
        public=parts.public,
    )
    release = synthesised(defense, parts.members, given)
    said = about(cell.defense, defense, public=context.public, known_seed=True)
    context.folder.save_release(release, cell.defense, cell.seed, said)
    size = Measurement(name="release.images", value=float(len(release.images)), n=1, better="higher", unit="images")
    return Outcome(Judgement((size,)))
