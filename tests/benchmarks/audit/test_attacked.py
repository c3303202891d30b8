"""Leaks that are confined to one class, and differences that are no leak."""

import re

import pytest
import torch

from leakbench.attacks.membership.density_ratio import NoDensity
from leakbench.benchmarks.audit import attacked, members
from leakbench.benchmarks.audit.attacked import FEWEST_OF_CLASS, Attacked, by_class
from leakbench.benchmarks.audit.folders import open_folders
from leakbench.benchmarks.audit.members import ATTACKS, Trial, judged, leaks
from leakbench.benchmarks.audit.verdict import audit
from leakbench.metrics.decision import ALARMS, LEAKS
from leakbench.synth.defense import Resources
from leakbench.synth.images import Images, Split
from leakbench.synth.networks import public
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import seeded_rng
from tests.benchmarks.audit.test_audit import saved
from tests.pictures import pictures

CLASSES = ("few", "many", "most")
COUNTS = (10, 60, 130)
"""Of each class, on either side."""


def images(name, classes=CLASSES):
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(COUNTS)) % len(classes)
    mixed = torch.randperm(len(labels), generator=seeded_rng(name))
    return Images(pictures(name, len(labels)), labels[mixed], classes)


def split(classes=CLASSES):
    own = images("own", classes)
    return Split(members=images("in", classes), holdout=images("out", classes), auxiliary=own, public=own, test=own)


def run_of(trial, scores):
    members = 1000 + torch.arange(len(trial.parts.members))
    return Attacked("nearest", "nearest", trial, members, scores, judged(scores, trial))


def test_a_leak_of_one_class_is_seen_there_alone():
    trial = Trial.of(split(), 0, 1)
    labels = torch.cat([trial.parts.members.labels, trial.parts.holdout.labels])[trial.order]
    private = trial.order < len(trial.parts.members)
    scores = torch.randn(len(labels), generator=seeded_rng("scores"), dtype=torch.float64)
    scores += 1.2 * (private & (labels == 1))
    whole = run_of(trial, scores)
    many, most = by_class(whole)
    assert not leaks(whole.measured)
    assert leaks(many.measured)
    assert not leaks(most.measured)
    assert many.label == "nearest, class 'many'"


def test_candidates_of_a_class_are_its_own():
    """Who they are, what they scored, and how few false alarms there may be."""
    trial = Trial.of(split(), 3, 1)
    assert trial.alarms == pytest.approx(ALARMS / (len(ATTACKS) + 1) / 2)
    scores = torch.arange(len(trial.order), dtype=torch.float64)
    for one, label in zip(by_class(run_of(trial, scores)), (1, 2), strict=True):
        assert one.trial.alarms == pytest.approx(trial.alarms / 2), "few have none of their own"
        assert set(one.trial.parts.members.labels.tolist()) == {label}
        assert set(one.trial.parts.holdout.labels.tolist()) == {label}
        assert torch.equal(one.members, 1000 + (trial.parts.members.labels == label).nonzero().flatten())
        shown = one.trial.parts.candidates(one.trial.order)
        before = trial.parts.candidates(trial.order)
        assert torch.equal(shown.pixels, before.pixels[one.scores.long()])
        private = trial.order[one.scores.long()] < len(trial.parts.members)
        assert torch.equal(one.trial.order < len(one.members), private)


