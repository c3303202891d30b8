import pytest
import torch

from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.judging.class_likeness import NEIGHBOURS, _other, class_likeness
from leakbench.synth.images import concatenate
from leakbench.synth.networks.training import penultimate, predict

CLASSES = (2, 3, 7)


def showing(images, count=12):
    """The first images of each of three classes, as a guess."""
    parts = concatenate(*(images.of_class(label).take(torch.arange(count)) for label in CLASSES))
    return Reconstructions(parts.float(), parts.labels)


def noise(count=12):
    pixels = torch.rand(count * len(CLASSES), 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return Reconstructions(pixels, torch.tensor(CLASSES).repeat_interleave(count))


def figures(guess, truth, control=None):
    found, absent = class_likeness(guess, control or noise(), truth)
    assert not absent
    return {m.name: m.value for m in found}


@pytest.fixture
def truth(scenario, make_truth):
    return make_truth(scenario)


def test_members_are_nearest_to_members_and_far_from_other_classes(digits, truth):
    found = figures(showing(digits.members), truth)
    assert found["class.frechet.attack"] < found["class.frechet.control"]
    for name in ("class.frechet", "class.kernel"):
        assert max(found[f"{name}.attack"], found[f"{name}.control"]) < found[f"{name}.baseline"]
        assert found[f"{name}.excess"] == pytest.approx(found[f"{name}.control"] - found[f"{name}.attack"])


def test_real_images_have_precision_and_recall_noise_has_neither(digits, truth):
    found = figures(showing(digits.public, 8), truth)
    assert found["class.precision.attack"] > 0.5
    assert found["class.recall.attack"] > 0.3
    assert found["class.precision.control"] < 0.2
    assert found["class.precision.baseline"] < found["class.precision.attack"]


def test_a_collapsed_generator_loses_its_recall(digits, truth):
    one = showing(digits.holdout, 1)
    many = Reconstructions(one.pixels.repeat_interleave(12, 0), one.labels.repeat_interleave(12))
    found = figures(many, truth)
    assert found["class.precision.attack"] == 1
    assert found["class.recall.attack"] < 0.2


def test_too_few_images_are_said(digits, truth):
    found, absent = class_likeness(showing(digits.members, 3), noise(3), truth)
    assert not found
    assert absent["class.recall"] == "3 generated images of a class are too few; it takes 4"


def test_penultimate_features_make_the_logits(digits, oracle, cpu):
    pixels = digits.test.pixels[:20]
    features = penultimate(oracle, pixels, device=cpu)
    assert features.shape == (20, 64)
    with torch.no_grad():
        logits = oracle[1][-1](features)
    torch.testing.assert_close(logits, predict(oracle, pixels, device=cpu), atol=0.1, rtol=0.05)  # bf16
    assert not oracle[1][-1]._forward_pre_hooks


def test_the_next_class_is_the_other_one():
    parts = dict.fromkeys((2, 3, 7))
    assert [_other(label, parts) for label in (2, 3, 7)] == [3, 7, 2]


def test_how_many_images_of_a_class_it_takes(digits, truth):
    assert class_likeness(showing(digits.members, NEIGHBOURS + 1), noise(NEIGHBOURS + 1), truth)[0]
    for few in (NEIGHBOURS, NEIGHBOURS - 1):
        assert not class_likeness(showing(digits.members, few), noise(few), truth)[0]
