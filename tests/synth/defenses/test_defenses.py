"""One contract over every registered defense."""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from leakbench.metrics.image import ssim
from leakbench.synth.defense import Resources, Synthesizer
from leakbench.synth.defenses.bn_matching import BNMatching
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe, train
from leakbench.synth.registry import Registry, defenses

SMALL = {
    "bn-matching": {"num_images": 20, "steps": 3, "batch_size": 20},
    "statistic-sampling": {"num_images": 20, "steps": 3, "batch_size": 20, "components": 4},
    "subset": {"num_images": 20},
    "distribution-matching": {"images_per_class": 2, "steps": 2, "real_batch": 4},
    "deepinversion": {"num_images": 20, "steps": 3, "batch_size": 10, "adversarial_weight": 1.0, "student_steps": 2},
    "dp-bn-matching": {"num_images": 20, "steps": 2, "batch_size": 10, "teacher_steps": 1, "teacher_batch": 200},
    "dp-statistic-sampling": {"num_images": 20, "steps": 2, "teacher_steps": 1, "teacher_batch": 200, "components": 4},
    "dp-merf": {"num_images": 20, "steps": 2, "features": 20},
    "dp-labelled-public-images": {"num_images": 20, "steps": 2, "components": 4},
    "sre2l": {"images_per_class": 2, "steps": 2},
    "g-vbsm": {"images_per_class": 2, "steps": 2, "backbones": "resnet20", "backbone_steps": 2},
    "edc": {"images_per_class": 2, "steps": 2, "backbones": "resnet20", "backbone_steps": 2, "flatness_weight": 1.0},
    "rded": {"images_per_class": 2, "candidates": 4, "crops": 2},
    "diffusion": {"num_images": 20, "steps": 2, "batch_size": 10, "width": 8, "draws": 2},
}
QUICK = Recipe(steps=30, batch_size=50, flip=False, learning_rate=0.05)
"""At the usual rate a network of 30 steps has blown up on some machines, and its statistics with it."""
NAMES = sorted(name for name in defenses if issubclass(defenses[name], Synthesizer))


@pytest.fixture(scope="module")
def teacher(digits, cpu):
    network = build("resnet20", classes=10, side=32, seed=0)
    return train(network, digits.members, QUICK, seed=0, device=cpu)


def make(name, **parameters):
    return defenses[name](**SMALL.get(name, {}) | parameters)


def test_the_registry_is_not_empty():
    assert {"identity", "disjoint", "noise", "blur", "pixelate", "bn-matching"} <= set(defenses)


def test_the_registry_refuses_duplicates():
    registry = Registry("thing")
    registry.register("a")(type("One", (), {}))
    with pytest.raises(ValueError, match="registered already"):
        registry.register("a")(type("Other", (), {}))
    with pytest.raises(KeyError, match="there are: a"):
        registry["b"]


@pytest.mark.parametrize("name", NAMES)
def test_sources_are_of_the_released_class(name, digits, teacher, cpu):
    """What a defense must do on any data is checked by benchmarks.contract, over the same registry."""
    defense = make(name)
    with pytest.raises(FrozenInstanceError):
        defense.seed = None
    released = defense.release(digits.members, Resources(teacher=teacher, public=digits.public, seed=1, device=cpu))
    if released.sources is not None:
        index = released.sources.reshape(len(released.images), -1)
        there = index[:, 0] >= 0
        assert (digits.members.labels[index[there]] == released.images.labels[there, None]).all()


@pytest.mark.parametrize(
    "name",
    [
        "noise",
        "bn-matching",
        "subset",
        "mixup",
        "instahide",
        "noise-images",
        "statistic-sampling",
        "dp-merf",
        "diffusion",
        "sre2l",
        "edc",
        "rded",
    ],
)
def test_another_seed_gives_another_release(name, digits, teacher, cpu):
    releases = [
        make(name).release(digits.members, Resources(teacher=teacher, public=digits.public, seed=s, device=cpu))
        for s in (1, 2)
    ]
    assert not torch.equal(releases[0].images.pixels, releases[1].images.pixels)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("noise", {"sigma": 0.0}),
        ("blur", {"sigma": -1.0}),
        ("pixelate", {"block": 1}),
        ("bn-matching", {"steps": 0}),
        ("bn-matching", {"images_per_statistic": 0}),
        ("bn-matching", {"learning_rate": 0.0}),
        ("subset", {"num_images": 0}),
        ("distribution-matching", {"images_per_class": 0}),
        ("distribution-matching", {"learning_rate": 0.0}),
        ("mixup", {"alpha": 0.0}),
        ("instahide", {"mixed": 1}),
        ("instahide", {"largest": 0.2}),
        ("gradient-noise", {"sigma": 0.0}),
        ("gradient-pruning", {"pruned": 1.0}),
        ("statistic-sampling", {"mixture": 0}),
        ("statistic-sampling", {"shrinkage": 2.0}),
        ("statistic-sampling", {"temperature": 0.0}),
        ("statistic-sampling", {"steps": 0}),
        ("deepinversion", {"adversarial_weight": -1.0}),
        ("dp-merf", {"epsilon": 0.0}),
        ("dp-labelled-public-images", {"epsilon": 0.0}),
        ("sre2l", {"crop": 1.5}),
        ("g-vbsm", {"temperature": 0.0}),
        ("edc", {"class_share": -0.1}),
        ("edc", {"momentum": 1.0}),
        ("rded", {"least_area": 1.0}),
        ("diffusion", {"width": 12}),
        ("diffusion", {"draws": 0}),
    ],
)
def test_bad_parameters_are_named(name, bad):
    with pytest.raises(ValueError, match=rf"{name}\.{next(iter(bad))} must be"):
        make(name, **bad)


