"""What a suite will cost on this machine: steps counted, a few of them timed."""

import math
import time
from collections.abc import Callable, Iterator
from functools import cache

import torch

from leakbench.attacks.attack import Attack
from leakbench.attacks.membership.copies import Copies
from leakbench.attacks.victims.owner import DataOwner
from leakbench.attacks.view import STUDENTS, Access, of_the_teacher
from leakbench.benchmarks.stages.seen import LOOKED_FOR
from leakbench.benchmarks.suite.graph import Plan, networks_of, student_networks
from leakbench.benchmarks.suite.model import Suite
from leakbench.benchmarks.suite.spec import attack_of, defense_of, scenario_of
from leakbench.metrics.fidelity import MOST
from leakbench.metrics.local_features import MOST_POINTS, POINTS
from leakbench.metrics.local_features import SIDE as SMALLEST
from leakbench.metrics.shown import FLAT
from leakbench.reports.records import Cell
from leakbench.synth.data.datasets import DATASETS
from leakbench.synth.defense import Defense, PrivateTrainer
from leakbench.synth.defenses.generalized_matching import GeneralizedMatching
from leakbench.synth.defenses.private_inversion import PrivateInversion
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import PROBE, build
from leakbench.synth.networks.public import missing
from leakbench.synth.networks.training import Recipe, train
from leakbench.synth.seeds import seeded_rng

TIMED = 16
"""Images of a step that is timed."""
CLASSES = 10
"""Of a dataset that has not been opened."""
SECONDS_A_FEATURE, SECONDS_A_COMPARISON = 6e-5, 2e-9
"""Of one core, to find a local feature in a picture, and to compare two: of photographs of 32 to 256 pixels."""


def estimate(suite: Suite, grid: Plan, device: str) -> Iterator[tuple[Cell, float]]:
    """Each cell with its estimated seconds.

    A training step of every network is timed on random images of the suite's size; a cell costs the image passes
    that it makes. A gradient-matching step counts as four passes (it differentiates twice); what has no network in
    it (saving, comparing) counts by images. It is an estimate: within a factor of two.

    Args:
        suite: the grid's suite.
        grid: the cells.
        device: ``cpu`` or ``cuda``.
    """
    seconds = cache(lambda network: _seconds_per_image(suite, network, torch.device(device)))
    trained: set[tuple[object, ...]] = set()
    for cell in grid.cells:
        yield cell, _seconds(suite, cell, seconds, trained)


def side_of(suite: Suite) -> int:
    """Pixels a side of a suite's images, as far as that can be said without opening the dataset."""
    return suite.image_size or DATASETS[suite.dataset].side


def disk_of(suite: Suite) -> int:
    """Bytes of a run folder, at most: a PNG of a photograph takes about as much as its pixels."""
    images = 0
    for spec in suite.defenses:
        images += _released(suite, defense_of(spec))
    galleries = 10**6 * len(suite.attacks) * len(suite.defenses)
    return suite.seeds * (images * 3 * side_of(suite) ** 2 + galleries)


def _seconds_per_image(suite: Suite, network: str, device: torch.device) -> float:
    """Seconds that one image takes in one training step: the fastest of a few, whatever else the machine does."""
    side = side_of(suite)
    rng = seeded_rng("estimate")
    pixels = torch.randint(0, 256, (TIMED, 3, side, side), generator=rng, dtype=torch.uint8)
    images = Images(pixels, torch.arange(TIMED) % CLASSES, tuple(map(str, range(CLASSES))))
    model = build(network, classes=CLASSES, side=side, seed=0)

    def step() -> float:
        start = time.perf_counter()
        train(model, images, Recipe(steps=1, batch_size=TIMED), seed=0, device=device)
        return time.perf_counter() - start

    return min(step() for _ in range(5)) / TIMED


