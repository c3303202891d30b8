"""Noisy statistics: whose components they are seen in, how much noise there is, and what a public teacher changes."""

import pytest
import torch

from leakbench.benchmarks.suite.spec import defense_of
from leakbench.synth.defense import Resources
from leakbench.synth.defenses import dp_bn_matching, dp_statistic_sampling, private_inversion, public_components
from leakbench.synth.defenses.differential_privacy import epsilon_of, noisy_class_means, without_batch_norm
from leakbench.synth.defenses.dp_bn_matching import DPBNMatching
from leakbench.synth.defenses.dp_linear_probe import PrivateProbe
from leakbench.synth.defenses.dp_statistic_sampling import DPStatisticSampling
from leakbench.synth.defenses.public_components import PublicStatistics
from leakbench.synth.images import Images
from leakbench.synth.networks import public
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.statistics import image_moments, means_and_variances, to_vectors
from leakbench.synth.randomness import SeededRandomness
from leakbench.synth.seeds import seeded_rng

FEW = {"num_images": 4, "steps": 2, "batch_size": 4, "side": 32, "teacher": "public"}


@pytest.fixture(scope="module")
def network():
    return without_batch_norm(build("convnet3", classes=10, side=32, seed=0))


@pytest.fixture(scope="module")
def members(digits):
    return digits.members.take(torch.arange(60))


def projection(network, images, cpu, components=8):
    return PublicStatistics(network, images, components, to_vectors, cpu)


def test_components_are_the_public_images_own(network, members, cpu):
    """Whitened: their coordinates have a variance of one; and as many as there are bring every vector back."""
    space = projection(network, members, cpu)
    seen = space.seen(members)
    assert seen.shape == (60, 8)
    torch.testing.assert_close(seen.std(0), torch.ones(8, dtype=torch.float64))
    assert space.bound == pytest.approx(seen.norm(dim=1).median().item())
    whole = projection(network, members, cpu, components=1000)
    wanted = to_vectors(image_moments(network, members.pixels, device=cpu))
    torch.testing.assert_close(whole.restored(whole.seen(members)), wanted, rtol=1e-4, atol=1e-4)


def test_memory_does_not_grow_with_the_members(network, members, cpu, monkeypatch):
    space, asked = projection(network, members, cpu), []
    whole = space.seen(members)
    monkeypatch.setattr(public_components, "CHUNK", 7)
    monkeypatch.setattr(
        public_components,
        "image_moments",
        lambda n, pixels, device: asked.append(len(pixels)) or image_moments(n, pixels, device=device),
    )
    torch.testing.assert_close(space.seen(members), whole, rtol=1e-3, atol=1e-3)
    assert max(asked) == 7
    assert sum(asked) == 60


def test_the_basis_looks_at_some_of_many_public_images_of_every_part(network, digits, cpu, monkeypatch):
    asked = []
    monkeypatch.setattr(public_components, "PUBLIC", 10)
    monkeypatch.setattr(
        public_components, "image_moments", lambda n, pixels, device: asked.append(pixels) or image_moments_of(pixels)
    )

    def image_moments_of(pixels):
        return image_moments(network, pixels, device=cpu)

    PublicStatistics(network, digits.public, 4, to_vectors, cpu)
    assert len(asked[0]) == 10
    assert torch.equal(asked[0][0], digits.public.pixels[0])
    assert torch.equal(asked[0][-1], digits.public.pixels[-1])


def test_public_images_that_are_all_alike_are_no_scale(network, cpu):
    gray = Images(torch.full((5, 3, 32, 32), 9, dtype=torch.uint8), torch.zeros(5, dtype=torch.long), ("a",))
    with pytest.raises(ValueError, match="two different ones at least"):
        projection(network, gray, cpu)


