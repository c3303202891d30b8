"""The descendants of batch-norm matching: what they look at, what they start from, whom they show."""

import pytest
import torch
from torch import nn

from leakbench.synth.defense import Resources
from leakbench.synth.defenses.condensation import random_crop
from leakbench.synth.defenses.edc import EDC, Flatness
from leakbench.synth.defenses.g_vbsm import GVBSM, density
from leakbench.synth.defenses.generalized_matching import Remembered, image_statistics, member_statistics
from leakbench.synth.defenses.inversion import Pass, frozen
from leakbench.synth.defenses.matching import group_matrix, group_statistics, matching_loss
from leakbench.synth.defenses.rded import RDED
from leakbench.synth.defenses.sre2l import SRe2L
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.statistics import image_moments, recorded_moments
from leakbench.synth.networks.training import autocast, predict
from leakbench.synth.seeds import seeded, seeded_rng
from tests.synth.defenses.test_defenses import teacher

__all__ = ["teacher"]
SMALL = {"images_per_class": 2, "steps": 2, "flip": False}


@pytest.fixture
def released(digits, teacher, cpu):
    def run(defense, members=digits.members):
        given = Resources(teacher=teacher, public=digits.public, seed=0, device=cpu)
        return defense.release(members, given)

    return run


def test_a_batch_comes_nearer_to_the_running_statistics(released, teacher, digits, cpu):
    """By what SRe2L minimises, of which a first layer counts ten times."""
    wanted = [(n.running_mean[None], n.running_var[None]) for n in teacher.modules() if isinstance(n, nn.BatchNorm2d)]

    def apart(images):
        moments = image_moments(teacher, images.pixels, device=cpu).float().mean(0, keepdim=True)
        sizes = [mean.shape[1] for mean, _ in wanted]
        pairs = zip(moments[:, 0].split(sizes, 1), moments[:, 1].split(sizes, 1), strict=True)
        found = [(mean, square - mean.square()) for mean, square in pairs]
        return float(matching_loss(found, wanted, first=10.0))

    few, many = (released(SRe2L(images_per_class=2, steps=steps, jitter=0)).images for steps in (1, 60))
    assert apart(many) < 0.7 * apart(few)


def test_the_first_layer_has_a_weight_of_its_own():
    layer = (torch.zeros(1, 2), torch.zeros(1, 2)), (torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2))
    found, wanted = [layer[0], layer[0]], [layer[1], layer[1]]
    assert matching_loss(found, wanted) == 10
    assert matching_loss(found, wanted, first=10.0) == 55
    assert matching_loss([*found, layer[0]], [*wanted, layer[1]], first=10.0, leading=2) == 105


@pytest.mark.parametrize(
    ("curriculum", "least"),
    [("none", (0.5, 0.5, 0.5)), ("linear", (1, 0.75, 0.5)), ("cosine", (1, 0.75, 0.5)), ("step", (1, 0.5, 0.5))],
)
def test_a_curriculum_goes_from_whole_images_to_small_crops(curriculum, least):
    defense = SRe2L(crop=0.5, curriculum=curriculum)
    assert [defense.least_area(progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx(least)


def test_a_crop_is_a_part_scaled_up():
    x = torch.arange(64.0).view(1, 1, 8, 8)
    whole = random_crop(x, 1.0, [0.0, 0.5, 0.9, 0.9])
    assert torch.equal(whole, x)
    corner = random_crop(x, 0.25, [0.0, 0.5, 0.0, 0.0])
    assert corner.shape == x.shape
    assert corner[0, 0, 0, 0] == x[0, 0, 0, 0]
    assert corner.max() <= x[0, 0, :4, :4].max()
    last = random_crop(x, 0.25, [0.0, 0.5, 0.999, 0.999])
    assert last.min() >= x[0, 0, 4:, 4:].min()


def test_convolutions_inputs_are_recorded_by_channel_and_by_patch():
    with seeded(0):
        network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)).eval()
    x = torch.rand(5, 3, 8, 8, generator=seeded_rng("x"))
    with torch.no_grad(), recorded_moments(network, convolutions=True) as moments:
        network(x)
    assert [mean.shape for mean, _ in moments] == [(5, 3), (5, 4), (5, 4), (5, 4), (5, 4)]
    mean, square = moments[1]
    patch = x[:, :, :4, 4:]
    assert torch.allclose(mean[:, 1], patch.mean((1, 2, 3)), atol=1e-6)
    assert torch.allclose(square[:, 1], patch.square().mean((1, 2, 3)), atol=1e-6)
    with torch.no_grad(), recorded_moments(network) as moments:
        network(x)
    assert len(moments) == 1


