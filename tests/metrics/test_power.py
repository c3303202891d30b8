"""The smallest leak that would have been seen is seen as often as promised."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, norm

from leakbench.metrics.decision import DECIDES, LINKED, level
from leakbench.metrics.measurement import Measurement
from leakbench.metrics.membership import auc_excess
from leakbench.metrics.power import EXPLAINED, SEEN, Power, power, smallest, smallest_link
from leakbench.metrics.rates import clopper_pearson

NAME = DECIDES["members"]


def measured(value, low, high, name=NAME, at=0.95):
    return Measurement(name=name, value=value, low=low, high=high, n=10, better="lower", level=at)


def test_by_hand():
    """Half-width 0.0196 at 95 %: a standard error of 0.01, and 1.96 + 0.8416 of them are seen in 80 %."""
    assert smallest([[measured(0.1, 0.1 - 0.0196, 0.2)]], NAME) == pytest.approx(0.0280, abs=1e-4)
    assert smallest([[measured(0.1, None, 0.2)]], NAME) is None
    assert smallest([[]], NAME) is None
    two = [[measured(0.1, 0.0, 0.2)], [measured(-0.1, -0.2, 0.0)]]
    assert smallest(two, NAME) == pytest.approx(smallest(two[:1], NAME) / 2**0.5)


def test_a_leak_of_that_size_is_seen_as_often_as_promised():
    """Shifted normals of that area under the curve, 400 games: 80 %, give or take 3 sigma."""
    rng = np.random.default_rng(0)
    marks, at = np.arange(600) < 300, level("members")

    def game(shift):
        found = auc_excess(rng.normal(size=600) + shift * marks, marks, level=at)
        return [[measured(found.value, found.low, found.high, at=at)]]

    least = smallest(game(0.0), NAME)
    shift = float(2**0.5 * norm.ppf(0.5 + least))
    seen = sum(game(shift)[0][0].low > 0 for _ in range(400))
    assert abs(seen / 400 - SEEN) <= 3 * (SEEN * (1 - SEEN) / 400) ** 0.5


def test_words():
    explained = measured(7.0, None, None, EXPLAINED)
    silent = [[measured(0.0, -0.01, 0.01), explained]]
    found = power(silent, "members", [[measured(0.4, 0.3, 0.5)]])
    assert (found.first, found.identity, found.weak) == (8, pytest.approx(0.4), False)
    assert str(found) == "from AUC 0.514 or 8 before every other; identity: AUC 0.900"
    assert str(power(silent, "members")) == found.least == "from AUC 0.514 or 8 before every other"
    assert str(power([[measured(0.0, -0.01, 0.01, "private.ssim.excess")]], "private")) == "from SSIM +0.014"
    assert power([[explained]], "members") is None
    assert Power("members", 0.1, 1, None).least == "from AUC 0.600 or 1 before every other"


@pytest.mark.parametrize(
    ("least", "identity", "weak"),
    [(0.001, 0.02, True), (0.001, 0.051, False), (0.1, 0.19, True), (0.1, 0.21, False), (0.1, None, False)],
)
def test_an_attack_that_shows_little_where_everything_is_published_is_weak(least, identity, weak):
    found = Power("members", least, None, identity)
    assert found.weak is weak
    assert str(found).endswith(", weak") is weak


def linked(hits, trials, chance, at):
    found = clopper_pearson(hits, trials, level=at)
    excess = measured(found.value - chance, found.low - chance, found.high - chance, LINKED, at)
    return [[replace(excess, n=trials), measured(chance, chance, chance, "linkage.top-1.control")]]


@pytest.mark.parametrize(("trials", "chance"), [(500, 1 / 2000), (10, 0.5), (40, 0.1), (2, 0.5)])
def test_the_smallest_share_of_links_that_would_have_been_seen(trials, chance):
    """As few as decide by their own interval, whatever was found; of a true rate so large that 80 % show as many."""
    at = level("members")
    rate, count = smallest_link(linked(0, trials, chance, at))
    assert count == trials
    assert rate == smallest_link(linked(trials, trials, chance, at))[0]
    decide = [k for k in range(trials + 1) if clopper_pearson(k, trials, level=at).low > chance]
    if not decide:
        assert rate == 1, "two links never decide where chance is a half"
        return
    assert binom.sf(decide[0] - 1, trials, rate) == pytest.approx(SEEN)


def test_no_links_and_no_width_are_not_known():
    assert smallest_link([[measured(0.0, -0.1, 0.1)]]) is None
    assert smallest([[measured(0.0, 0.0, 0.0)]], NAME) is None, "where all are equal the interval is a point"
