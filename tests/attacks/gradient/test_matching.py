"""The family as a whole: a case solved in closed form, every variant's power, and both controls."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from leakbench.attacks.gradient.dlg import DLG
from leakbench.attacks.gradient.gradinversion import GradInversion
from leakbench.attacks.gradient.idlg import IDLG
from leakbench.attacks.gradient.inverting_gradients import InvertingGradients
from leakbench.attacks.gradient.matching import chunk
from leakbench.attacks.gradient.priors import BatchNormPrior
from leakbench.attacks.judging.judge import judge_images
from leakbench.attacks.shared_gradients import SharedGradients
from leakbench.attacks.view import Access, View
from leakbench.metrics.decision import detected
from leakbench.synth.networks.architectures import MEAN, STD
from leakbench.synth.networks.training import Recipe


def view_of(shared):
    return View(threat_model="test", grants={Access.GRADIENTS: lambda: shared})


def psnr(a, b):
    return 10 * torch.log10(1 / (a - b).square().mean((1, 2, 3)))


@pytest.mark.parametrize("attack", [IDLG(iterations=300), DLG(iterations=300)])
def test_a_linear_models_input_follows_in_closed_form(attack, cpu):
    """A row of the weight's gradient over the same row of the bias's is the input: the search must find it too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 5))
    rng = torch.Generator().manual_seed(3)
    images, labels = torch.rand((4, 3, 4, 4), generator=rng), torch.tensor([0, 2, 2, 4])
    gradients = [
        torch.autograd.grad(nn.functional.cross_entropy(network(x[None]), y[None]), list(network.parameters()))
        for x, y in zip(images, labels, strict=True)
    ]
    weight, bias = (torch.stack(column) for column in zip(*gradients, strict=True))
    closed = (weight[:, 0] / bias[:, :1]).view_as(images)
    torch.testing.assert_close(closed, images, atol=1e-4, rtol=0)
    shared = SharedGradients(network=network, gradients=(weight, bias), image_shape=(3, 4, 4), classes=5)
    guess = attack.run(view_of(shared), seed=0, device=cpu)
    torch.testing.assert_close(guess.pixels, closed, atol=1e-2, rtol=0)
    assert guess.labels.tolist() == labels.tolist()
    assert guess.clients.tolist() == [0, 1, 2, 3]


def judged(attack, victims, make_truth, source, cpu):
    guess = attack.run(victims.view(attack, "attack"), seed=0, device=cpu)
    return {m.name: m for m in judge_images(guess, make_truth(victims, source)).measurements}


def test_both_controls(scenario, disjoint, make_truth, pairing, cpu):
    attack = InvertingGradients(iterations=120)
    ten = replace(scenario.clients, victims=10)
    found = {
        name: judged(attack, replace(victims, clients=ten), make_truth, source, cpu)
        for name, victims, source in (("identity", scenario, pairing), ("disjoint", disjoint, None))
    }
    assert found["identity"]["trained.ssim.excess"].low > 0
    assert found["identity"]["private.ssim.excess"].low > 0
    assert detected([list(found["identity"].values())], "private") is True
    assert found["disjoint"]["trained.ssim.excess"].low > 0
    assert found["disjoint"]["private.ssim.excess"].low <= 0
    assert detected([list(found["disjoint"].values())], "private") is False


@pytest.mark.parametrize(
    ("attack", "clients"),
    [
        (IDLG(iterations=250), {"network": "lenet"}),
        (InvertingGradients(iterations=120), {"batch": 2}),
        (InvertingGradients(iterations=60), {"local_steps": 3, "learning_rate": 0.05}),
        (InvertingGradients(iterations=60, bf16=True), {}),
        (GradInversion(iterations=100, restarts=2), {}),
    ],
)
def test_every_variant_and_scenario_has_power(attack, clients, scenario, make_truth, pairing, cpu):
    victims = replace(scenario, clients=replace(scenario.clients, victims=4, **clients))
    found = judged(attack, victims, make_truth, pairing, cpu)
    assert found["trained.psnr.excess"].value > 0
    assert found["trained.ssim.best"].value > found["trained.ssim.best-control"].value