def test_members_statistics_are_summed_over_chunks(digits, cpu, monkeypatch):
    network = build("resnet20", classes=10, side=32, seed=0).eval()
    monkeypatch.setattr("leakbench.synth.defenses.generalized_matching.CHUNK", 7)
    members = digits.members.take(torch.arange(30))
    with frozen(network):
        overall, classes = member_statistics(network, members, cpu)
        with torch.no_grad(), recorded_moments(network, convolutions=True) as moments:
            network(members.float())
    whole = group_statistics(moments, torch.full((1, 30), 1 / 30))
    of_three = (members.labels == 3).float()[None]
    own = image_statistics(moments, of_three / of_three.sum())
    for wanted, found, row in ((whole, overall, slice(None)), (own, classes, slice(3, 4))):
        for (mean, variance), (a, b) in zip(wanted, found, strict=True):
            assert torch.allclose(a[row], mean, atol=0.02 * float(mean.abs().max() + 1))
            assert torch.allclose(b[row], variance, atol=0.05 * float(variance.abs().max() + 1))


def test_means_over_images_leave_out_what_images_differ_in():
    moments = [(torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [5.0]]))]
    weights = group_matrix(torch.tensor([2]), torch.device("cpu"))
    assert image_statistics(moments, weights) == [(torch.tensor([[1.0]]), torch.tensor([[1.0]]))]
    assert group_statistics(moments, weights) == [(torch.tensor([[1.0]]), torch.tensor([[2.0]]))]


def test_a_memory_averages_values_and_passes_gradients_on():
    memory = Remembered(0.75)
    memory([(torch.tensor([[0.0]]), torch.tensor([[8.0]]))])
    mean = torch.tensor([[4.0]], requires_grad=True)
    ((found, variance),) = memory([(mean, torch.tensor([[0.0]]))])
    assert (found.item(), variance.item()) == (1.0, 6.0)
    found.backward()
    assert mean.grad == 1
    (again, _), *_ = memory([(torch.tensor([[1.0]]), torch.tensor([[0.0]]))])
    assert float(again) == 1.0
    forgetful = Remembered(0.0)
    forgetful([(torch.tensor([[9.0]]), torch.tensor([[9.0]]))])
    assert forgetful([(torch.tensor([[1.0]]), torch.tensor([[2.0]]))]) == [
        (torch.tensor([[1.0]]), torch.tensor([[2.0]]))
    ]


def test_density_is_nothing_where_eigenvalues_agree():
    assert float(density(torch.eye(3), 4.0)) == pytest.approx(0, abs=1e-6)
    alike = torch.tensor([[1.0, 0.0], [0.9, 0.1]]).requires_grad_()
    term = density(alike, 4.0)
    assert term > 0
    (gradient,) = torch.autograd.grad(term, alike)
    with torch.no_grad():
        assert density(alike - 0.1 * gradient, 4.0) < term


def test_flatness_compares_with_the_average_seen_alike():
    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    flip = torch.rand(2, 3, 2, 2, generator=seeded_rng("a")), lambda x: x.flip(3)
    term, logits = Flatness(2.0), []
    for images in (flip[0], 20 * flip[0]):
        seen = flip[1](images)
        said = network(seen * 0.25 + 0.5)
        logits.append(said)
        divergence = term(Pass(images, flip[1], seen, said, network))
    assert divergence.item() > 1e-4
    fresh = Flatness(2.0)
    same = fresh(Pass(flip[0], flip[1], flip[1](flip[0]), logits[0], network))
    assert same.item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("defense", [GVBSM(backbones="lenet", backbone_steps=3, **SMALL), SRe2L(**SMALL)])
def test_from_noise_a_release_shows_nobody(released, defense):
    release = released(defense)
    assert not defense.shows_members
    assert release.sources is None
    assert torch.bincount(release.images.labels).tolist() == [2] * 10


def test_networks_take_turns(released, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "leakbench.synth.defenses.inversion.forward",
        lambda device, images, side: lambda network, x: (asked.append(id(network)), network(x))[1],
    )
    released(GVBSM(backbones="lenet+lenet", backbone_steps=2, images_per_class=1, steps=6))
    assert len(set(asked)) == 3
    assert asked[:3] == asked[3:]


def test_edc_begins_with_members_of_the_class_and_names_them(released, digits):
    defense = EDC(backbones="", crop=1.0, **SMALL | {"steps": 1, "learning_rate": 1e-6})
    release = released(defense)
    assert defense.shows_members
    begun = release.sources[:, 0]
    assert torch.equal(digits.members.labels[begun], release.images.labels)
    assert (release.images.pixels.int() - digits.members.pixels[begun].int()).abs().max() <= 1
    noise = EDC(backbones="", start="noise", **SMALL)
    assert not noise.shows_members
    assert released(noise).sources is None


def test_edc_weighs_the_classes_against_all(released):
    whole, half, own = (
        released(EDC(backbones="", start="noise", class_share=s, **SMALL)).images.pixels for s in (0, 0.5, 1)
    )
    assert not torch.equal(whole, half)
    assert not torch.equal(half, own)