def test_little_noise_finds_the_class_statistics(network, members, cpu):
    """With a huge epsilon the released statistics are the members' class means, where components span them."""
    labels = members.labels.unique()
    given = Resources(seed=0, device=cpu, public=members)
    found = DPBNMatching(clip=1e3, components=1000).statistics(network, members, labels, 1e-9, given)
    moments = image_moments(network, members.pixels, device=cpu)
    wanted = torch.stack([moments[members.labels == label].mean(0) for label in labels])
    torch.testing.assert_close(found, means_and_variances(wanted), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("covariance", ["class", "shared"])
def test_little_noise_finds_means_and_covariances(covariance, network, members, cpu):
    vectors = torch.randn(300, 3, generator=seeded_rng("vectors")).double() / 10
    some = Images(torch.zeros(300, 3, 8, 8, dtype=torch.uint8), torch.arange(300) % 2, ("a", "b"))
    vectors[some.labels == 1] += torch.tensor([0.3, 0.0, 0.0])
    defense = DPStatisticSampling(covariance=covariance)
    means, covariances = defense._gaussians(vectors, some, 1e-9, SeededRandomness(0))
    each = [vectors[some.labels == label] for label in (0, 1)]
    wanted = torch.stack([torch.cov(of.T, correction=0) for of in each])
    if covariance == "shared":
        wanted = wanted.mean(0, keepdim=True).expand(2, -1, -1)
    torch.testing.assert_close(means, torch.stack([of.mean(0) for of in each]), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(covariances, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("covariance", ["class", "shared"])
def test_both_looks_together_are_one_with_the_noise_that_is_left(covariance, members, monkeypatch):
    """Each gets the root of 2 as much, of vectors and outer products that are no longer than 1."""
    asked = []

    def looked(vectors, labels, classes, **how):
        asked.append((vectors, classes, how))
        return torch.zeros(classes, vectors.shape[1]).double()

    monkeypatch.setattr(dp_statistic_sampling, "noisy_class_means", looked)
    vectors = 50 * torch.randn(60, 3, generator=seeded_rng("vectors")).double()
    DPStatisticSampling(covariance=covariance)._gaussians(vectors, members, 3.0, SeededRandomness(0))
    noises = [how["noise"] for _, _, how in asked]
    assert sum(1 / noise**2 for noise in noises) == pytest.approx(1 / 3.0**2)
    assert [classes for _, classes, _ in asked] == [10, 1 if covariance == "shared" else 10]
    for seen, _, how in asked:
        assert how["clip"] == 1.0
        assert seen.norm(dim=1).max() <= 1 + 1e-9


def test_class_means_get_the_noise_that_is_left(network, members, cpu, monkeypatch):
    """Of the given randomness, on vectors that are cut to a multiple of the public images' norm."""
    asked = []

    def looked(vectors, labels, classes, **how):
        asked.append(how)
        return torch.zeros(classes, vectors.shape[1]).double()

    monkeypatch.setattr(dp_bn_matching, "noisy_class_means", looked)
    given = Resources(seed=0, device=cpu, public=members)
    DPBNMatching(clip=2.0, components=8).statistics(network, members, members.labels[:3], 5.0, given)
    (how,) = asked
    assert how["noise"] == 5.0
    assert how["randomness"] is given.randomness
    space = PublicStatistics(network, members, 8, lambda m: m.flatten(1), cpu)
    assert how["clip"] == pytest.approx(2 * space.bound)


def test_a_class_of_noise_alone_stays_where_vectors_can_be():
    vectors, labels = torch.zeros(50, 30), torch.zeros(50, dtype=torch.long)
    found = noisy_class_means(vectors, labels, 2, clip=3.0, noise=20.0, randomness=SeededRandomness(0))
    assert found.norm(dim=1).max() <= 3.0 + 1e-9


@pytest.mark.parametrize("kind", [DPBNMatching, DPStatisticSampling])
def test_a_head_on_a_public_teacher_and_a_look_keep_the_whole_epsilon(kind, members, cpu, monkeypatch):
    """By Opacus's accountant, of the noise that the head's training adds and that which the look is told to add."""
    asked, spent = [], []
    looked, trained = kind.statistics, private_inversion.DPLinearProbe.spend

    def statistics(self, network, private, labels, noise, resources):
        asked.append((noise, network))
        return looked(self, network, private, labels, noise, resources)

    monkeypatch.setattr(kind, "statistics", statistics)
    monkeypatch.setattr(
        private_inversion.DPLinearProbe, "spend", lambda self, n: spent.append(trained(self, n)) or spent[-1]
    )
    defense = kind(**FEW, epsilon=4.0, start="public")
    release = defense.release(members, Resources(seed=0, device=cpu, public=members, randomness=SeededRandomness(1)))
    ((noise, network),) = asked
    assert len(set(spent)) == 1, "the head is trained with the noise that is accounted for"
    assert 3.9 < epsilon_of([spent[0], (noise, 1.0, 1)], 1e-5) <= 4.0
    assert 2.7 < epsilon_of([spent[0]], 1e-5) <= 2.8 * 1.001
    assert isinstance(network, PrivateProbe), "whose layers' statistics are matched"
    assert release.images.pixels.shape == (4, 3, 32, 32)
    assert torch.allclose(release.soft_labels.sum(1), torch.ones(4), atol=1e-5)
    assert defense.release_claim.gaussian
    assert "linear head" in defense.release_claim.mechanism


@pytest.mark.slow
def test_images_are_moved_towards_their_classes(digits, cpu):
    """With a loose guarantee the head says of images from noise what it was asked to."""
    defense = DPBNMatching(**FEW | {"num_images": 10, "steps": 40, "batch_size": 10, "bn_weight": 0.1}, epsilon=200.0)
    given = Resources(seed=0, device=cpu, public=digits.public, randomness=SeededRandomness(1))
    release = defense.release(digits.members, given)
    assert (release.soft_labels.argmax(1) == release.images.labels).double().mean() > 0.6


def test_where_no_network_is_at_hand_the_public_teacher_is_missing_and_the_private_is_not(monkeypatch):
    monkeypatch.setattr(public, "SOURCES", ())
    assert "pip install 'leakbench[pretrained]'" in defense_of("dp-bn-matching:teacher=public").missing()
    assert not DPBNMatching().missing()
    assert DPBNMatching(teacher="public").reads() == ()


def test_the_weights_of_a_public_teacher_are_among_what_is_read():
    assert DPStatisticSampling(teacher="public").reads() == public.digests() != ()
    assert DPStatisticSampling().reads() == ()


def test_a_private_teacher_is_no_gaussian_mechanism():
    assert not DPBNMatching().release_claim.gaussian
    assert "DP-SGD" in DPBNMatching().release_claim.mechanism
