"""What looking for copies is estimated to take."""

import pytest

from leakbench.benchmarks.suite.estimate import estimate
from leakbench.benchmarks.suite.graph import plan
from leakbench.benchmarks.suite.model import load_suite
from leakbench.metrics.shown import FLAT
from tests.benchmarks.conftest import TINY


@pytest.fixture
def seconds(suites):
    """Of one cell of a suite with so many members of so many pixels a side."""

    def of(task, members, side):
        text = TINY.replace("members = 60", f"members = {members}").replace(
            "[sizes]", f"image_size = {side}\n[sizes]", 1
        )
        (suites / "tiny.toml").write_text(text)
        suite = load_suite("tiny", defenses=("identity",), attacks=("copies",))
        (found,) = [cost for cell, cost in estimate(suite, plan(suite), "cpu") if cell.task == task]
        return found

    return of


def test_copies_among_photographs_take_longer_than_among_thumbnails(seconds):
    for task in ("visual", "attack"):
        assert seconds(task, 60, 256) > 3 * seconds(task, 60, 32)


def test_everybody_is_compared_with_everybody_until_cells_are_opened(seconds):
    """Four times as long for twice as many; beyond `FLAT` features, of which thumbnails have 125, far less."""
    most = FLAT // 125
    fourfold = seconds("attack", most, 32) / seconds("attack", most // 2, 32)
    assert 3 < fourfold <= 4
    assert seconds("attack", 2 * most, 32) < seconds("attack", most, 32)
