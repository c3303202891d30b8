"""What decides is written down twice: here, and where it is decided."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakbench.metrics import decision
from leakbench.metrics.decision import (
    ALSO_DECIDES,
    DECIDES,
    FAMILY,
    LEAKS,
    MUST_BE_SILENT,
    NOTHING,
    alarm_probability,
    control,
    deciding,
    detected,
    exceeds,
    level,
    outcome,
    pooled,
    shown,
)
from leakbench.metrics.measurement import Measurement


def excess(value, low, high=None, name=DECIDES["members"], **more):
    return Measurement(name=name, value=value, low=low, high=high, n=10, better="lower", **more)


LOUD, SILENT = [[excess(0.3, 0.2, 0.4)]], [[excess(0.0, -0.1, 0.1)]]


def test_what_decides_whether_members_leak():
    assert set(deciding("members")) == {
        "members.auc.excess",
        "members.tpr-at-1.excess",
        "members.tpr-at-0.1.excess",
        "members.tp-at-0-fpr.excess",
        "members.epsilon.excess",
        "linkage.top-1.excess",
    }
    assert set(deciding("private")) == {
        "private.ssim.excess",
        "source.identification.excess",
        "linked.statistics.excess",
    }
    assert deciding("trained") == ("trained.ssim.excess",)
    assert deciding("class") == ("class.oracle.excess",)
    assert {*DECIDES.values(), *(name for names in ALSO_DECIDES.values() for name in names)} == {
        name for question in DECIDES for name in deciding(question)
    }


def test_those_who_share_a_question_share_its_alarms():
    assert level("members") == pytest.approx(1 - 0.05 / 6)
    assert level("members", 0.01) == pytest.approx(1 - 0.01 / 6)
    assert level("private") == pytest.approx(1 - 0.05 / 3)
    assert level("trained") == level("class") == pytest.approx(0.95)


def test_whatever_asks_after_members_must_be_silent_on_disjoint():
    assert {questions[-1] for questions in FAMILY.values()} <= MUST_BE_SILENT
    assert FAMILY == {"gan": ("class", "private"), "membership": ("members",)}
    assert not MUST_BE_SILENT & {"trained", "class"}


def test_pooling_by_hand():
    """Means 0.2 and 0.4; half-widths 0.1 and 0.1 add to sqrt(0.02), halved: 0.0707."""
    mean = pooled([excess(0.2, 0.1, 0.3, p=0.5), excess(0.4, 0.3, 0.5)])
    assert (mean.value, mean.n, mean.p) == (pytest.approx(0.3), 20, None)
    assert (mean.low, mean.high) == (pytest.approx(0.3 - 0.1 / math.sqrt(2)), pytest.approx(0.3 + 0.1 / math.sqrt(2)))
    bound = pooled([excess(1.0, 1.0), excess(2.0, 2.0)])
    assert (bound.low, bound.high) == (1.5, None), "a bound has a lower end only"
    assert pooled([excess(0.2, None, 0.3), excess(0.4, 0.3, 0.5)]).low is None
    assert pooled([excess(0.2, 0.1, 0.3, p=0.5)]).p == 0.5
    assert pooled([]) is None


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 1)), min_size=1, max_size=5))
def test_pooling_narrows_and_never_leaves_the_values(seeds):
    found = [excess(value, value - half, value + half) for value, half in seeds]
    mean = pooled(found)
    assert min(v for v, _ in seeds) - 1e-9 <= mean.value <= max(v for v, _ in seeds) + 1e-9
    assert mean.value - mean.low <= max(half for _, half in seeds) + 1e-9
    assert mean.high - mean.value == pytest.approx(mean.value - mean.low)


def test_a_question_is_answered_by_anything_that_decides_in_every_seed():
    assert detected(LOUD, "members") is True
    assert detected(SILENT, "members") is False
    assert detected([], "members") is None
    assert detected([[], *LOUD], "members") is None, "no averages over survivors"
    assert detected([[excess(0.3, None)]], "members") is None
    below = [[excess(-0.3, -0.4, -0.2)]]
    assert detected(below, "members") is True, "who scores lower than chance is given away as well"
    other = [[replace(m, name=DECIDES["private"]) for m in seed] for seed in below]
    assert detected(other, "private") is False, "but not who is less like members"
    for name in ALSO_DECIDES["members"]:
        assert detected([[*SILENT[0], excess(1.0, 0.5, None, name)]], "members") is True
        assert detected([[*SILENT[0], excess(1.0, 0.0, None, name)]], "members") is False, "0 is not above 0"
    one_of_two = [[excess(0.5, 0.4, 0.6)], [excess(-0.05, -0.06, -0.04)]]
    assert detected(one_of_two, "members") is False, "the mean is above 0, a seed is not"


def test_what_controls_must_show():
    good = control("members", LOUD, SILENT)
    assert (good.power, good.silence, good.validated) == (True, True, True)
    assert str(good) == "validated: AUC 0.800 on identity"
    assert control("members", SILENT, SILENT).why == "no power shown on identity"
    assert control("members", [], SILENT).why == "identity not measured"
    assert control("members", LOUD, []).why == "disjoint not measured"
    assert control("members", LOUD, []).silence is None
    assert control("members", LOUD, LOUD).why == "false alarm on disjoint"
    assert control("members", SILENT, LOUD).why == "no power shown on identity, false alarm on disjoint"
    assert str(control("members", LOUD, LOUD)) == "not validated: false alarm on disjoint"
    apart = [[excess(0.1, 0.05, 0.15, decision.BLIND_CONTROL)]]
    assert control("members", LOUD, SILENT, apart).why == "members and holdout can be told apart without the release"
    alike = [[excess(0.1, -0.05, 0.25, decision.BLIND_CONTROL)]]
    assert control("members", LOUD, SILENT, alike).validated


def test_a_blind_control_that_failed_controls_nothing():
    assert control("members", LOUD, SILENT, None).why == "the blind control failed"
    assert control("trained", renamed(LOUD, DECIDES["trained"]), [], None).validated


def renamed(seeds, name):
    return [[replace(m, name=name) for m in seed] for seed in seeds]


def test_controls_of_questions_that_are_not_on_members():
    worked = control("trained", renamed(LOUD, DECIDES["trained"]), [])
    assert worked.validated
    assert worked.silence is None
    assert worked.reached == "SSIM +0.300"
    below = renamed([[excess(-0.3, -0.4, -0.2)]], DECIDES["private"])
    private = control("private", renamed(LOUD, DECIDES["private"]), below)
    assert private.why == "members and holdout are not exchangeable on disjoint"
    just = renamed([[excess(-0.3, -0.6, 0.0)]], DECIDES["private"])
    assert control("private", renamed(LOUD, DECIDES["private"]), just).validated


def test_words():
    assert outcome(True, control("members", LOUD, SILENT)) == LEAKS
    assert outcome(False, control("members", LOUD, SILENT)) == NOTHING
    assert outcome(True, control("members", SILENT, SILENT)) == "not validated: no power shown on identity"
    assert shown("members", 0.014) == "AUC 0.514"
    assert shown("private", 0.014) == shown("trained", 0.014) == "SSIM +0.014"
    assert shown("class", -0.1) == "rate -0.100"


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ({"members.auc.excess": (0.3, 0.2, 0.4)}, True),
        ({"members.auc.excess": (-0.3, -0.4, -0.2)}, True),
        ({"members.auc.excess": (0.1, 0.05, 0.15)}, False),
        ({"members.tpr-at-1.excess": (0.3, 0.2, 0.4)}, True),
        ({"members.tpr-at-0.1.excess": (0.3, 0.2, 0.4)}, True),
        ({"members.tp-at-0-fpr.excess": (3.0, 2.0, 4.0)}, True),
        ({"members.tp-at-0-fpr.excess": (1.0, 1.0, 4.0)}, False),
        ({"members.epsilon.excess": (3.0, 3.0, None)}, False),
        ({"members.auc.excess": (0.2, 0.1, 0.3)}, False),
        ({"members.auc.excess": (-0.2, -0.3, -0.1)}, False),
    ],
)
def test_a_tolerance_is_of_rates_and_shares(measured, expected):
    """A tenth: of an AUC's distance from chance, of a rate, of the candidates that come first (10 here)."""
    whole = {DECIDES["members"]: (0.0, -0.1, 0.1), "members.tp-at-0-fpr.excess": (0.0, -5.0, 0.0)} | measured
    assert exceeds([excess(*ends, name=name) for name, ends in whole.items()], 0.1) is expected


def test_the_chance_of_as_loud_an_answer():
    """The least p-value times how many may decide."""
    names = deciding("members")
    seed = [excess(0.1, 0.0, None, name, p=0.01 * (k + 1)) for k, name in enumerate(names)]
    assert alarm_probability(seed, "members") == pytest.approx(0.06)
    assert alarm_probability(seed[5:], "members") == pytest.approx(0.36)
    assert alarm_probability([replace(seed[0], p=0.5)], "members") == 1
    assert alarm_probability(LOUD[0], "members") is None
    assert alarm_probability([excess(0.1, 0.0, None, "members.auc.attack", p=0.001)], "members") is None
