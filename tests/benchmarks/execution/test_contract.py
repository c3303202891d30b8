"""Everything that comes with leakbench passes what `leakbench check` asks of others."""

from functools import partial

import pytest

from leakbench.benchmarks.execution import contract
from leakbench.synth.defenses.dp_sgd import DPSGD
from leakbench.synth.registry import defenses
from tests.synth.defenses.test_defenses import make

NAMES = sorted(defenses)


def test_there_is_something_to_check():
    assert len(NAMES) > 10


@pytest.mark.parametrize("name", NAMES)
def test_contract(name):
    assert contract.check(partial(make, name)) == ""


def test_a_network_of_its_own_must_be_one_that_there_is(monkeypatch):
    monkeypatch.setattr(DPSGD, "architecture", "resnet21")
    assert "its architecture must be one of" in contract.check(partial(make, "dp-sgd"))
    assert "got 'resnet21'" in contract.check(partial(make, "dp-sgd"))
