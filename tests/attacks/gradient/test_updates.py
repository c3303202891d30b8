"""What a client shares, computed three ways: by a client, by vmap over grad, and stacked; in double precision."""

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from leakbench.attacks.gradient.updates import Stacked, Unrolled, client_updates
from leakbench.attacks.shared_gradients import SharedGradients
from leakbench.attacks.victims.clients import GradientClients, local_update
from leakbench.synth.networks.architectures import build


def shared_from(network, batch, steps=1):
    return SharedGradients(
        network=network,
        gradients=(),
        image_shape=(3, 32, 32),
        classes=10,
        batch=batch,
        local_steps=steps,
        learning_rate=0.1,
    )


def victims(batch):
    rng = torch.Generator().manual_seed(0)
    return torch.rand((2, batch, 3, 32, 32), generator=rng, dtype=torch.float64), torch.randint(
        0, 10, (2, batch), generator=rng
    )


def settled(name, mode):
    """A network whose running statistics are not those it was born with."""
    network = build(name, classes=10, side=32, seed=0).double().train()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
        network(victims(8)[0].flatten(0, 1))
    return network.train(mode == "train")


def close(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "mode", "batch"),
    [*itertools.product(("resnet20", "dcgan", "lenet"), ("eval", "train"), (1, 3)), ("mobilenet-v2", "eval", 2)],
)
def test_stacked_and_vmapped_updates_are_the_clients_own(name, mode, batch):
    network = settled(name, mode)
    images, labels = victims(batch)
    targets = one_hot(labels, 10).double()
    stacked = Stacked(network, batch, bf16=False)(images, targets)
    unrolled = Unrolled(shared_from(network, batch), bf16=False)(images, targets)
    for client in range(2):
        own, *_ = local_update(network, images[client], labels[client], steps=1, rate=0.1)
        close([g[client] for g in stacked], own)
        close([g[client] for g in unrolled], own)


def test_unrolled_local_steps_are_the_clients_own():
    network = settled("resnet20", "train")
    images, labels = victims(2)
    update = client_updates(shared_from(network, 2, steps=3))
    assert isinstance(update, Unrolled)
    found = update(images, one_hot(labels, 10).double())
    own, *_ = local_update(network, images[1], labels[1], steps=3, rate=0.1)
    close([g[1] for g in found], own)


def test_a_local_update_is_what_the_parameters_lose():
    network = build("lenet", classes=10, side=32, seed=0).double()
    images, labels = victims(2)
    start = copy.deepcopy(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        cross_entropy(network(images[0]), labels[0]).backward()
        optimizer.step()
    found, *_ = local_update(start, images[0], labels[0], steps=2, rate=0.5)
    close(found, [(a - b).detach() / 0.5 for a, b in zip(start.parameters(), network.parameters(), strict=True)])


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_second_derivative_is_that_of_plain_torch(mode):
    """Of a weighted sum of the gradients with respect to the images."""
    network = settled("resnet20", mode)
    images, labels = victims(2)
    targets = one_hot(labels, 10).double()
    rng = torch.Generator().manual_seed(1)
    weights = [torch.randn((2, *p.shape), generator=rng, dtype=torch.float64) for p in network.parameters()]
    mine = images.clone().requires_grad_()
    update = Stacked(network, 2, bf16=False)(mine, targets)
    (found,) = torch.autograd.grad(update, mine, weights)
    for client in range(2):
        plain, x = copy.deepcopy(network), images[client].clone().requires_grad_()
        loss = cross_entropy(plain(x), labels[client])
        gradients = torch.autograd.grad(loss, list(plain.parameters()), create_graph=True)
        (expected,) = torch.autograd.grad(gradients, x, [w[client] for w in weights])
        close([found[client]], [expected])


def test_what_stacking_does_not_know_is_unrolled():
    with torch.random.fork_rng(devices=[]):
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.Flatten(), nn.Linear(144, 10))
    assert isinstance(client_updates(shared_from(network.eval(), 1)), Unrolled)


def test_statistics_are_those_of_a_layers_inputs():
    with torch.random.fork_rng(devices=[]):
        network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 16 * 16, 10)).train()
        images, labels = torch.rand(4, 3, 16, 16), torch.arange(4)
    _, ((mean, variance),), ((moved, _),) = local_update(network, images, labels, steps=2, rate=0.1)
    torch.testing.assert_close(mean, images.mean((0, 2, 3)))
    torch.testing.assert_close(variance, images.var((0, 2, 3), correction=0))
    torch.testing.assert_close(moved, 0.19 * mean)  # two steps at a momentum of 0.1, from 0


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"victims": 6, "batch": 4}, "victims a multiple of batch"),
        ({"batch": 0}, ">= 1"),
        ({"statistics": "sent"}, 'needs mode = "train"'),
    ],
)
def test_bad_clients(bad, why):
    with pytest.raises(ValueError, match=why):
        GradientClients(**bad)
