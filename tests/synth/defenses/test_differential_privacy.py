"""Guarantees: the noise is what it should be, clipping clips, and the accounting is Opacus's and the textbook's."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from torch import nn

from leakbench.synth.defense import PrivateTrainer, Resources
from leakbench.synth.defenses import differential_privacy
from leakbench.synth.defenses.differential_privacy import (
    COUNTED,
    PrivateTraining,
    epsilon_of,
    noise_multiplier_within_budget,
    noisy_class_means,
    without_batch_norm,
)
from leakbench.synth.defenses.dp_bn_matching import DPBNMatching
from leakbench.synth.defenses.dp_merf import DPMerf, random_features
from leakbench.synth.defenses.dp_sgd import DPSGD
from leakbench.synth.defenses.dp_statistic_sampling import DPStatisticSampling
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import predict
from leakbench.synth.randomness import SeededRandomness
from leakbench.synth.seeds import seeded, seeded_rng

SMALL = {"num_images": 20, "steps": 2, "teacher_steps": 1, "teacher_batch": 200, "batch_size": 10}


def delta_of(epsilon, sigma):
    """Of one Gaussian mechanism with sensitivity 1, exactly (Balle and Wang, arXiv 1805.06530, theorem 8)."""
    first, second = 1 / (2 * sigma) - epsilon * sigma, -1 / (2 * sigma) - epsilon * sigma
    return norm.cdf(first) - math.exp(epsilon) * norm.cdf(second)


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0])
def test_the_noise_of_one_look_is_the_textbooks(epsilon):
    sigma = noise_multiplier_within_budget((), epsilon, 1e-5)
    assert delta_of(epsilon, sigma) <= 1e-5, "it promises no more than it keeps"
    assert delta_of(epsilon, sigma * 0.95) > 1e-5, "and wastes little"


def test_a_teacher_and_a_look_keep_the_whole_epsilon():
    spent = PrivateTraining(epsilon=2.0, steps=50, batch_size=20).spend(400)
    assert spent[1:] == (0.05, 50)
    assert 1.96 < epsilon_of([spent], 1e-5) <= 2.0
    noise = noise_multiplier_within_budget((spent,), 3.0, 1e-5)
    assert 2.9 < epsilon_of([spent, (noise, 1.0, 1)], 1e-5) <= 3.0
    assert epsilon_of([spent, (noise / 1.1, 1.0, 1)], 1e-5) > 3.0


def test_a_budget_that_is_spent_is_a_sentence():
    spent = PrivateTraining(epsilon=2.0, steps=50, batch_size=20).spend(400)
    with pytest.raises(ValueError, match=r"epsilon 1 leaves nothing for one noisy look; 1\.9\d* of it is spent"):
        noise_multiplier_within_budget((spent,), 1.0, 1e-5)


@given(st.integers(0, 10**6), st.integers(0, 2), st.integers(0, 2))
@settings(max_examples=30, deadline=None)
def test_no_image_changes_the_sums_by_more_than_one(seed, label, other):
    """With no noise the released rows are recovered: sums of two datasets that differ in an image differ by <= 1."""
    rng = torch.Generator().manual_seed(seed)
    vectors, labels = 5 * torch.randn(8, 6, generator=rng), torch.randint(0, 3, (8,), generator=rng)
    labels[0] = label

    def sums(keep):
        means = noisy_class_means(vectors[keep], labels[keep], 3, clip=2.0, noise=0.0, randomness=SeededRandomness("x"))
        counts = torch.bincount(labels[keep], minlength=3)[:, None].double()
        return torch.cat([means / 2.0 * counts * (1 - COUNTED**2) ** 0.5, counts * COUNTED], 1)

    assert (sums(slice(None)) - sums(slice(1, None))).norm() <= 1 + 1e-6


def test_the_noise_has_the_stated_strength():
    """Of 2,000 zero vectors: what remains is the noise, scaled back by the count."""
    vectors, labels = torch.zeros(2000, 400), torch.zeros(2000, dtype=torch.long)
    found = noisy_class_means(vectors, labels, 1, clip=3.0, noise=7.0, randomness=SeededRandomness("noise"))
    expected = 7.0 / (1 - COUNTED**2) ** 0.5 / 2000 * 3.0
    assert found.std().item() == pytest.approx(expected, rel=0.1)


def test_without_noise_means_are_means_and_long_vectors_are_shortened():
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [30.0, 40.0]])
    found = noisy_class_means(
        vectors, torch.tensor([0, 0, 1]), 2, clip=5.0, noise=0.0, randomness=SeededRandomness("x")
    )
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5], [3.0, 4.0]]).double())


def test_dp_sgd_adds_noise_of_the_stated_strength(digits, cpu):
    """One step with a gradient of zero (no image is drawn): parameters move by noise times clip over the batch."""

    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    training = PrivateTraining(epsilon=1.0, steps=1, batch_size=1, clip=2.0, learning_rate=1.0)
    few = digits.members.take(torch.arange(200))
    before = network[1].weight.detach().clone()
    noise, rate, _ = training.spend(200)
    assert rate == 1 / 200
    after = training.train(network, few, Resources(seed=3, device=cpu))[1].weight.detach()
    assert (after - before).std().item() == pytest.approx(noise * 2.0, rel=0.1)


def test_gradients_are_clipped_and_summed_a_part_at_a_time(digits, cpu, monkeypatch):
    """However many are held together, the step is the same, and the noise is drawn once."""
    training, trained = PrivateTraining(epsilon=5.0, steps=3, batch_size=40), []
    for size in (7, 1000):
        monkeypatch.setattr(differential_privacy, "AT_ONCE", size)
        network = training.train(
            build("lenet", classes=10, side=32, seed=0), digits.members, Resources(seed=1, device=cpu)
        )
        trained.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    torch.testing.assert_close(*trained, rtol=1e-4, atol=1e-5)


def test_batch_norm_goes_and_the_rest_stays():
    network = build("resnet20", classes=10, side=32, seed=0)
    private = without_batch_norm(network)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in private.modules())
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()), "the one that was given is as it was"


@pytest.mark.parametrize("name", ["lenet", "resnet20"])
def test_networks_learn_with_a_guarantee(name, digits, cpu):
    defense = DPSGD(epsilon=50.0, steps=3, batch_size=40)
    fresh = build(name, classes=10, side=32, seed=0)
    trained = defense.train(fresh, digits.members, Resources(seed=0, device=cpu))
    defense.prepared(fresh).load_state_dict(trained.state_dict())
    again = defense.train(build(name, classes=10, side=32, seed=0), digits.members, Resources(seed=0, device=cpu))
    assert torch.equal(*(predict(network, digits.test.pixels, device=cpu) for network in (trained, again)))


@pytest.mark.slow
def test_a_student_with_a_loose_guarantee_reads_digits(digits, cpu):
    defense = DPSGD(epsilon=50.0, steps=150, batch_size=60, learning_rate=0.5)
    trained = defense.train(
        build("convnet3", classes=10, side=32, seed=0), digits.members, Resources(seed=0, device=cpu)
    )
    right = predict(trained, digits.test.pixels, device=cpu).argmax(1) == digits.test.labels
    assert right.float().mean() > 0.7


@pytest.mark.parametrize(
    "defense", [DPSGD(epsilon=3.0), DPMerf(epsilon=3.0), DPBNMatching(epsilon=3.0), DPStatisticSampling(epsilon=3.0)]
)
def test_the_claim_is_the_parameters(defense):
    claim = defense.student_claim if isinstance(defense, PrivateTrainer) else defense.release_claim
    assert (claim.kind, claim.epsilon, claim.delta) == ("differential-privacy", 3.0, 1e-5)
    assert claim.relation == "add/remove one image"


@pytest.mark.parametrize(
    ("kind", "start"), [pytest.param(DPBNMatching, "noise", marks=pytest.mark.slow), (DPStatisticSampling, "public")]
)
def test_private_inversions_release_as_many_images_as_asked_for(kind, start, digits, cpu):
    drawn = {"teacher_batch": 40} if kind is DPBNMatching else {}  # Poisson batches, which are dear to account for
    release = kind(**SMALL | drawn, start=start).release(
        digits.members, Resources(teacher=None, public=digits.public, seed=0, device=cpu)
    )
    assert release.images.pixels.shape == (20, 3, 32, 32)
    assert release.sources is None
    assert release.images.labels.bincount().tolist() == [2] * 10


def test_random_features_approach_the_kernel():
    x = torch.randn(5, 4, generator=seeded_rng("x", 0))
    features = random_features(x, torch.randn(4, 50000, generator=seeded_rng("f", 0)))
    torch.testing.assert_close(features @ features.T, (-torch.cdist(x, x).square() / 2).exp(), atol=0.02, rtol=0)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(5))


@pytest.mark.slow
def test_a_generator_learns_the_classes(digits, cpu):
    """Nearest class mean of members: what DP-MERF makes of a class is that class, with a loose guarantee."""
    defense = DPMerf(epsilon=100.0, num_images=100, steps=300, features=2000)
    made = defense.release(digits.members, Resources(teacher=None, public=digits.public, seed=0, device=cpu)).images
    means = torch.stack([digits.members.of_class(k).float().mean(0) for k in range(10)]).flatten(1)
    nearest = torch.cdist(made.float().flatten(1), means).argmin(1)
    assert (nearest == made.labels).float().mean() > 0.7


def test_few_classes_and_one_image_are_fine(cpu):
    pixels = torch.arange(4, dtype=torch.uint8)[:, None, None, None].repeat(1, 3, 32, 32)
    images = Images(pixels, torch.tensor([0, 0, 1, 1]), ("a", "b"))
    made = DPMerf(num_images=3, steps=2, features=10).release(
        images, Resources(teacher=None, public=images, seed=0, device=cpu)
    )
    assert made.images.labels.tolist() == [0, 1, 0]
