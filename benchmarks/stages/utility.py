"""The stages that test networks on real images: students, the oracle, the teacher."""

from torch import Tensor, nn

from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.stages.outcome import Outcome
from leakbench.metrics.measurement import Judgement, Measurement
from leakbench.metrics.utility import accuracy
from leakbench.reports.records import Cell
from leakbench.reports.spec import parse_student
from leakbench.synth.images import Images
from leakbench.synth.networks.training import predict


def utility_stage(context: RunContext, cell: Cell) -> Outcome:
    """Train a student on a release from scratch and test it on real images."""
    asked = parse_student(cell.method)
    student = context.student(cell.defense, cell.seed, asked.network, asked.labels).network
    test = context.parts(cell.seed).test
    return Outcome(
        Judgement((_accuracy(predict(student, test.pixels, device=context.device), test, "student.accuracy"),))
    )


def oracle_stage(context: RunContext, cell: Cell) -> Outcome:
    """The oracle's own test accuracy: what its verdicts are worth."""
    return _tested(context, context.oracle(cell.seed), context.parts(cell.seed).test, "oracle.accuracy")


def teacher_stage(context: RunContext, cell: Cell) -> Outcome:
    """The test accuracy of the network that defenses read."""
    return _tested(context, context.teacher(cell.seed), context.parts(cell.seed).test, "teacher.accuracy")


def _tested(context: RunContext, network: nn.Module, test: Images, name: str) -> Outcome:
    measured = _accuracy(predict(network, test.pixels, device=context.device), test, name)
    return Outcome(Judgement((measured,)))


def _accuracy(logits: Tensor, test: Images, name: str) -> Measurement:
    variant = "on real test images, Wilson over images"
    return Measurement.percent(name, accuracy(logits, test.labels), n=len(test), better="higher", variant=variant)
