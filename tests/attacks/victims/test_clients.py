"""What clients share is what their defense made of it."""

import copy

import pytest
import torch

from leakbench.attacks.victims.clients import GradientClients, local_update, share_gradients, shared_whole
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe


def test_a_defense_stands_between_the_gradient_and_who_reads_it(digits, cpu):
    clients = GradientClients(victims=4, batch=2)
    network = build("dcgan", classes=10, side=digits.members.side, seed=0).eval()
    images = digits.members.take(torch.arange(4))
    seen = []

    def share(gradients, resources):
        seen.append((resources.seed, gradients))
        return tuple(gradient + 7 for gradient in gradients)

    shared = share_gradients(clients, network, images, share, seed=1)
    assert len(seen) == 2, "once a client"
    assert len({seed for seed, _ in seen}) == 2, "each with noise of its own"
    for layer, after in enumerate(shared.gradients):
        before = torch.stack([gradients[layer] for _, gradients in seen])
        assert torch.equal(after, before + 7)


def test_defaults_are_those_of_the_docstring():
    """One image a client, one step, batch norm in evaluation mode, nothing sent along, labels unknown."""
    clients = GradientClients()
    assert (clients.network, clients.state, clients.victims, clients.batch) == ("dcgan", "untrained", 16, 1)
    assert (clients.local_steps, clients.learning_rate, clients.mode) == (1, 0.01, "eval")
    assert (clients.statistics, clients.labels_known) == ("kept", False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"victims": 0},
        {"batch": 0},
        {"local_steps": 0},
        {"victims": 6, "batch": 4},
        {"learning_rate": 0.0},
        {"learning_rate": float("inf")},
        {"learning_rate": float("nan")},
        {"statistics": "sent"},
        {"statistics": "running"},
    ],
)
def test_scenarios_that_nobody_can_play(wrong):
    with pytest.raises(ValueError, match=r"must be|need"):
        GradientClients(**wrong)


def test_scenarios_that_can_be_played():
    assert GradientClients(victims=6, batch=3).batch == 3
    assert GradientClients(victims=1, learning_rate=0.5).learning_rate == 0.5
    assert GradientClients(statistics="sent", mode="train").statistics == "sent"


def fresh(name, purpose, classes):
    return build(name, classes=classes, side=32, seed=0)


@pytest.mark.parametrize(
    ("clients", "said"),
    [
        (GradientClients(), "dcgan, untrained, batch 1, FedSGD gradient, no batch norm, labels inferred"),
        (
            GradientClients(network="resnet20", state="one-epoch", batch=4, labels_known=True),
            "resnet20, one epoch, batch 4, FedSGD gradient, batch norm in eval mode, its statistics not sent, "
            "labels known",
        ),
        (
            GradientClients(
                network="resnet20",
                state="trained",
                recipe=Recipe(steps=7),
                local_steps=3,
                mode="train",
                statistics="sent",
            ),
            "resnet20, trained for 7 steps, batch 1, FedAvg update of 3 local steps at rate 0.01, "
            "batch norm in train mode, its statistics sent, labels inferred",
        ),
    ],
)
def test_a_row_says_what_a_reconstruction_depends_on(clients, said):
    norms = any(isinstance(layer, torch.nn.BatchNorm2d) for layer in fresh(clients.network, "", 2).modules())
    assert norms is ("no batch norm" not in said)
    assert clients.describe(fresh) == said


@pytest.mark.parametrize(("state", "steps"), [("untrained", None), ("one-epoch", 5), ("trained", 9)])
def test_where_clients_start(state, steps, digits):
    """A fresh network with the release's classes; or one trained on it, for an epoch of 200 images in 40 or in full."""
    asked, trained_network = [], build("resnet20", classes=10, side=32, seed=1)

    def trained(name, recipe):
        asked.append((name, recipe.steps))
        return trained_network

    clients = GradientClients(network="resnet20", state=state, recipe=Recipe(steps=9, batch_size=40), mode="train")
    network = clients.start(fresh, trained, digits.members)
    assert asked == ([] if steps is None else [("resnet20", steps)])
    assert network is not trained_network, "clients have a copy"
    same = all(torch.equal(a, b) for a, b in zip(network.parameters(), trained_network.parameters(), strict=True))
    assert same is (state != "untrained")
    assert network(digits.members.float()[:2]).shape == (2, 10)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_batch_norm_is_in_the_mode_that_is_asked_for(mode, digits):
    network = GradientClients(network="resnet20", mode=mode).start(fresh, None, digits.members)
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert norms
    assert all(layer.training is (mode == "train") for layer in norms)
    assert not network.training, "everything else is off"


def test_an_epoch_has_a_step_at_least(digits):
    asked = []
    clients = GradientClients(state="one-epoch", recipe=Recipe(steps=3, batch_size=1000))
    clients.start(fresh, lambda name, recipe: asked.append(recipe.steps) or fresh(name, "", 10), digits.members)
    assert asked == [1]


@pytest.mark.parametrize("known", [False, True])
def test_what_is_shared_with_the_gradients(known, digits):
    """Labels where they are known, statistics where they are sent, and what the scenario says."""
    clients = GradientClients(
        network="resnet20",
        victims=4,
        batch=2,
        local_steps=3,
        learning_rate=0.125,
        mode="train",
        statistics="sent" if known else "running",
        labels_known=known,
    )
    images = digits.members.take(torch.arange(4))
    network = clients.start(fresh, None, images)
    shared = share_gradients(clients, network, images, shared_whole, seed=0)
    assert (shared.batch, shared.local_steps, shared.learning_rate, shared.classes) == (2, 3, 0.125, 10)
    assert shared.image_shape == (3, 32, 32)
    assert (shared.labels is not None) is (shared.statistics is not None) is (shared.running is None) is known
    assert len(shared.gradients[0]) == 2, "clients"
    if known:
        assert shared.labels.tolist() == images.labels.view(2, 2).tolist()
        first = images.float()[:2]
        mean, variance = shared.statistics[0]
        inputs = []
        layer = next(module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d))
        layer.register_forward_pre_hook(lambda module, given: inputs.append(given[0].detach()))
        network(first)
        assert torch.allclose(mean[0], inputs[0].mean((0, 2, 3)), atol=1e-5)
        assert torch.allclose(variance[0], inputs[0].var((0, 2, 3), correction=0), atol=1e-4)


def test_an_update_is_what_the_parameters_lost(digits):
    """Of three steps at 0.05: start minus end, over the rate; the network itself is left as it was."""
    images = digits.members.take(torch.arange(2))
    network = fresh("dcgan", "", 10).eval()
    before = [p.detach().clone() for p in network.parameters()]
    total, observed, _ = local_update(network, images.float(), images.labels, steps=3, rate=0.05)
    assert observed == []
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    model = copy.deepcopy(network)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images.float()), images.labels).backward()
        optimizer.step()
    for lost, start, end in zip(total, before, model.parameters(), strict=True):
        assert torch.allclose(lost, (start - end.detach()) / 0.05, atol=1e-4)
