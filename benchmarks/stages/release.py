"""The stage that synthesises a release."""

from torch import Tensor

from leakbench.attacks.judging.truth import single
from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.stages.outcome import Outcome
from leakbench.benchmarks.stages.publish import about, equipped, synthesised, synthesizer
from leakbench.metrics.measurement import Judgement, Measurement
from leakbench.metrics.utility import accuracy
from leakbench.reports.records import Cell
from leakbench.synth.defense import Release
from leakbench.synth.networks.training import predict


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
    if not context.suite.teacher.examines:
        return Outcome(Judgement((size,)))
    examined = _examined(context, cell, release)
    return Outcome(Judgement((size, *examined.measurements), examined.absent))


def _examined(context: RunContext, cell: Cell, release: Release) -> Judgement:
    """What the teacher takes released images for: what they are labelled, and what it takes their sources for."""
    teacher, members, images = context.teacher(cell.seed), context.parts(cell.seed).members, release.images

    def answers(pixels: Tensor) -> Tensor:
        return predict(teacher, pixels, device=context.device)

    def share(name: str, labels: Tensor) -> Measurement:
        found = accuracy(said, labels)
        return Measurement.percent(name, found, n=len(images), better="higher", variant="Wilson over released images")

    said = answers(images.pixels)
    recognised, sources = share("release.recognised", images.labels), single(release.sources)
    if sources is None:
        return Judgement((recognised,), {"release.agreement": "no one private image is the source of each"})
    return Judgement((recognised, share("release.agreement", answers(members.pixels[sources]).argmax(1))))
