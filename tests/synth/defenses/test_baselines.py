"""The baselines' own laws; the contract over all defenses is in test_defenses.py."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from leakbench.synth.defense import Resources
from leakbench.synth.defenses.deepinversion import jensen_shannon
from leakbench.synth.defenses.diffusion import mixture
from leakbench.synth.defenses.inversion import Pass
from leakbench.synth.images import Images, round_robin_by_class
from leakbench.synth.networks.statistics import image_moments, means_and_variances
from leakbench.synth.randomness import SeededRandomness
from leakbench.synth.registry import defenses
from leakbench.synth.seeds import seeded_rng
from tests.synth.defenses.test_defenses import make
from tests.synth.defenses.test_defenses import teacher as teacher


def released(name, members, public, cpu, teacher=None, **parameters):
    return make(name, **parameters).release(members, Resources(teacher=teacher, public=public, seed=0, device=cpu))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_classes_come_in_turn(labels):
    labels = torch.tensor(labels)
    order = round_robin_by_class(labels, seeded_rng("turns"))
    assert order.sort().values.tolist() == list(range(len(labels)))
    smallest = torch.bincount(labels)[labels.unique()].min()
    first = labels[order][: smallest * len(labels.unique())]
    assert (torch.bincount(first)[labels.unique()] == smallest).all()


def test_a_subset_holds_members_of_every_class(digits, cpu):
    release = released("subset", digits.members, digits.public, cpu, num_images=30)
    assert torch.equal(release.images.pixels, digits.members.pixels[release.sources[:, 0]])
    assert torch.bincount(release.images.labels).tolist() == [3] * 10


def flat(*values):
    pixels = torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 1, 2, 2)
    return Images(pixels, torch.arange(len(values)) % 2, ("a", "b"))


def test_mixup_by_hand(cpu):
    """Of images 0 and 200 and their labels, both are mixed by the same weights, the heavier one first."""
    members = flat(0, 200, 0, 200)
    release = released("mixup", members, members, cpu, alpha=0.5)
    own = release.soft_labels.gather(1, members.labels[:, None]).squeeze(1)
    assert (own >= 0.5).all()
    assert ((release.images.pixels[:, 0, 0, 0] / 200 - release.soft_labels[:, 1]).abs() < 0.01).all()


def test_instahide_hides_the_signs_only(cpu):
    """Everything is white: whatever the weights, a pixel is black or white, each half of the time."""
    white = Images(torch.full((200, 3, 4, 4), 255, dtype=torch.uint8), torch.zeros(200, dtype=torch.long), ("a",))
    pixels = released("instahide", white, white, cpu).images.pixels
    assert set(pixels.unique().tolist()) == {0, 255}
    assert (pixels == 255).double().mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("mixed", "largest"), [(2, 0.65), (4, 0.3), (6, 1.0)])
def test_instahide_weights(mixed, largest):
    weights = make("instahide", mixed=mixed, largest=largest)._weights(50, SeededRandomness("weights"))
    assert weights.shape == (50, mixed)
    torch.testing.assert_close(weights.sum(1), torch.ones(50))
    assert weights.max() <= largest


def test_gradient_noise_has_the_stated_strength():
    gradients = (torch.full((1, 20000), 3.0), torch.full((1, 20000), 4.0))
    noisy = defenses["gradient-noise"](sigma=0.5).share(gradients, Resources(seed=0, device=torch.device("cpu")))
    spread = torch.cat([a - b for a, b in zip(noisy, gradients, strict=True)]).std()
    assert spread.item() == pytest.approx(0.5 * (12.5**0.5), rel=0.02)


def test_gradient_pruning_by_hand():
    shared = defenses["gradient-pruning"](pruned=0.5).share(
        (torch.tensor([[1.0, -5, 0.5, 2]]),), Resources(seed=0, device=torch.device("cpu"))
    )
    assert shared[0].tolist() == [[0, -5, 0, 2]]


@pytest.mark.parametrize("name", ["noise-images", "public-images"])
def test_only_labels_come_from_the_teacher(name, digits, teacher, cpu):
    release = released(name, digits.members, digits.public, cpu, teacher=teacher)
    assert torch.equal(release.images.labels, release.soft_labels.argmax(1))
    if name == "public-images":
        assert torch.equal(release.images.pixels, digits.public.pixels[: len(digits.members)])
    few = released(name, digits.members, digits.public, cpu, teacher=teacher, num_images=7)
    assert len(few.images) == len(few.soft_labels) == 7
    if name == "public-images":
        assert torch.equal(few.images.pixels, digits.public.pixels[:7])
    with pytest.raises(ValueError, match="teacher"):
        released(name, digits.members, digits.public, cpu)


def test_samples_have_the_class_statistics(digits, teacher, cpu):
    """At a temperature near 0 every sample is its class's mean; at 1 they spread about it as the members do."""
    moments = image_moments(teacher, digits.members.pixels, device=cpu)
    labels = torch.zeros(400, dtype=torch.long)
    cold, warm = (
        make("statistic-sampling", components=20, temperature=t)._sampled(moments, digits.members.labels, labels, 0)
        for t in (1e-6, 1.0)
    )
    members = means_and_variances(moments)[digits.members.labels == 0].float()
    torch.testing.assert_close(cold, cold[:1].expand_as(cold), rtol=1e-3, atol=1e-3)
    channels = members.shape[1] // 2
    torch.testing.assert_close(cold[0, :channels], members[:, :channels].mean(0), rtol=0.1, atol=0.05)
    spread, real = warm[:, :channels].std(0).mean(), members[:, :channels].std(0).mean()
    assert 0.6 * real < spread < 1.2 * real


