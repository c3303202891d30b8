"""The judge on cases solved by hand."""

import math
from dataclasses import replace

import pytest
import torch

from leakbench.attacks.guess import Reconstructions, Scores
from leakbench.attacks.judging.candidates import class_means
from leakbench.attacks.judging.judge import (
    judge_class,
    judge_images,
    judge_members,
    judge_memorization,
)
from leakbench.attacks.judging.truth import Truth, one_source
from leakbench.metrics import decision
from leakbench.metrics.rates import clopper_pearson
from leakbench.synth.images import Images, Split


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
        sources=torch.arange(4)[:, None],
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
    assert found["trained.mae.attack"].value == 0
    assert found["trained.psnr.attack"].value == pytest.approx(80, abs=1e-3)
    assert found["labels.accuracy"].value == 1
    assert found["trained.identification.attack"].value == 1
    assert found["source.identification.attack"].value == 1
    assert found["source.identification.control"].value < 1
    assert found["private.psnr.attack"].value == pytest.approx(80, abs=1e-3)
    # The nearest holdout image is 20 grey levels away: PSNR = 20 log10(255 / 20).
    assert found["private.psnr.control"].value == pytest.approx(22.11, abs=0.01)
    assert found["private.psnr.excess"].value == pytest.approx(80 - 22.11, abs=0.01)


def test_guessing_strangers_is_no_leak(truth):
    strangers = truth.split.holdout
    guess = Reconstructions(strangers.float()[truth.victims], strangers.labels[truth.victims], torch.arange(4))
    found = figures(judge_images(guess, truth))
    assert found["private.psnr.attack"].value == pytest.approx(22.11, abs=0.01), "to members alone"
    assert found["private.psnr.control"].value == pytest.approx(80, abs=0.01), "to the holdout alone"
    assert found["private.psnr.excess"].value == pytest.approx(-(80 - 22.11), abs=0.01)
    assert found["trained.mae.attack"].value == pytest.approx(20)
    assert found["source.identification.attack"].value == 0


def test_victims_are_found_in_the_order_of_the_attack(truth):
    """Victim 0 of the attack is released image 2; swapping victims must cost accuracy."""
    guess = Reconstructions(
        truth.released.float()[truth.victims], truth.released.labels[truth.victims], torch.tensor([1, 0, 2, 3])
    )
    found = figures(judge_images(guess, truth))
    assert found["trained.mae.attack"].value == pytest.approx(2 * 200 / 4)
    assert found["labels.accuracy"].value == 0.5


def test_a_wrong_label_does_not_hide_a_right_image(truth):
    images = truth.released.take(truth.victims)
    wrong = Reconstructions(images.float(), 1 - images.labels, torch.arange(4))
    found = figures(judge_images(wrong, truth))
    assert found["labels.accuracy"].value == 0
    assert found["private.psnr.excess"].value == pytest.approx(80 - 22.11, abs=0.01)


def test_a_stand_in_that_happens_to_be_found_is_no_leak(truth):
    """The guesses are the very members that stand in: nobody says that these stand behind what was attacked."""
    unpaired = replace(truth, sources=None)
    labels = truth.released.labels[truth.victims]
    drawn = truth.split.members.take(one_source(truth.victims, unpaired))
    found = figures(judge_images(Reconstructions(drawn.float(), labels, torch.arange(4)), unpaired))
    assert found["source.identification.attack"].value > found["source.identification.control"].value
    assert found["source.identification.excess"].low is None, "it decides nothing"
    assert not decision.above_zero([list(found.values())], "source.identification.excess")


def test_the_baseline_is_the_mean_auxiliary_image(truth):
    means = class_means(truth.split.auxiliary)
    torch.testing.assert_close(means[:, 0, 0, 0] * 255, torch.tensor([30.0, 210.0]))
    guess = Reconstructions(
        means[truth.released.labels[truth.victims]], truth.released.labels[truth.victims], torch.arange(4)
    )
    found = figures(judge_images(guess, truth))
    assert found["trained.ssim.attack"].value == pytest.approx(found["trained.ssim.baseline"].value)


