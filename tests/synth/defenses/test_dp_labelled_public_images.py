"""A head with a guarantee: what a member can change, how much noise there is, and what it learns."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leakbench.benchmarks.suite import model
from leakbench.reports.records import read_records
from leakbench.synth.defense import Resources
from leakbench.synth.defenses.differential_privacy import epsilon_of
from leakbench.synth.defenses.dp_labelled_public_images import DPLabelledPublicImages
from leakbench.synth.defenses.private_head import BIAS, clipped_sum, noisy_softmax_regression, with_constant
from leakbench.synth.defenses.public_components import PublicComponents
from leakbench.synth.networks import public
from leakbench.synth.randomness import SeededRandomness
from leakbench.synth.seeds import seeded_rng
from tests.benchmarks.conftest import run_tiny, suites

__all__ = ["suites"]


class Recorded:
    """Noise of ones, and how often it was asked for."""

    known = True

    def __init__(self, value):
        self.value, self.shapes = value, []

    def normal(self, *shape):
        self.shapes.append(shape)
        return torch.full(shape, self.value, dtype=torch.float64)


@given(st.integers(0, 2**31), st.floats(0, 1e3), st.floats(0, 1e3))
@settings(max_examples=100, deadline=None)
def test_no_image_changes_a_step_by_more_than_one(seed, error, size):
    """Whatever its features and its label are, out of range or not."""
    rng = seeded_rng("image", seed)
    errors, seen = torch.randn(5, 3, generator=rng).double(), torch.randn(5, 4, generator=rng).double()
    errors[0] *= error
    seen[0] *= size
    with_it, without = clipped_sum(errors, seen), clipped_sum(errors[1:], seen[1:])
    assert torch.linalg.matrix_norm(with_it - without) <= 1 + 1e-9


def test_short_gradients_are_left_as_they_are():
    errors, seen = torch.tensor([[0.5, -0.5]]), torch.tensor([[0.6, 0.8]])
    assert torch.allclose(clipped_sum(errors, seen), errors.T @ seen)
    assert torch.allclose(torch.linalg.matrix_norm(clipped_sum(10 * errors, seen)), torch.tensor(1.0))


@pytest.mark.parametrize("size", [0.0, 1.0, 1e6])
def test_nobodys_features_are_longer_than_one(size):
    seen = with_constant(size * torch.randn(20, 4, generator=seeded_rng("members")))
    assert seen.shape == (20, 5)
    assert (seen.norm(dim=1) <= 1 + 1e-9).all()
    assert torch.allclose(seen[:, -1], torch.full((20,), BIAS, dtype=torch.float64))


def test_public_images_that_are_all_alike_are_no_basis():
    with pytest.raises(ValueError, match="two different ones at least"):
        PublicComponents(torch.ones(30, 6), 4)


def test_components_of_rounding_are_none():
    """Copies among public images leave directions of no variance, into which whitening would throw all others."""
    few = torch.randn(5, 12, generator=seeded_rng("few"))
    basis = PublicComponents(torch.cat([few, few, few]), 10)
    seen = basis.seen(torch.randn(20, 12, generator=seeded_rng("members")))
    assert seen.shape == (20, 4)
    assert (seen.std(0) > 0.05).all()


def test_every_step_gets_noise_of_the_stated_strength():
    """One step by hand: all the weights move by the learning rate times the noise over the number of images."""
    seen, labels = torch.zeros(4, 3, dtype=torch.float64), torch.tensor([0, 1, 0, 1])
    noise = Recorded(1.0)
    settings = {"noise": 6.0, "learning_rate": 2.0, "randomness": noise}
    weights = noisy_softmax_regression(seen, labels, 2, steps=1, **settings)
    assert torch.allclose(weights, torch.full((2, 3), -2.0 * 6.0 / 4, dtype=torch.float64))
    noisy_softmax_regression(seen, labels, 2, steps=5, **settings)
    assert noise.shapes == [(2, 3)] * 6


@pytest.mark.parametrize(("epsilon", "steps"), [(1.0, 20), (8.0, 3)])
def test_all_steps_together_keep_epsilon(epsilon, steps, digits, cpu, monkeypatch):
    """By Opacus's accountant of the very noise that is added, step by step."""
    asked = []
    monkeypatch.setattr(
        "leakbench.synth.defenses.dp_labelled_public_images.noisy_softmax_regression",
        lambda seen, labels, classes, **how: asked.append((seen, how)) or torch.zeros(classes, seen.shape[1]).double(),
    )
    defense = DPLabelledPublicImages(epsilon=epsilon, steps=steps, components=4)
    some = digits.public.take(torch.arange(10))
    given = Resources(seed=0, device=cpu, public=some, randomness=SeededRandomness(3))
    defense.release(digits.members.take(torch.arange(20)), given)
    ((seen, how),) = asked
    assert (seen.norm(dim=1) <= 1 + 1e-9).all()
    assert 0.95 * epsilon < epsilon_of([(how["noise"], 1.0, how["steps"])], 1e-5) <= epsilon * 1.001
    assert how["steps"] == steps
    assert how["randomness"] is given.randomness
    assert (defense.release_claim.epsilon, defense.release_claim.gaussian) == (epsilon, True)


def test_a_head_learns_and_labels(digits, cpu):
    """With a loose guarantee it reads other digits, far better than chance; with a tight one it guesses."""

    def right(epsilon):
        given = Resources(seed=0, device=cpu, public=digits.public, randomness=SeededRandomness(0))
        release = DPLabelledPublicImages(epsilon=epsilon, components=32).release(digits.members, given)
        assert torch.equal(release.images.pixels, digits.public.pixels)
        assert torch.equal(release.soft_labels.argmax(1), release.images.labels)
        return (release.images.labels == digits.public.labels).double().mean()

    assert right(500.0) > 0.6
    assert right(0.01) < 0.35


def test_the_network_counts_among_what_it_reads():
    network = public.public_network()
    assert DPLabelledPublicImages().reads() == (network.digest,)


def test_where_no_network_is_at_hand_its_row_is_not_applicable(tmp_path, suites, monkeypatch):
    """And no failure: the release, and what would read it."""
    monkeypatch.setattr(public, "SOURCES", ())
    spec = "dp-labelled-public-images:num_images=20,components=4"
    assert run_tiny(tmp_path, "--defense", spec, "--defense", "disjoint", "--attack", "gan-leaks") == 0
    records = [r for r in read_records(tmp_path / "run" / "records.jsonl").values() if r.cell.defense == spec]
    assert {r.cell.task for r in records} == {"release", "visual", "utility", "attack"}
    assert {r.status for r in records} == {"not_applicable"}
    assert all("pip install 'leakbench[pretrained]'" in r.reason for r in records)
    monkeypatch.undo()
    monkeypatch.setattr(model, "FOLDER", suites)
    assert run_tiny(tmp_path, "--defense", spec, "--defense", "disjoint", "--attack", "gan-leaks") == 0
    records = [r for r in read_records(tmp_path / "run" / "records.jsonl").values() if r.cell.defense == spec]
    assert {r.status for r in records} == {"ok"}, "the same command computes what has been missing"


def test_without_a_network_it_says_what_is_missing(digits, cpu, monkeypatch):
    monkeypatch.setattr(public, "SOURCES", ())
    assert DPLabelledPublicImages().reads() == ()
    with pytest.raises(ValueError, match="no network trained on public photographs is at hand"):
        DPLabelledPublicImages().release(digits.members, Resources(seed=0, device=cpu, public=digits.public))
    assert replace(DPLabelledPublicImages(), epsilon=2.0).release_claim.epsilon == 2.0
