"""The wall as the runner builds it: nothing of the truth hangs on the views that attacks get in a real run."""

import pytest

from leakbench.attacks.attack import attacks
from leakbench.benchmarks.execution.cell import run_cell
from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.stages.leakage import scenario_for
from leakbench.benchmarks.storage.run_folder import RunFolder
from leakbench.benchmarks.storage.store import Store
from leakbench.benchmarks.suite.graph import plan
from leakbench.benchmarks.suite.model import Teacher, load_suite
from leakbench.benchmarks.suite.spec import attack_of
from leakbench.synth.data.datasets import open_pool
from leakbench.synth.data.split import split
from leakbench.synth.networks.training import Recipe
from tests.attacks.test_view import pictures, reachable, shown_on_purpose


@pytest.fixture(scope="module")
def context(tmp_path_factory, cpu):
    folder = tmp_path_factory.mktemp("run")
    suite = load_suite("quick", defenses=("disjoint",), attacks=tuple(attacks.names()))
    oracle = Teacher(network="lenet", recipe=Recipe(steps=1))
    suite = suite.model_copy(update={"teacher": oracle})
    parts = split(open_pool("digits", None, None), suite.sizes, seed=0)
    made = RunContext(
        suite, [parts].__getitem__, RunFolder(folder), Store(folder / "cache"), cpu, lambda done, total: None
    )
    made.folder.open({"identity": {}})
    release = next(cell for cell in plan(suite).cells if cell.task == "release")
    assert run_cell(made, release).status == "ok"
    return made


@pytest.mark.parametrize("name", sorted(attacks))
def test_nothing_of_the_truth_hangs_on_a_view(name, context):
    cell = next(cell for cell in plan(context.suite).cells if cell.method == name)
    attack = attack_of(name)
    scenario = scenario_for(context, cell, attack, handed_out=[].append)
    parts = context.parts(0)
    private = set().union(*(pictures(part.pixels) for part in (parts.members, parts.holdout, parts.test)))
    private -= pictures(parts.public.pixels) | pictures(parts.auxiliary.pixels)  # a digit may occur twice
    private -= shown_on_purpose(attack, parts)
    assert private & set().union(*map(pictures, reachable(scenario))), "the walk finds what is there"
    assert not private & set().union(*map(pictures, reachable(scenario.view(attack, name))))
