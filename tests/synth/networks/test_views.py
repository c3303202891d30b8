"""A label file: what is shown, how often, and who says what of it."""

import pytest
import torch

from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe, predict
from leakbench.synth.networks.views import as_shown, labelled_views

RECIPE = Recipe(steps=100, batch_size=4, crop_padding=2, flip=False)


@pytest.fixture(scope="module")
def teacher():
    return build("lenet", classes=3, side=32, seed=0).eval()


@pytest.fixture
def images(digits):
    return Images(digits.members.pixels[:6], torch.tensor([0, 1, 2, 0, 1, 2]), ("a", "b", "c"))


def test_the_teacher_is_asked_of_the_very_views(images, teacher, cpu):
    shown, said = labelled_views(images, teacher, RECIPE, count=3, seed=0, device=cpu)
    assert shown.pixels.shape == (18, 3, 32, 32)
    assert torch.equal(torch.bincount(shown.labels), 3 * torch.bincount(images.labels))
    assert torch.equal(said, predict(teacher, shown.pixels, device=cpu).softmax(1))
    assert not torch.equal(shown.pixels[:6], shown.pixels[6:12])


def test_views_without_augmentation_are_the_images(images, teacher, cpu):
    shown, _ = labelled_views(images, teacher, as_shown(RECIPE), count=2, seed=0, device=cpu)
    for part, labels in zip(shown.pixels.split(6), shown.labels.split(6), strict=True):
        order = [int((images.pixels == one).flatten(1).all(1).nonzero()[0]) for one in part]
        assert sorted(order) == list(range(6))
        assert torch.equal(labels, images.labels[order])


def test_views_are_cut_mixed_where_the_recipe_says_so(images, teacher, cpu):
    plain = as_shown(RECIPE)
    mixing = Recipe(steps=100, batch_size=6, crop_padding=0, flip=False, cutmix=1.0)
    shown, _ = labelled_views(images, teacher, mixing, count=4, seed=0, device=cpu)
    known = {bytes(image.numpy()) for image in images.pixels}
    assert any(bytes(image.numpy()) not in known for image in shown.pixels)
    assert (as_shown(mixing).cutmix, plain.flip, plain.crop_padding) == (0, False, 0)


def test_no_more_views_than_a_student_has_steps_for(images, teacher, cpu):
    short = Recipe(steps=2, batch_size=4, flip=False)
    assert len(labelled_views(images, teacher, short, count=50, seed=0, device=cpu)[0]) == 2 * 6


def test_another_seed_shows_other_views(images, teacher, cpu):
    one, again, other = (labelled_views(images, teacher, RECIPE, count=1, seed=s, device=cpu)[0] for s in (0, 0, 1))
    assert torch.equal(one.pixels, again.pixels)
    assert not torch.equal(one.pixels, other.pixels)


def test_partners_come_from_the_whole_release(teacher, cpu):
    """Releases are read in the order of their classes: neighbours are of one class, partners are not."""
    labels = torch.arange(3).repeat_interleave(40)
    plain = (80 * labels).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 32, 32).contiguous()
    mixing = Recipe(steps=100, batch_size=20, crop_padding=0, flip=False, cutmix=1.0)
    shown, _ = labelled_views(Images(plain, labels, ("a", "b", "c")), teacher, mixing, count=3, seed=0, device=cpu)
    mixed = [len(image.unique()) > 1 for image in shown.pixels]
    assert sum(mixed) / len(mixed) > 0.4