def _seconds(suite: Suite, cell: Cell, seconds, trained: set[tuple[object, ...]]) -> float:  # type: ignore[no-untyped-def]
    if PROBE in networks_of(suite, cell) and missing():
        return 0.0

    def cost(network: str, recipe: Recipe) -> float:
        return float(seconds(network)) * recipe.steps * recipe.batch_size

    if cell.task == "blind":
        return 2 * suite.sizes.members * 4e-4  # measured: 1.6 s for 4,000 images of CIFAR-10
    teacher = cost(suite.teacher.network, suite.teacher.recipe)
    if cell.task == "teacher" and suite.teacher.weights:
        return 1.0
    if cell.task in ("oracle", "teacher"):
        return teacher
    if cell.task == "release":
        return _release_seconds(suite, defense_of(cell.defense), seconds)
    if cell.task == "utility":
        return _student_seconds(suite, cell, seconds, cost)
    if cell.task == "visual":
        looked, released = 2 * min(LOOKED_FOR, suite.sizes.members), _released(suite, defense_of(cell.defense))
        # A public network takes 4 ms of a core for an image of up to 96 pixels.
        seen = 0 if missing() else min(MOST, released) + 2 * min(MOST, suite.sizes.members)
        compared = suite.sizes.members * 2e-3 + _compared(suite) + seen * 4e-3
        return compared + _copies_seconds(looked, released, side_of(suite))
    attack = attack_of(cell.method)
    if attack.family == "memorization":
        owner = suite.memorization[scenario_of(cell.method)]
        return _memorization_seconds(owner, attack, cost, trained, (cell.defense, cell.seed))
    return _attack_seconds(suite, cell, seconds, cost, trained)


def _compared(suite: Suite) -> float:
    """Seconds of comparing the pixels of as many images as there are members, each with each."""
    return (suite.sizes.members / 1e4) ** 2 * 10


