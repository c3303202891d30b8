"""Everything that comes with leakbench passes what `leakbench check` asks of others."""

from functools import partial

import pytest

from leakbench.benchmarks.execution import contract
from leakbench.synth.registry import defenses
from tests.synth.defenses.test_defenses import make

NAMES = sorted(defenses)


def test_there_is_something_to_check():
    assert len(NAMES) > 10


@pytest.mark.parametrize("name", NAMES)
def test_contract(name):
    assert contract.check(partial(make, name)) == ""
