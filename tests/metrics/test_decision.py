"""What decides is written down twice: here, and where it is decided."""

import pytest

from leakbench.metrics.decision import ALSO_DECIDES, DECIDES, FAMILY, MUST_BE_SILENT, level


def test_what_decides_whether_members_leak():
    assert {DECIDES["members"], *ALSO_DECIDES["members"]} == {
        "members.auc.excess",
        "members.tpr-at-1.excess",
        "members.tpr-at-0.1.excess",
        "members.tp-at-0-fpr.excess",
        "members.epsilon.excess",
        "linkage.top-1.excess",
    }
    assert {DECIDES["private"], *ALSO_DECIDES["private"]} == {"private.ssim.excess", "source.identification.excess"}


def test_those_who_share_a_question_share_its_alarms():
    assert level("members") == pytest.approx(1 - 0.05 / 6)
    assert level("members", 0.01) == pytest.approx(1 - 0.01 / 6)
    assert level("private") == pytest.approx(1 - 0.05 / 2)
    assert level("trained") == level("class") == pytest.approx(0.95)


def test_whatever_asks_after_members_must_be_silent_on_disjoint():
    assert {questions[-1] for questions in FAMILY.values()} <= MUST_BE_SILENT
    assert not MUST_BE_SILENT & {"trained", "class"}
