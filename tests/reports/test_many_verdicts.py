"""Many verdicts at once: how many are false alarms, adjusted p-values, and the blind control beside them."""

from dataclasses import replace

import pytest
from scipy.stats import combine_pvalues

from leakbench.metrics.decision import ALARMS, BLIND_CONTROL, deciding
from leakbench.reports.content import content
from leakbench.reports.leakage import blind_words, expected_alarms, leakage
from leakbench.reports.sentences import sentence
from leakbench.reports.verdicts import Results
from tests.reports.test_tables import figure, members, record

DEFENSES = ("identity", "disjoint", "noise", "blur", "mixup")


def with_p(found, p):
    """The same record with this p-value of its AUC."""
    changed = [replace(m, p=p) if m.name == "members.auc.excess" else m for m in found.measurements]
    return replace(found, measurements=tuple(changed))


def run(*p_values, seed=0, blind=None):
    excesses = (0.5, 0.0, 0.3, 0.05, 0.0)
    found = [members(d, e, 0.0) for d, e in zip(DEFENSES, excesses, strict=True)]
    found = [replace(with_p(r, p), cell=replace(r.cell, seed=seed)) for r, p in zip(found, p_values, strict=True)]
    more = [] if blind is None else [record("", "blind", "", [figure(BLIND_CONTROL, *blind, level=0.98)], seed=seed)]
    return [*more, *found]


def column(results, name):
    table = leakage(results, "membership")
    where = table.columns.index(name)
    return {row[0]: row[where] for row in table.rows}


def test_adjusted_p_by_hand():
    """Six may decide, so each p counts six times; of three rows under test the k-th smallest counts 3 / k times."""
    assert len(deciding("members")) == 6
    shown = column(Results(run(0.0, 0.9, 0.001, 0.01, 0.02)), "adjusted p")
    assert shown == {"identity": "n/a", "disjoint": "n/a", "noise": "0.018", "blur": "0.09", "mixup": "0.12"}
    assert set(
        column(Results([members(d, 0.5 * (d == "identity"), 0.0) for d in DEFENSES]), "adjusted p").values()
    ) == {"n/a"}, "of records without p-values"


def test_seeds_are_combined():
    results = Results([*run(0.0, 0.9, 0.001, 0.01, 0.02), *run(0.0, 0.9, 0.01, 0.01, 0.02, seed=1)])
    assert results.alarm_probability("noise", "gan-leaks") == pytest.approx(combine_pvalues([0.006, 0.06]).pvalue)
    lacking = Results([*run(0.0, 0.9, 0.001, 0.01, 0.02), *run(0.0, 0.9, None, 0.01, 0.02, seed=1)])
    assert lacking.alarm_probability("noise", "gan-leaks") is None


def test_so_many_alarms_are_expected(tmp_path):
    results = Results(run(0.0, 0.9, 0.001, 0.01, 0.02))
    said = "3 verdicts on members of defenses under test, each a false alarm with a probability of 0.05 at most: 0.15"
    assert expected_alarms(3).startswith(said)
    assert ALARMS == 0.05
    assert any(note.startswith(said) for note in leakage(results, "membership").notes)
    about = {"suite": {"name": "s", "dataset": "d"}}
    assert said in content(results, about, tmp_path)["controls"][0]
    assert results.verdicts_on_members() == [(d, "gan-leaks") for d in DEFENSES[2:]]


def test_a_split_that_is_not_sound_validates_nothing(tmp_path):
    sound, broken = (Results(run(0.0, 0.9, 0.001, 0.01, 0.02, blind=b)) for b in ((0.0, -0.1, 0.1), (0.2, 0.1, 0.3)))
    assert sound.member_verdict("noise", "gan-leaks") == "leaks"
    why = "not validated: members and holdout can be told apart without the release"
    assert broken.member_verdict("noise", "gan-leaks") == why
    assert "cannot be told apart without the release (AUC 0.500" in blind_words(sound)
    assert "CAN be told apart without the release (AUC 0.700" in blind_words(broken)
    assert "CAN be told apart" in content(broken, {"suite": {"name": "s", "dataset": "d"}}, tmp_path)["controls"][0]
    assert any("CAN be told apart" in note for note in leakage(broken, "membership").notes)
    assert broken.verdicts_on_members() == []


def test_canaries_need_no_split():
    """The attacker has drawn them itself."""
    records = [
        replace(r, attacked=replace(r.attacked, goal="canaries")) if r.attacked else r
        for r in run(0.0, 0.9, 0.001, 0.01, 0.02, blind=(0.2, 0.1, 0.3))
    ]
    assert Results(records).member_verdict("noise", "gan-leaks") == "canaries found"


def test_too_few_images_for_a_blind_control():
    few = record("", "blind", "", [], absent={BLIND_CONTROL: "it takes 10 members and as many others"})
    records = [few, *run(0.0, 0.9, 0.001, 0.01, 0.02)]
    assert blind_words(Results(records)) == "Blind control: n/a: it takes 10 members and as many others."
    assert Results(records).member_verdict("noise", "gan-leaks") == "leaks"


def test_a_blind_control_that_failed():
    records = [record("", "blind", "", [], status="failed", reason="x"), *run(0.0, 0.9, 0.001, 0.01, 0.02)]
    assert blind_words(Results(records)) == "Blind control: failed."
    assert Results(records).member_verdict("noise", "gan-leaks") == "not validated: the blind control failed"


def test_attacks_of_one_power_are_named_together_and_weak_ones_apart():
    """On the first page and in T8: who sees next to nothing on identity is no equal of who sees everything there."""
    records = [
        members(d, e, 0.0, method=name)
        for name, on_identity in (("strong", 0.5), ("like", 0.5), ("dull", 0.12))
        for d, e in (("identity", on_identity), ("disjoint", 0.0), ("noise", 0.0))
    ]
    least = "from AUC 0.643"
    said = Results(records).silent("noise", ["strong", "like", "dull"])
    assert said == f"strong, like (each {least}), dull ({least}, weak)"
    assert said in sentence(Results(records), "noise")