@pytest.mark.parametrize("games", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_scores_that_know_nothing_keep_the_rate_with_classes(games):
    """Of one attack: half for all candidates, half for its classes; and three standard deviations."""
    trial, told = Trial.of(split(), 0, 1), 0
    for game in range(games):
        run = run_of(trial, torch.randn(len(trial.order), generator=seeded_rng("null", game), dtype=torch.float64))
        told += leaks(run.measured) or any(leaks(one.measured) for one in by_class(run))
    rate = 2 * trial.alarms
    assert told <= games * rate + 3 * (games * rate * (1 - rate)) ** 0.5


def test_without_classes_there_is_nothing_to_look_at():
    trial = Trial.of(split(("image",)), 0, 1)
    assert trial.alarms == pytest.approx(ALARMS / (len(ATTACKS) + 1))
    assert not list(by_class(run_of(trial, torch.zeros(len(trial.order), dtype=torch.float64))))
    assert COUNTS[0] < FEWEST_OF_CLASS


def test_what_differs_within_a_class_is_no_leak(monkeypatch):
    monkeypatch.setattr(attacked, "stand_in", lambda *given: False)
    trial = Trial.of(split(), 0, 1)
    run = run_of(trial, torch.zeros(len(trial.order), dtype=torch.float64))
    (many, _) = by_class(run)
    assert not many.explained()
    many.trial.parts.members.pixels.div_(2, rounding_mode="floor")
    assert many.explained()


def test_a_network_at_hand_is_looked_through_and_its_lack_is_said(tmp_path, monkeypatch, no_public_network):
    for name in ("private", "released", "holdout"):
        saved(tmp_path / name, pictures(name, 60))
    places = [tmp_path / name for name in ("private", "released", "holdout")]
    without = audit(open_folders(*places))
    assert any(r.startswith("nearest:space=pretrained: not run: no network trained on public") for r in without.reasons)
    assert "nearest:space=pretrained" not in set(without.figures["attack"])
    monkeypatch.setattr(public, "SOURCES", no_public_network)
    seen = audit(open_folders(*places))
    assert any(reason.startswith("nearest:space=pretrained: does not tell private") for reason in seen.reasons)
    assert "nearest:space=pretrained" in set(seen.figures["attack"])
    quick = audit(open_folders(*places, details=False))
    assert any(reason.startswith("nearest:space=pretrained: not run: quick") for reason in quick.reasons)
    assert seen.verdict == without.verdict


@pytest.mark.slow
def test_the_audit_names_the_class(tmp_path):
    """One class is published with noise that hides it from the search for copies."""
    for name in ("private", "released", "holdout"):
        saved(tmp_path / name, pictures(name, 240))
    clean = audit(open_folders(*(tmp_path / name for name in ("private", "released", "holdout"))))
    (said,) = (
        reason for reason in clean.reasons if reason.startswith("by class: attacks tell somebody in 0 of 10 trials")
    )
    assert float(re.search(r"would have been seen from AUC (0\.\d+)", said)[1]) > 0.6, "of so few, only a large one"
    noisy = pictures("private", 240)[1::2].int()
    noisy += torch.randint(-40, 41, noisy.shape, generator=seeded_rng("noise"))
    saved(
        tmp_path / "released",
        torch.stack([pictures("released", 240)[0::2], noisy.clamp(0, 255).byte()], 1).flatten(0, 1),
    )
    found = audit(open_folders(*(tmp_path / name for name in ("private", "released", "holdout"))))
    assert {part.question: part.verdict for part in found.parts}["membership"] == LEAKS
    assert any(reason.startswith("nearest, class '1': tells private images") for reason in found.reasons)
    assert not any("class '0': tells" in reason for reason in found.reasons)


def test_mixtures_are_a_leak(tmp_path):
    """Private pictures are published two by two, with public ones, the sign of every pixel at random: InstaHide."""
    private, holdout, public = (pictures(name, 160) for name in ("private", "holdout", "public"))
    own, others = (Images(part, torch.zeros(160, dtype=torch.long), ("image",)) for part in (private, public))
    given = Resources(public=others, seed=0, device=torch.device("cpu"))
    mixed = defenses["instahide"]().release(own, given).images.pixels
    found = audit(open_folders(private, mixed, holdout))
    assert found.verdict == LEAKS
    assert any(reason.startswith("mixture-linkage: tells private images") for reason in found.reasons)
    assert not len(found.copies)


def test_where_nothing_can_be_estimated_nothing_is_excused(monkeypatch):
    """Half of a small class may be too few for a density: what was found stands."""
    trial = Trial.of(split(), 0, 1)
    run = run_of(trial, (trial.order < len(trial.parts.members)).double())
    assert members.leaks(run.measured)

    def too_few(*given):
        raise NoDensity("13 images are too few")

    monkeypatch.setattr(members, "from_release", too_few)
    assert not members.stand_in("density-ratio", trial, run.measured)