def test_soft_labels_are_those_of_all_networks(released, teacher, digits, cpu):
    alone = released(EDC(backbones="", **SMALL))
    assert torch.allclose(alone.soft_labels, predict(teacher, alone.images.pixels, device=cpu).softmax(1))
    both = released(EDC(backbones="lenet", backbone_steps=3, **SMALL))
    assert not torch.allclose(both.soft_labels, predict(teacher, both.images.pixels, device=cpu).softmax(1), atol=1e-3)


@pytest.mark.parametrize("defense", [EDC, GVBSM])
def test_a_network_that_is_not_there_is_named(defense):
    with pytest.raises(ValueError, match="there is no network 'nope'"):
        defense(backbones="convnet3+nope")


def test_rded_releases_the_surest_crop_of_each(released, digits, teacher, cpu):
    release = released(RDED(images_per_class=3, candidates=10, crops=4, least_area=0.9))
    assert release.sources.shape == (30, 1)
    sure = predict(teacher, release.images.pixels, device=cpu).log_softmax(1)
    loss = -sure[torch.arange(30), release.images.labels]
    other = released(RDED(images_per_class=3, candidates=3, crops=1, least_area=0.9))
    worse = -predict(teacher, other.images.pixels, device=cpu).log_softmax(1)[torch.arange(30), other.images.labels]
    assert loss.mean() < worse.mean()
    for row in range(3):
        assert (loss.view(10, 3)[:, row] >= loss.view(10, 3)[:, 0] - 1e-4).all()


def test_rded_crops_are_parts_of_their_sources(released, digits):
    release = released(RDED(images_per_class=2, candidates=4, crops=2, least_area=0.999))
    sources = digits.members.pixels[release.sources[:, 0]]
    assert (release.images.pixels.float() - sources.float()).abs().mean() < 3


def test_a_mosaic_shows_four(released, digits):
    release = released(RDED(images_per_class=2, candidates=8, crops=1, least_area=0.999, mosaic=2))
    assert release.sources.shape == (20, 4)
    assert len(release.sources.unique()) == 80
    small = torch.nn.functional.interpolate(
        digits.members.pixels[release.sources[0, 1]][None].float(), scale_factor=0.5, mode="area"
    )
    side = release.images.side // 2
    assert (release.images.pixels[0, :, :side, side:].float() - small[0]).abs().mean() < 8


def test_too_few_members_for_so_many_crops_are_named(released, digits):
    few = digits.members.take(torch.arange(40))
    with pytest.raises(ValueError, match=r"rded\.images_per_class=50 with mosaic=1 needs 50 members of class"):
        released(RDED(images_per_class=50), few)


def test_a_curriculum_of_whole_images_is_refused():
    with pytest.raises(ValueError, match=r"sre2l\.curriculum=linear needs crop below 1"):
        SRe2L(curriculum="linear")


def test_the_same_network_twice_is_two_networks(digits, teacher, cpu):
    given = Resources(teacher=teacher, seed=0, device=cpu)
    defense = GVBSM(backbones="lenet+lenet", backbone_steps=2)
    _, one, other = defense.networks(digits.members, given)
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


def test_a_batch_that_cannot_hold_all_classes_holds_some(released):
    """Never more than was asked for; where each class is remembered, that is refused."""
    release = released(SRe2L(batch_size=4, **SMALL))
    assert torch.bincount(release.images.labels).tolist() == [2] * 10
    with pytest.raises(ValueError, match=r"edc\.batch_size=4 must be 10 at least"):
        released(EDC(backbones="", batch_size=4, **SMALL))


@pytest.mark.parametrize("side", [8, 28, 32])
def test_backbones_exist_for_small_images(side):
    network = build("vgg11-bn", classes=3, side=side, seed=0).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, side, side, generator=seeded_rng("x"))).shape == (2, 3)


@pytest.mark.parametrize("which", [GVBSM(backbones=""), *(EDC(backbones="", class_share=share) for share in (0.5, 1))])
def test_the_members_themselves_are_what_is_wanted(which, digits, teacher, cpu):
    """As a batch they cost nothing; with labels of others the classes' share of the loss does."""
    members = digits.members.take(digits.members.labels.argsort(stable=True))
    members = members.take((members.labels != 4).nonzero().squeeze(1))

    def cost(labels):
        with frozen(teacher) as network, torch.no_grad():
            (wanted,) = which.matcher([network], members, cpu)(labels)
            with recorded_moments(network, convolutions=True) as moments, autocast(cpu):
                network(members.float().to(memory_format=torch.channels_last))
            return float(wanted.loss(moments))

    right = cost(members.labels)
    wrong = cost(members.labels.roll(len(members) // 2))
    assert right < 0.2
    assert wrong > 20 * right if isinstance(which, EDC) else wrong == right