@pytest.mark.parametrize("name", ["bn-matching", "statistic-sampling", "deepinversion", "sre2l", "edc"])
def test_of_gray_photographs_a_gray_release_is_made(name, digits, teacher, cpu):
    """One photograph in color, and the release may have colors; a guarantee must not hang on it (no dp-* is here)."""
    assert digits.members.is_gray
    resources = Resources(seed=0, device=cpu, teacher=teacher, public=digits.public)
    made = make(name).release(digits.members, resources)
    assert made.images.is_gray
    assert made.images.pixels.float().std() > 10, "noise keeps its spread"
    pixels = digits.members.pixels.clone()
    pixels[0, 0] = 255 - pixels[0, 0]
    colored = replace(digits.members, pixels=pixels)
    assert not colored.is_gray
    assert not make(name).release(colored, resources).images.is_gray


def test_controls(digits, cpu):
    given = Resources(public=digits.public, seed=0, device=cpu)
    assert torch.equal(make("identity").release(digits.members, given).images.pixels, digits.members.pixels)
    assert torch.equal(make("disjoint").release(digits.members, given).images.pixels, digits.public.pixels)


def test_noise_has_the_stated_strength(digits, cpu):
    grey = digits.members.take(torch.arange(50))
    grey.pixels.fill_(128)
    released = make("noise", sigma=0.1).release(grey, Resources(teacher=None, public=grey, seed=0, device=cpu))
    assert released.images.float().std().item() == pytest.approx(0.1, rel=0.02)


def test_pixelate_is_constant_in_blocks(digits, cpu):
    released = make("pixelate", block=8).release(
        digits.members, Resources(teacher=None, public=digits.public, seed=0, device=cpu)
    )
    blocks = released.images.pixels.unfold(2, 8, 8).unfold(3, 8, 8).flatten(4)
    assert (blocks == blocks[..., :1]).all()


@pytest.mark.parametrize(("per_statistic", "released"), [("class", 20), (1, 20), (5, 20), (7, 14)])
def test_bn_matching_releases_whole_groups(per_statistic, released, digits, teacher, cpu):
    defense = make("bn-matching", images_per_statistic=per_statistic)
    release = defense.release(digits.members, Resources(teacher=teacher, public=digits.public, seed=0, device=cpu))
    assert len(release.images) == released
    behind = {"class": None, 1: (20, 1), 5: (20, 5), 7: (14, 7)}[per_statistic]
    if behind is None:
        assert release.sources is None
        return
    assert release.sources.shape == behind
    assert (digits.members.labels[release.sources.view(released, -1)] == release.images.labels[:, None]).all()


def test_a_class_smaller_than_a_group_is_one(digits, teacher, cpu):
    few = digits.members.take(torch.arange(60))
    defense = make("bn-matching", images_per_statistic=20)
    release = defense.release(few, Resources(teacher=teacher, public=digits.public, seed=0, device=cpu))
    assert release.sources.shape == (20, 20)
    (label,) = release.images.labels.unique().tolist()
    assert set(release.sources[0].tolist()) == set((few.labels == label).nonzero().squeeze(1).tolist())


def test_bn_matching_matches(digits, teacher, cpu):
    """With more steps the released statistics come nearer to the sources', and the pictures still differ."""
    from leakbench.synth.defenses.matching import group_matrix, group_statistics, matching_loss
    from leakbench.synth.networks.statistics import recorded_moments

    def distance(steps):
        release = BNMatching(images_per_statistic=1, num_images=20, steps=steps, class_weight=0.0).release(
            digits.members, Resources(teacher=teacher, public=digits.public, seed=0, device=cpu)
        )
        statistics = []
        for images in (release.images, digits.members.take(release.sources[:, 0])):
            with torch.no_grad(), recorded_moments(teacher) as moments:
                teacher(images.float())
            statistics.append(group_statistics(moments, group_matrix(torch.ones(20, dtype=torch.long), cpu)))
        similarity = ssim(release.images.float(), digits.members.take(release.sources[:, 0]).float())
        return matching_loss(*statistics).item(), similarity.mean().item()

    (far, _), (near, alike) = distance(1), distance(90)
    assert near < far / 3
    assert alike < 0.6


def test_group_statistics_by_hand():
    """Two groups of two one-channel images: means and biased variances over all their pixels."""
    from leakbench.synth.defenses.matching import group_matrix, group_statistics
    from leakbench.synth.networks.statistics import _SpatialMoments

    activation = torch.tensor([[1.0, 3.0], [5.0, 7.0], [0.0, 0.0], [2.0, 2.0]]).view(4, 1, 1, 2)
    moments = [_SpatialMoments.apply(activation)]
    ((mean, variance),) = group_statistics(moments, group_matrix(torch.tensor([2, 2]), torch.device("cpu")))
    torch.testing.assert_close(mean.flatten(), torch.tensor([4.0, 1.0]))
    torch.testing.assert_close(variance.flatten(), torch.tensor([5.0, 1.0]))


def test_spatial_moments_gradient():
    from leakbench.synth.networks.statistics import _SpatialMoments

    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    mean, square = _SpatialMoments.apply(x)
    (fast,) = torch.autograd.grad((mean * 2 + square.sin()).sum(), x)
    plain = (x.mean((2, 3)) * 2 + x.square().mean((2, 3)).sin()).sum()
    torch.testing.assert_close(fast, torch.autograd.grad(plain, x)[0])


def test_bn_matching_refuses_a_teacher_without_batch_norm(digits, cpu):
    with pytest.raises(ValueError, match="batch-norm"):
        make("bn-matching").release(
            digits.members, Resources(teacher=build("lenet", classes=10, side=32, seed=0), seed=0, device=cpu)
        )