def _copies_seconds(looked: int, released: int, side: int) -> float:
    """Of looking for copies of some pictures among others: to find local features, and the nearest of each."""
    # Of small pictures, which are scaled up, 125 are found; of larger ones nearly as many as may be.
    features = 125 if side < SMALLEST else min(POINTS * side**2 // SMALLEST**2, MOST_POINTS)
    queries, among = 2 * looked * features, released * features  # in the mirror as well
    # Of many, the centres of 4 sqrt(among) cells and what 48 of them hold are, the latter by four bits for two values.
    compared = among if among <= FLAT else 27 * math.isqrt(among)
    return (looked + released) * features * SECONDS_A_FEATURE + queries * compared * SECONDS_A_COMPARISON


def _released(suite: Suite, defense: Defense) -> int:
    """Images of a release; of so many a class, as if there were ten classes."""
    if hasattr(defense, "images_per_class"):
        return int(defense.images_per_class) * CLASSES
    count = getattr(defense, "num_images", "members")
    return count if isinstance(count, int) else suite.sizes.members


def _student_seconds(suite: Suite, cell: Cell, seconds, cost) -> float:  # type: ignore[no-untyped-def]
    """Of a student by the suite's recipe; of one whose defense looks at everybody once, in its own way."""
    defense = defense_of(cell.defense)
    if isinstance(defense, PrivateTrainer) and defense.architecture:
        return float(suite.sizes.members * seconds(defense.architecture))
    return float(cost(cell.method.split(":")[0], suite.student.recipe))


def _release_seconds(suite: Suite, defense: Defense, seconds: Callable[[str], float]) -> float:
    """Of an inversion: each step asks one network, in turn, some of which are trained first."""
    if isinstance(defense, PrivateInversion):
        return _private_inversion_seconds(suite, defense, seconds)
    if not defense.teacher_based:
        return suite.sizes.members * 1e-3
    further = defense.names() if isinstance(defense, GeneralizedMatching) else []
    asked = [suite.teacher.network, *further]
    # A public network is not trained, and steps of an inversion go back through all of it.
    step = sum(seconds(name) * (3 if name == PROBE else 1) for name in asked) / len(asked)
    trained = sum(seconds(name) * Recipe().batch_size * getattr(defense, "backbone_steps", 0) for name in further)
    return _released(suite, defense) * int(getattr(defense, "steps", 0)) * step + trained


def _private_inversion_seconds(suite: Suite, defense: PrivateInversion, seconds: Callable[[str], float]) -> float:
    """Of a teacher, of two looks at everybody, and of an inversion, whose steps go back through the whole network."""
    steps, looks = defense.num_images * defense.steps, 2 * suite.sizes.members
    if defense.teacher == "public":
        return 0.0 if missing() else (looks + 3 * steps) * seconds(PROBE)
    return (2 * defense.teacher_steps * defense.teacher_batch + looks + steps) * seconds(defense.network)


def _attack_seconds(suite: Suite, cell: Cell, seconds, cost, trained) -> float:  # type: ignore[no-untyped-def]
    attack = attack_of(cell.method)
    if attack.family == "membership":
        return _membership_seconds(suite, cell, attack, seconds, trained) + _shadow_seconds(
            suite, cell, attack, cost, trained
        )
    if attack.family == "gradient":
        clients = suite.gradient[scenario_of(cell.method)]
        steps = getattr(attack, "iterations", 1) * getattr(attack, "restarts", 1) * clients.local_steps
        trained = 0.0 if clients.state == "untrained" else cost(clients.network, clients.recipe)
        return float(4 * steps * clients.victims * seconds(clients.network) + trained)
    if Access.MODEL in attack.needs:
        return float(_inversion_passes(attack, trained) * seconds(student_networks(suite, defense_of(cell.defense))[0]))
    rules = suite.federation
    steps = rules.rounds * (rules.clients * rules.local_steps + getattr(attack, "generator_steps", 0))
    return float(2 * 3 * steps * rules.batch_size * seconds(rules.network))


def _inversion_passes(attack: Attack, trained: set[tuple[object, ...]]) -> float:
    """Images that pass through networks: the prior's, once, and those of the search and of its control."""
    key = ("prior", getattr(attack, "prior_steps", 0))
    prior = 0.0 if key in trained else 1.5 * 32 * key[1]
    trained.add(key)
    return float(prior + 2 * 10 * getattr(attack, "samples", 0) * getattr(attack, "iterations", 0) / 2)


def _membership_seconds(suite: Suite, cell: Cell, attack: Attack, seconds, trained) -> float:  # type: ignore[no-untyped-def]
    """Comparing everybody; where the defense is run again, its teacher, once a seed or a release, and its steps."""
    compared = _compared(suite)
    if isinstance(attack, Copies):
        released = _released(suite, defense_of(cell.defense))
        return compared + _copies_seconds(2 * suite.sizes.members, released, side_of(suite))
    if Access.RERUN not in attack.needs:
        return compared
    published = Access.TEACHER in attack.needs
    network = suite.teacher.network if published else getattr(attack, "network", suite.teacher.network)
    recipe = suite.teacher.recipe
    if attack.needs & STUDENTS:
        return float(compared + _runs(attack) * _release_passes(suite, cell) * seconds(suite.teacher.network))
    steps = recipe.steps if published else getattr(attack, "teacher_steps", recipe.steps)
    key = ("teacher of linkage", cell.seed, cell.defense if published else "")
    passes = 0 if key in trained else steps * recipe.batch_size
    trained.add(key)
    rerun = getattr(attack, "shadows", 0) * getattr(defense_of(cell.defense), "steps", 0)
    return float(compared + (passes + rerun) * seconds(network))


def _runs(attack: Attack) -> int:
    """Networks that an attack trains to compare with, canaries' own students among them."""
    own = getattr(attack, "reruns", 1) if attack.goal == "canaries" else 0
    return int(own + getattr(attack, "shadows", 0))


def _release_passes(suite: Suite, cell: Cell) -> float:
    """Images that pass through the teacher's network for a release, its training included."""
    defense = defense_of(cell.defense)
    if not defense.teacher_based:
        return 0.0
    images = getattr(defense, "num_images", suite.sizes.members)
    count = suite.sizes.members if images == "members" else int(images)
    return suite.teacher.recipe.steps * suite.teacher.recipe.batch_size + count * getattr(defense, "steps", 0)


def _shadow_seconds(suite: Suite, cell: Cell, attack: Attack, cost, trained) -> float:  # type: ignore[no-untyped-def]
    """Students or teachers of the attacker's: once a seed, or of every release where the defense is run again."""
    of_students = bool(attack.needs & STUDENTS)
    if not of_students and not of_the_teacher(attack.needs):
        return 0.0
    runs, rerun = _runs(attack), Access.RERUN in attack.needs
    key = ("shadows", of_students, cell.seed, runs, (cell.defense, cell.method) if rerun else "")
    if key in trained:
        return 0.0
    trained.add(key)
    if of_students:
        return float(runs * cost(student_networks(suite, defense_of(cell.defense))[0], suite.student.recipe))
    return float(runs * cost(suite.teacher.network, suite.teacher.recipe))


def _memorization_seconds(owner: DataOwner, attack: Attack, cost, trained, where) -> float:  # type: ignore[no-untyped-def]
    """The attacked training and the same without an attacker, each once on a release, and the sanitizing of both."""
    total = 2 * cost(owner.network, owner.fine_tuning) if owner.fine_tuning else 0.0
    extra = getattr(attack, "per_step", 0) / owner.recipe.batch_size
    for code, passes in ((attack, 1 + extra), (None, 1)):
        key = (*where, owner.network, str(owner.recipe), code)
        total += 0.0 if key in trained else passes * cost(owner.network, owner.recipe)
        trained.add(key)
    return float(total)