def test_sent_statistics_are_met_by_the_truth_alone(scenario):
    clients = replace(
        scenario.clients, network="resnet20", victims=4, batch=2, mode="train", statistics="sent", labels_known=True
    )
    victims = replace(scenario, clients=clients)
    shared = victims.view(GradInversion(), "gradinversion").gradients()
    truth = scenario.release.images.take(victims.order[:4])
    assert shared.labels.flatten().tolist() == truth.labels.tolist()
    prior = BatchNormPrior(shared, torch.arange(2))
    images = ((truth.float() - MEAN) / STD).unflatten(0, (2, 2))
    assert prior(images).max() < 1e-2
    assert prior(images.flip(0)).min() > 1


@pytest.mark.parametrize("state", ["one-epoch", "trained"])
def test_trained_networks_can_be_attacked(state, scenario, make_truth, pairing, cpu):
    recipe = Recipe(steps=12, batch_size=50, learning_rate=0.02, flip=False, crop_padding=0)
    victims = replace(scenario, clients=replace(scenario.clients, victims=2, state=state, recipe=recipe))
    assert state.replace("-", " ") in victims.describe(InvertingGradients())[0]
    found = judged(InvertingGradients(iterations=20), victims, make_truth, pairing, cpu)
    assert found["trained.psnr.attack"].value > 5


def test_restarts_find_at_least_as_good_an_objective_and_giving_up_saves(scenario, cpu):
    victims = replace(scenario, clients=replace(scenario.clients, network="lenet", victims=3))
    view = victims.view(IDLG(), "idlg")
    guess = IDLG(iterations=80, restarts=4, give_up=0.01).run(view, seed=0, device=cpu)
    assert 0 < guess.notes["share of iterations saved by giving up"] < 0.75
    patient = IDLG(iterations=80, restarts=4, give_up=0.0).run(view, seed=0, device=cpu)
    assert patient.notes["share of iterations saved by giving up"] == 0


def test_a_clients_search_does_not_depend_on_its_neighbours(scenario, cpu):
    """Up to rounding, which a search amplifies: two iterations only."""
    shared = scenario.view(IDLG(), "idlg").gradients()
    both = IDLG(iterations=2).run(view_of(shared), seed=0, device=cpu)
    alone = replace(shared, gradients=tuple(g[:1] for g in shared.gradients))
    torch.testing.assert_close(
        both.pixels[:1], IDLG(iterations=2).run(view_of(alone), seed=0, device=cpu).pixels, atol=1e-3, rtol=0
    )


def test_chunks_follow_the_batch(scenario, cpu):
    shared = scenario.view(IDLG(), "idlg").gradients()
    assert chunk(shared, 1, cpu) == 32
    assert chunk(shared, 4, cpu) == 8
    assert chunk(replace(shared, batch=16), 4, cpu) == 1


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"iterations": 0}, "must be >= 1"),
        ({"restarts": 0}, "must be >= 1"),
        ({"give_up": -1.0}, "must be >= 0"),
        ({"tv_weight": -1.0}, "tv_weight must be >= 0"),
    ],
)
def test_bad_parameters(bad, why):
    with pytest.raises(ValueError, match=why):
        InvertingGradients(**bad)


def test_gradinversion_does_not_give_up_what_holds_it_together():
    with pytest.raises(ValueError, match="hold each other together"):
        GradInversion(give_up=0.5)


def test_what_is_not_finite_is_said(scenario, cpu):
    shared = scenario.view(IDLG(), "idlg").gradients()
    broken = replace(shared, gradients=tuple(g * float("nan") for g in shared.gradients))
    with pytest.raises(FloatingPointError, match="not finite"):
        InvertingGradients(iterations=2).run(view_of(broken), seed=0, device=cpu)


@pytest.mark.parametrize("iterations", [1, 3])
def test_few_iterations_with_restarts(iterations, scenario, cpu):
    attack = InvertingGradients(iterations=iterations, restarts=2, tv_weight=0.0)
    assert len(attack.run(scenario.view(attack, "ig"), seed=0, device=cpu).pixels) == 6


@pytest.mark.slow
def test_dlg_reconstructs_digits_from_an_untrained_lenet(scenario, make_truth, pairing, cpu):
    victims = replace(scenario, clients=replace(scenario.clients, network="lenet", victims=8))
    found = judged(DLG(iterations=3000, restarts=2), victims, make_truth, pairing, cpu)
    assert found["trained.psnr.attack"].value > 20
