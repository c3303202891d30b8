"""What can be said of a run before it starts: what its attacks have room for."""

from leakbench.attacks.memorization.memorization import Memorization, Shape
from leakbench.benchmarks.suite.model import Suite
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.benchmarks.suite.spec import attack_of, scenario_of
from leakbench.synth.networks.architectures import build


def capacities(suite: Suite, image_shape: Shape, classes: int) -> list[str]:
    """What each memorization attack of a suite has room for, in a line each.

    Args:
        suite: the grid.
        image_shape: (C, H, W) of an image.
        classes: K.

    Raises:
        RequestProblems: attacks that ask for more, each with the number that fits.
    """
    lines, problems = [], []
    for spec in suite.attacks:
        attack = attack_of(spec)
        if not isinstance(attack, Memorization):
            continue
        name = suite.memorization[scenario_of(spec)].network
        network = build(name, classes=classes, side=min(image_shape[1:]), seed=0)
        fits = attack.capacity(network, image_shape, classes)
        text = attack.describe_capacity(network, image_shape, classes)
        if attack.num_images > fits:
            remedy = (
                f"ask for num_images={fits} at most"
                if fits
                else "nothing fits; take a larger network or smaller images"
            )
            problems.append(f"{spec!r}: {name} {text}; {remedy}")
        lines.append(f"{spec}: {name} {text}")
    if problems:
        raise RequestProblems(problems)
    return lines
