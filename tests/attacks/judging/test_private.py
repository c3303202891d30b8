"""Whether guesses are nearer to members: labels exchanged within a class, at the level that decides."""

from dataclasses import replace

import pytest
import torch

from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.judging.judge import judge_images, private_leak
from leakbench.attacks.judging.observer import Observer
from leakbench.metrics.decision import level
from leakbench.metrics.rates import clopper_pearson
from leakbench.synth.images import concatenate
from tests.attacks.judging.test_judge import figures, flat, truth
from tests.attacks.judging.test_relinked import small_network

__all__ = ["truth"]


def test_labels_are_exchanged_within_a_class_alone(truth):
    """One member and one other of class a, ten of each of class b: of what is guessed of a, two exchanges are possible.

    The member is nearer, by d; exchanged it is farther, by d. So the interval's lower end is d - d.
    """
    many = list(range(100, 110))
    members, holdout = flat([40, *many], [0] + [1] * 10), flat([160, *many], [0] + [1] * 10)
    asked = replace(truth, split=replace(truth.split, members=members, holdout=holdout))
    guess = Reconstructions(flat([50], [0]).float(), torch.tensor([0]))
    found = {m.name: m for m in private_leak(guess, asked)}
    assert found["private.ssim.excess"].value > 0.1
    assert found["private.ssim.excess"].low == pytest.approx(0, abs=1e-6)
    assert found["private.ssim.excess"].high == pytest.approx(2 * found["private.ssim.excess"].value)
    assert found["private.ssim.excess"].level == pytest.approx(1 - 0.05 / 3)


def test_those_that_decide_on_private_images_are_at_its_level(truth):
    guess = Reconstructions(truth.released.float()[[2, 0]], truth.released.labels[[2, 0]], torch.tensor([0, 1]))
    asked = replace(truth, victims=torch.tensor([2, 0]))
    found = figures(judge_images(guess, asked))
    assert (
        found["source.identification.excess"].level == found["private.ssim.excess"].level == pytest.approx(1 - 0.05 / 3)
    )
    assert found["trained.identification.excess"].level == 0.95
    expected = found["source.identification.control"].value
    assert found["source.identification.excess"].low == pytest.approx(
        clopper_pearson(2, 2, level=level("private")).low - expected
    )


def test_a_network_that_has_seen_nobody_tells_what_no_eye_does(truth, cpu):
    """Guesses are the members: their statistics are their own, and no other's."""
    members, holdout = truth.split.members, truth.split.holdout
    observer = Observer(small_network(), concatenate(members, holdout), cpu)
    guess = Reconstructions(members.float(), members.labels)
    found = {m.name: m for m in private_leak(guess, replace(truth, observer=observer))}
    assert found["private.statistics.attack"].value == pytest.approx(1)
    assert found["private.statistics.excess"].value > 0
    assert found["private.statistics.excess"].level == pytest.approx(1 - 0.05 / 3)
    assert "private.statistics.excess" not in {m.name for m in private_leak(guess, truth)}
