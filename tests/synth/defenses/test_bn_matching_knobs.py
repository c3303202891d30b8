"""What batch-norm matching starts from, and whose statistics it matches."""

import pytest
import torch

from leakbench.synth.defense import Resources
from leakbench.synth.defenses.bn_matching import BNMatching
from leakbench.synth.networks.statistics import image_moments, means_and_variances
from tests.synth.defenses.test_defenses import teacher

__all__ = ["teacher"]
SMALL = {"num_images": 20, "steps": 1, "learning_rate": 1e-6}


@pytest.fixture
def released(digits, teacher, cpu):
    def run(**parameters):
        given = Resources(teacher=teacher, public=digits.public, seed=0, device=cpu)
        return BNMatching(**parameters).release(digits.members, given)

    return run


def near(a, b):
    """Up to the one step of nothing, and rounding."""
    return (a.int() - b.int()).abs().max() <= 1


def test_from_members_it_starts_with_one_of_the_class_who_is_named(released, digits):
    release = released(start="members", **SMALL)
    assert BNMatching(start="members").shows_members
    assert release.sources.shape == (20, 1)
    begun = release.sources[:, 0]
    assert near(release.images.pixels, digits.members.pixels[begun])
    assert torch.equal(digits.members.labels[begun], release.images.labels)
    assert len(begun.unique()) > 10


def test_of_groups_the_one_it_starts_from_is_behind_it_too(released, digits):
    release = released(start="members", images_per_statistic=2, **SMALL)
    assert release.sources.shape == (20, 3)
    assert near(release.images.pixels, digits.members.pixels[release.sources[:, 2]])


def test_from_public_images_it_starts_with_some_of_them(released, digits):
    release = released(start="public", **SMALL)
    defense = BNMatching(start="public")
    assert defense.reads_public
    assert not defense.shows_members
    assert release.sources is None
    pool = {bytes(image.numpy()) for image in digits.public.pixels}
    exact = released(start="public", num_images=20, steps=1, learning_rate=1e-9)
    assert sum(bytes(image.numpy()) in pool for image in exact.images.pixels) > 15
    assert near(exact.images.pixels, release.images.pixels)


def test_from_noise_it_shows_and_reads_nobody(released):
    defense = BNMatching()
    assert not defense.shows_members
    assert not defense.reads_public
    assert released(**SMALL).sources is None


def off(images, members, teacher, cpu):
    """How far all images together lie from all members, and those of a class from its own."""

    def of(part):
        return means_and_variances(image_moments(teacher, part.pixels, device=cpu).mean(0, keepdim=True))

    classes = [
        (of(images.of_class(int(label))) - of(members.of_class(int(label)))).norm() for label in images.labels.unique()
    ]
    return float((of(images) - of(members)).norm()), float(torch.stack(classes).mean())


def test_class_share_trades_the_classes_statistics_for_those_of_all(released, digits, teacher, cpu):
    settings = {"num_images": 20, "steps": 40, "learning_rate": 0.1, "class_weight": 0.0}
    all_of_one, of_class = off(released(class_share=1.0, **settings).images, digits.members, teacher, cpu)
    all_of_none, of_none = off(released(class_share=0.0, **settings).images, digits.members, teacher, cpu)
    assert of_class < of_none
    assert all_of_none < all_of_one


def test_the_paper_is_the_default_to_the_last_bit(released):
    plain, said = released(**SMALL), released(class_share=1.0, start="noise", **SMALL)
    assert torch.equal(plain.images.pixels, said.images.pixels)
    with pytest.raises(ValueError, match="class_share must be >= 0 and <= 1"):
        BNMatching(class_share=1.5)