def test_inverted_images_have_the_sampled_statistics(digits, teacher, cpu):
    """After 40 steps they are nearer to statistics of their class than after one."""
    wanted = means_and_variances(image_moments(teacher, digits.members.pixels, device=cpu)).mean(0)

    def distance(steps):
        settings = {"steps": steps, "learning_rate": 0.3, "temperature": 1e-6}
        made = released("statistic-sampling", digits.members, digits.public, cpu, teacher=teacher, **settings)
        found = means_and_variances(image_moments(teacher, made.images.pixels, device=cpu)).mean(0)
        return (found - wanted).norm().item()

    assert distance(40) < 0.5 * distance(1)


def test_a_mixture_needs_images(digits, teacher, cpu):
    few = digits.members.take(torch.arange(12))
    with pytest.raises(ValueError, match=r"statistic-sampling\.mixture=9 needs as many images of every class"):
        released("statistic-sampling", few, digits.public, cpu, teacher=teacher, mixture=9)


def test_distribution_matching_starts_with_members(digits, cpu):
    """Where nothing is learned, the images are the members that they started as."""
    release = released("distribution-matching", digits.members, digits.public, cpu, learning_rate=1e-12)
    assert (release.images.pixels.int() - digits.members.pixels[release.sources[:, 0]].int()).abs().max() <= 1
    assert torch.bincount(release.images.labels).tolist() == [2] * 10


def test_distribution_matching_brings_means_together(digits, cpu):
    """From noise, in the embedding of a network that no step has used."""
    from leakbench.synth.defenses.distribution_matching import embedding, normalised

    network = embedding(digits.members, seed=123)

    def distance(steps):
        made = released("distribution-matching", digits.members, digits.public, cpu, start="noise", steps=steps).images
        means = [
            torch.stack([network(normalised(images.pixels[images.labels == k])).mean(0) for k in range(10)])
            for images in (made, digits.members)
        ]
        return (means[0] - means[1]).square().sum().item()

    assert distance(30) < 0.7 * distance(1)


@pytest.mark.slow
def test_deepinversion_finds_the_running_statistics(digits, teacher, cpu):
    """The batch's own statistics come nearer to the teacher's running ones than those of the noise it began with."""
    layers = [layer for layer in teacher.modules() if isinstance(layer, nn.BatchNorm2d)]
    wanted = torch.cat([torch.cat([n.running_mean for n in layers]), torch.cat([n.running_var for n in layers])])

    def distance(steps):
        made = released("deepinversion", digits.members, digits.public, cpu, teacher, num_images=30, steps=steps)
        moments = image_moments(teacher, made.images.pixels, device=cpu).mean(0, keepdim=True)
        return (means_and_variances(moments)[0] - wanted).norm()

    assert distance(160) < 0.5 * distance(1)


def test_jensen_shannon_by_hand():
    """Of two sure answers that differ: each has log 2 to the middle, but for what the clamp leaves."""
    one, other = torch.tensor([[300.0, 0.0]]), torch.tensor([[0.0, 300.0]])
    assert jensen_shannon(one, one).item() == pytest.approx(0, abs=1e-6)
    p, q = 0.99, 0.01
    assert jensen_shannon(one, other).item() == pytest.approx(p * math.log(p / 0.5) + q * math.log(q / 0.5), rel=1e-4)


def test_the_adversary_asks_for_disagreement(digits, cpu):
    """Nobody disagrees with whoever answers alike; the term is least where answers differ most."""
    defense = make("deepinversion", adversarial_weight=2.0, student_steps=2)
    assert defense._disagreement([], digits.members.labels, digits.members.classes, 0, cpu) is None
    first = digits.members.take(torch.arange(10))
    term = defense._disagreement([first.pixels], first.labels, first.classes, 0, cpu)
    far = torch.full((4, 10), -300.0).index_fill_(1, torch.tensor([3]), 300.0)

    def of(logits):
        seen = torch.zeros(4, 3, 32, 32)
        return term(Pass(seen, lambda x: x, seen, logits, nn.Identity())).item()

    assert 0 <= of(far) < of(torch.zeros(4, 10)) <= 2.0


@given(st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_what_diffusion_mixes_can_be_told_apart(time):
    """From the mixture x_t and v follow image and noise: the rotation by pi t / 2 is undone."""
    kept, added = mixture(torch.tensor(time, dtype=torch.float64))
    image, noise = 0.3, -1.2
    mixed, told = kept * image + added * noise, kept * noise - added * image
    assert (kept * mixed - added * told).item() == pytest.approx(image, abs=1e-6)
    assert (added * mixed + kept * told).item() == pytest.approx(noise, abs=1e-6)


@pytest.mark.slow
def test_diffusion_learns_what_it_is_shown(digits, cpu):
    """One image over and over, half a minute of training: it is given back, by class, and nothing else is."""
    zero, one = ((digits.members.labels == k).nonzero()[0] for k in (0, 1))
    shown = digits.members.take(torch.cat([zero, one]))
    learned = {"steps": 300, "batch_size": 2, "width": 16, "num_images": 4, "draws": 10}
    made = released("diffusion", shown, digits.public, cpu, **learned).images
    assert made.labels.tolist() == [0, 1, 0, 1]
    own, other = ((made.float() - shown.float()[k]).square().mean((1, 2, 3)) for k in ([0, 1, 0, 1], [1, 0, 1, 0]))
    assert (own < 0.5 * other).all()
    untrained = released("diffusion", shown, digits.public, cpu, **learned | {"steps": 1}).images
    assert ((untrained.float() - shown.float()[[0, 1, 0, 1]]).square().mean((1, 2, 3)) > own).all()
