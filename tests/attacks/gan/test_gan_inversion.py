from dataclasses import dataclass, replace

import pytest
import torch

from leakbench.attacks.gan.augmentation import augment, cutout, recolour, translate
from leakbench.attacks.gan.gan_inversion import GanInversion
from leakbench.attacks.gan.prior import Discriminator, PriorTraining
from leakbench.attacks.judging.judge import judge_class
from leakbench.attacks.view import PublishedModel
from leakbench.metrics.features import precision_recall
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe, penultimate, train
from leakbench.synth.seeds import seeded_rng

SMALL = {"prior_steps": 250, "prior_width": 64, "iterations": 100, "samples": 8}


def rng():
    return seeded_rng("test")


def test_translation_moves_an_image_and_cuts_what_leaves_it():
    """A single bright pixel moves by at most an eighth of the side, and every image by its own draw."""
    images = torch.zeros(64, 3, 16, 16)
    images[:, :, 8, 8] = 1
    moved = translate(images, rng())
    where = moved[:, 0].flatten(1).argmax(1)
    apart = torch.stack([where // 16 - 8, where % 16 - 8])
    assert (moved.flatten(1).sum(1) == 3).all()
    assert apart.abs().max() == 2
    assert len(apart.T.unique(dim=0)) > 10


def test_cutout_blackens_half_a_side_at_most():
    seen = cutout(torch.ones(64, 3, 16, 16), rng())
    black = (seen[:, 0] == 0).flatten(1).sum(1)
    assert set(seen.unique().tolist()) == {0.0, 1.0}
    assert 16 <= black.min() < black.max() <= 64


def test_recolouring_of_gray_is_brightness_and_contrast():
    """A flat gray image has neither saturation nor contrast: only its brightness changes, by up to 0.25."""
    flat = recolour(torch.full((64, 3, 8, 8), 0.5), rng())
    assert (flat.flatten(1).std(1) < 1e-5).all()
    assert 0.25 <= flat.min() < flat.max() <= 0.75


def test_gradients_pass_through():
    images = torch.rand(8, 3, 16, 16, generator=rng()).requires_grad_()
    augment(images, rng()).sum().backward()
    assert images.grad.abs().sum() > 0


def test_the_discriminator_is_lipschitz():
    """Every layer's spectral norm is 1 and so is the leaky ReLU's slope; 16 is what the strided 4x4 windows overlap."""
    with torch.random.fork_rng():
        judge = Discriminator(side=32, width=16).train()
    a, b = (torch.rand(16, 3, 32, 32, generator=seeded_rng(name)) for name in "ab")
    with torch.no_grad():
        for _ in range(20):
            judge(a)  # power iterations
        apart = (judge.eval()(a) - judge(b)).abs()
    assert (apart <= 2 * 16 * (a - b).flatten(1).norm(dim=1)).all()


@pytest.fixture(scope="module")
def prior(scenario):
    return scenario.train_on_auxiliary(PriorTraining(steps=SMALL["prior_steps"], width=SMALL["prior_width"]))


@pytest.mark.slow
def test_the_prior_converges_and_does_not_collapse(prior, digits, oracle, cpu):
    """Against the images it was trained on, in an oracle's features; an untrained generator's images have neither."""

    def shown(network):
        with torch.no_grad():
            pixels = (network.sample(100, rng()).clamp(0, 1) * 255).round().to(torch.uint8)
        return penultimate(oracle, pixels, device=cpu).double().numpy()

    real = penultimate(oracle, digits.auxiliary.pixels, device=cpu).double().numpy()
    untrained = PriorTraining(steps=1, width=64).train(digits.auxiliary, seed=5, device=cpu).generator
    precision, recall = precision_recall(shown(prior.generator), real)
    assert precision > 0.5
    assert recall > 0.1
    assert max(precision_recall(shown(untrained), real)) < 0.1


def test_the_same_is_learned_once(scenario):
    """The attack, its control and its other variant all use one prior; what is handed out is a copy."""
    counted = []

    @dataclass(frozen=True)
    class Counting:
        def learn(self, images, *, seed, device):
            counted.append(seed)
            return {"found": torch.zeros(1)}

        def restore(self, learned, images, *, device):
            return learned["found"]

    view = scenario.view(GanInversion(), "gan-inversion")
    view.train_on_auxiliary(Counting()).add_(1)
    assert view.train_on_auxiliary(Counting()) == 0
    assert len(counted) == 1


@pytest.fixture(scope="module")
def trained(digits, cpu):
    """A student and an oracle that know their digits: both are right on more than nine of ten."""

    def network(images, seed):
        recipe = Recipe(steps=100, batch_size=64, flip=False, crop_padding=2)
        return train(build("resnet20", classes=10, side=32, seed=seed), images, recipe, seed=seed, device=cpu)

    return PublishedModel(network(digits.members, 6), "resnet20", Recipe()), network(digits.holdout, 9)


@pytest.mark.slow
@pytest.mark.parametrize("search", ["points", "distribution"])
def test_class_leaks_from_identity_and_not_from_an_untrained_student(search, scenario, make_truth, trained, cpu):
    student, oracle = trained
    attacked, attack = replace(scenario, student=student), GanInversion(search=search, **SMALL)
    guess, control = (
        attack.run(attacked.view(attack, "gan-inversion", null=null), seed=0, device=cpu) for null in (False, True)
    )
    truth = replace(make_truth(attacked), oracle=oracle)
    found = {m.name: m for m in judge_class(guess, control, truth).measurements}
    assert found["class.oracle.attack"].value > 0.4
    assert found["class.oracle.excess"].low > 0
    assert found["class.oracle.control"].value < 0.3
    assert guess.notes["prior's precision"] > 0.3


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"prior_width": 6}, {"iterations": 0}, {"prior_steps": 0}])
def test_parameters_out_of_range(wrong):
    with pytest.raises(ValueError, match=f"gan-inversion.{next(iter(wrong))} must be"):
        GanInversion(**wrong)