def test_the_baseline_of_members_is_how_near_the_mean_image_comes_to_them(truth):
    """Class a: 34 is 6 from member 40 and 14 from 20, who was not one; class b: 206 is 6 from 200 and 14 from 220."""
    truth = replace(truth, split=replace(truth.split, auxiliary=flat([34, 206], [0, 1])))
    guess = Reconstructions(
        truth.released.float()[truth.victims], truth.released.labels[truth.victims], torch.arange(4)
    )
    found = figures(judge_images(guess, truth))
    assert found["private.psnr.baseline"].value == pytest.approx(20 * math.log10(255 / 6), abs=0.01)


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
    assert found["trained.class.attack"].value == 1, "nearest released images: 40 and 200"
    assert found["trained.class.control"].value == 0.5, "240, of class b"
    assert found["private.psnr.excess"].value == pytest.approx(0, abs=1e-4)


def test_oracle_and_nearest_released_image_look_at_the_pixels(truth):
    """Bright guesses that claim the dark class and dark ones that claim the bright: all are wrong, however they lie."""
    guess = Reconstructions(
        torch.tensor([210.0, 190.0, 30.0, 50.0]).view(4, 1, 1, 1).expand(4, 3, 16, 16) / 255, torch.tensor([0, 0, 1, 1])
    )
    right = Reconstructions(guess.pixels, 1 - guess.labels)
    found = figures(judge_class(guess, right, truth))
    for rate in ("class.oracle", "trained.class"):
        assert (found[f"{rate}.attack"].value, found[f"{rate}.control"].value) == (0, 1)
        assert found[f"{rate}.excess"].value == -1


def test_a_clients_images_are_paired_once_for_the_least_error(truth):
    """Two clients of two images each, guessed in the wrong order: nothing is lost, the controls are paired as well."""
    batched = replace(truth, batch=2)
    right = truth.released.take(truth.victims)
    swapped = torch.tensor([1, 0, 3, 2])
    guess = Reconstructions(right.float()[swapped], right.labels[swapped], torch.tensor([0, 0, 1, 1]))
    found = figures(judge_images(guess, batched))
    assert found["trained.mae.attack"].value == 0
    assert found["labels.accuracy"].value == 1
    assert found["trained.ssim.best"].value == pytest.approx(1)
    assert found["source.psnr.attack"].value == pytest.approx(80, abs=1e-3)
    across = Reconstructions(right.float().flip(0), right.labels.flip(0), torch.tensor([0, 0, 1, 1]))
    assert figures(judge_images(across, batched))["trained.mae.attack"].value > 0


def test_repeated_labels_count_as_often_as_they_are_there(truth):
    right = truth.released.take(truth.victims)  # labels 1 0 | 0 1
    guess = Reconstructions(right.float(), torch.tensor([1, 1, 0, 1]), torch.tensor([0, 0, 1, 1]))
    assert figures(judge_images(guess, replace(truth, batch=2)))["labels.accuracy"].value == 0.75


def test_a_client_has_as_many_images_as_it_has(truth):
    right = truth.released.take(truth.victims)
    guess = Reconstructions(right.float()[:3], right.labels[:3], torch.tensor([0, 0, 1]))
    with pytest.raises(ValueError, match=r"must claim 2 images of a client, got \[1, 2\]"):
        judge_images(guess, replace(truth, batch=2))


def test_a_client_counts_as_one_trial(truth):
    """Four images of one client, all found: one hit of one trial, and no interval for a mean."""
    right = truth.released.take(truth.victims)
    guess = Reconstructions(right.float(), right.labels, torch.zeros(4, dtype=torch.long))
    found = figures(judge_images(guess, replace(truth, batch=4)))
    rate = found["source.identification.attack"]
    assert (rate.value, rate.n) == (1, 1)
    assert rate.low == pytest.approx(0.025)
    assert found["trained.ssim.excess"].low is None


def test_no_client_may_be_skipped(truth):
    right = truth.released.take(truth.victims)
    guess = Reconstructions(right.float()[2:], right.labels[2:], torch.tensor([2, 3]))
    with pytest.raises(ValueError, match="skip none"):
        judge_images(guess, truth)


def test_gray_guesses_are_judged_in_gray(make_truth, scenario, pairing):
    """By hand: luma images of the victims are exact; so is every bit."""
    truth = make_truth(scenario, pairing)
    victims = truth.released.take(truth.victims[:4])
    guess = Reconstructions(victims.gray().float(), victims.labels, torch.arange(4))
    found = {m.name: m.value for m in judge_images(guess, truth).measurements}
    assert found["trained.mae.attack"] == 0
    assert found["trained.ssim.attack"] == pytest.approx(1)
    assert found["trained.identification.attack"] == 1


