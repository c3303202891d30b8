"""The judge on cases solved by hand."""

from dataclasses import replace

import pytest
import torch

from attacks.candidates import class_means
from attacks.judge import Truth, judge_class, judge_images
from attacks.view import Reconstructions
from synth.types import Images, Split


def flat(values, labels):
    """Images of one grey value each."""
    pixels = torch.stack([torch.full((3, 16, 16), value, dtype=torch.uint8) for value in values])
    return Images(pixels, torch.tensor(labels), ("a", "b"))


class Bright(torch.nn.Module):
    """An oracle: dark is class 0, bright is class 1."""

    def forward(self, x):
        mean = x.mean((1, 2, 3))
        return torch.stack([0.5 - mean, mean - 0.5], 1)


@pytest.fixture
def truth(cpu):
    members = flat([0, 40, 200, 240], [0, 0, 1, 1])
    holdout = flat([20, 60, 180, 220], [0, 0, 1, 1])
    split = Split(
        members=members, holdout=holdout, auxiliary=flat([10, 50, 190, 230], [0, 0, 1, 1]), public=holdout, test=holdout
    )
    return Truth(
        released=members,
        victims=torch.tensor([2, 0, 1, 3]),
        source_index=torch.arange(4),
        split=split,
        oracle=Bright(),
        seed=0,
        device=cpu,
    )


def figures(verdict):
    return {m.name: m for m in verdict.measurements}


def test_a_perfect_reconstruction(truth):
    order = truth.victims
    guess = Reconstructions(truth.released.float()[order], truth.released.labels[order], torch.arange(4))
    found = figures(judge_images(guess, truth))
    assert found["trained.mae"].value == 0
    assert found["trained.psnr.attack"].value == pytest.approx(80, abs=1e-3)
    assert found["labels.accuracy"].value == 1
    assert found["trained.identification"].value == 1
    assert found["private.identification.attack"].value == 1
    assert found["private.identification.control"].value < 1
    assert found["private.psnr.attack"].value == pytest.approx(80, abs=1e-3)
    # The nearest holdout image is 20 grey levels away: PSNR = 20 log10(255 / 20).
    assert found["private.psnr.control"].value == pytest.approx(22.11, abs=0.01)
    assert found["private.psnr.excess"].value == pytest.approx(80 - 22.11, abs=0.01)


def test_guessing_strangers_is_no_leak(truth):
    strangers = truth.split.holdout
    guess = Reconstructions(strangers.float()[truth.victims], strangers.labels[truth.victims], torch.arange(4))
    found = figures(judge_images(guess, truth))
    assert found["private.psnr.excess"].value == pytest.approx(-(80 - 22.11), abs=0.01)
    assert found["trained.mae"].value == pytest.approx(20)
    assert found["private.identification.attack"].value == 0


def test_victims_are_found_in_the_order_of_the_attack(truth):
    """Victim 0 of the attack is released image 2; swapping victims must cost accuracy."""
    guess = Reconstructions(
        truth.released.float()[truth.victims], truth.released.labels[truth.victims], torch.tensor([1, 0, 2, 3])
    )
    found = figures(judge_images(guess, truth))
    assert found["trained.mae"].value == pytest.approx(2 * 200 / 4)
    assert found["labels.accuracy"].value == 0.5


def test_a_wrong_label_does_not_hide_a_right_image(truth):
    images = truth.released.take(truth.victims)
    wrong = Reconstructions(images.float(), 1 - images.labels, torch.arange(4))
    found = figures(judge_images(wrong, truth))
    assert found["labels.accuracy"].value == 0
    assert found["private.psnr.excess"].value == pytest.approx(80 - 22.11, abs=0.01)


def test_without_a_pairing_a_random_member_stands_in(truth):
    unpaired = replace(truth, source_index=None)
    strangers = truth.split.holdout
    guess = Reconstructions(strangers.float()[truth.victims], strangers.labels[truth.victims], torch.arange(4))
    found = figures(judge_images(guess, unpaired))
    assert found["private.identification.excess"].low <= 0


def test_the_baseline_is_the_mean_auxiliary_image(truth):
    means = class_means(truth.split.auxiliary)
    torch.testing.assert_close(means[:, 0, 0, 0] * 255, torch.tensor([30.0, 210.0]))
    guess = Reconstructions(
        means[truth.released.labels[truth.victims]], truth.released.labels[truth.victims], torch.arange(4)
    )
    found = figures(judge_images(guess, truth))
    assert found["trained.ssim.attack"].value == pytest.approx(found["trained.ssim.baseline"].value)


def test_class_and_members_are_two_questions(truth):
    """Images of the class that equal nobody: the class leaks, members do not."""
    guess = Reconstructions(
        torch.tensor([30.0, 30.0, 210.0, 210.0]).view(4, 1, 1, 1).expand(4, 3, 16, 16) / 255, torch.tensor([0, 0, 1, 1])
    )
    blank = Reconstructions(torch.full((4, 3, 16, 16), 0.9), torch.tensor([0, 0, 1, 1]))
    found = figures(judge_class(guess, blank, truth))
    assert found["class.oracle.attack"].value == 1
    assert found["class.oracle.control"].value == 0.5
    assert found["class.oracle.baseline"].value == 0.5
    assert found["class.oracle.excess"].value == 0.5
    assert found["private.psnr.excess"].value == pytest.approx(0, abs=1e-4)