def test_memorization_by_hand(make_truth, scenario, pairing):
    """One victim's every value is off by its lowest bit: 1 of 8 bits, 1 of 255."""
    truth = make_truth(scenario, pairing)
    victims = truth.released.take(truth.victims[:1])
    guess = Reconstructions((victims.pixels ^ 1).float() / 255, victims.labels, torch.arange(1))

    def model(right):
        """Knows the first `right` of the test images and takes the others for the next class."""
        test = truth.split.test
        wanted = test.labels.clone()
        wanted[right:] = (wanted[right:] + 1) % 10
        known = {pixels.numpy().tobytes(): label for pixels, label in zip(test.pixels, wanted, strict=True)}

        class Lookup(torch.nn.Module):
            def forward(self, x):
                seen = (x * 255).round().to(torch.uint8).contiguous()
                return torch.eye(10)[[known[row.numpy().tobytes()] for row in seen]]

        return Lookup()

    count = len(truth.split.test)
    found = {
        m.name: m for m in judge_memorization(guess, truth, model=model(50), honest=model(60), bits=True).measurements
    }
    assert found["trained.bit-errors"].value == pytest.approx(1 / 8)
    assert found["trained.mae.attack"].value == pytest.approx(1, rel=1e-4)
    assert found["model.accuracy"].value == pytest.approx(100 * 50 / count)
    assert found["honest.accuracy"].value == pytest.approx(100 * 60 / count)
    assert found["model.cost"].value == pytest.approx(1000 / count)
    assert found["model.cost"].low > 0, "paired: the ten images are lost for sure"
    same = judge_memorization(guess, truth, model=model(50), honest=model(50), bits=False)
    found = {m.name: m for m in same.measurements}
    assert found["model.cost"].value == 0
    assert found["model.cost"].high > 100 / count, "no difference on 200 images is not no difference"
    assert "trained.bit-errors" not in found
    assert "trained.bit-errors" in same.absent


def test_membership_by_hand(truth):
    """Candidates 4 members and 4 others: three members score above all others, one below all."""
    order = torch.tensor([4, 0, 5, 1, 6, 2, 7, 3])
    shown = replace(truth, candidates=order)
    values = torch.tensor([0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.0])
    verdict = judge_members(Scores(values), shown)
    found = {m.name: m for m in verdict.measurements}
    assert found["members.auc.attack"].value == pytest.approx(12 / 16)
    assert found["members.auc.control"].value == 0.5
    assert found["members.auc.excess"].value == pytest.approx(0.25)
    assert found["members.auc.excess"].low < 0, "eight candidates prove nothing"
    assert verdict.absent["members.tpr-at-1"] == "4 non-members resolve no false positive rate below 0.25"
    assert not [name for name in found if "tpr" in name], "nothing below what can be resolved is printed"
    with pytest.raises(ValueError, match="needs 8 scores, one a candidate, got 7"):
        judge_members(Scores(values[:7]), shown)


def test_tpr_at_one_percent_by_hand(truth):
    """Of 100 others one may score above the threshold; 60 of 100 members do."""
    members, holdout = flat([0] * 100, [0] * 100), flat([255] * 100, [0] * 100)
    shown = replace(truth, split=replace(truth.split, members=members, holdout=holdout), candidates=torch.arange(200))
    values = torch.cat([torch.full((60,), 2.0), torch.zeros(40), torch.tensor([3.0]), torch.ones(99)])
    found = {m.name: m for m in judge_members(Scores(values), shown).measurements}
    assert found["members.tpr-at-1.attack"].value == 0.6
    assert found["members.tpr-at-1.control"].value == 0.01
    excess = found["members.tpr-at-1.excess"]
    assert excess.value == pytest.approx(0.59)
    assert excess.level == pytest.approx(1 - 0.05 / 6), "six figures decide together"
    low, high = (clopper_pearson(*counts, level=excess.level) for counts in ((60, 100), (1, 100)))
    assert excess.low == pytest.approx(low.low - high.high), "no more than the threshold's own uncertainty leaves"


@pytest.mark.parametrize("values", [torch.tensor([1.0, float("nan")]), torch.ones(2, 2)])
def test_bad_scores_are_refused(values):
    with pytest.raises(ValueError, match="finite, one for each candidate"):
        Scores(values)
