"""What a server learns of a client's images from its running statistics before and after a round."""

from dataclasses import replace

import pytest
import torch

from leakbench.attacks.gradient.gradinversion import GradInversion
from leakbench.attacks.gradient.inferred_statistics import with_inferred_statistics
from leakbench.attacks.gradient.priors import BatchNormPrior
from leakbench.attacks.victims.clients import GradientClients, share_gradients, shared_whole
from leakbench.synth.networks.architectures import MEAN, STD, build


def shared_by(images, *, statistics, local_steps=1, momentum=0.1):
    network = build("resnet20", classes=10, side=32, seed=0).eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.train()
            layer.momentum = momentum
            layer.running_mean.fill_(0.3)
    clients = GradientClients(
        network="resnet20", batch=2, mode="train", statistics=statistics, local_steps=local_steps, learning_rate=1e-6
    )
    return share_gradients(clients, network, images, shared_whole, seed=0)


@pytest.mark.parametrize(("local_steps", "momentum"), [(1, 0.1), (1, 0.01), (3, 0.1)])
def test_running_ones_give_away_those_of_the_batch(local_steps, momentum, digits):
    """Of several steps at a vanishing rate, whose batch is the same, as exactly as of one."""
    images = digits.members.take(torch.arange(4))
    settings = {"local_steps": local_steps, "momentum": momentum}
    sent = shared_by(images, statistics="sent", **settings).statistics
    known = with_inferred_statistics(shared_by(images, statistics="running", **settings)).statistics
    assert len(known) == len(sent) > 10
    for found, true in zip(known, sent, strict=True):
        for part, exact in zip(found, true, strict=True):
            torch.testing.assert_close(part, exact, atol=2e-3, rtol=2e-3)


def test_what_was_sent_stays_and_what_was_kept_is_not_known(digits):
    images = digits.members.take(torch.arange(4))
    sent = shared_by(images, statistics="sent")
    assert with_inferred_statistics(sent) is sent
    kept = shared_by(images, statistics="kept")
    assert with_inferred_statistics(kept) is kept
    assert kept.statistics is kept.running is None


def test_the_search_is_given_them(scenario, monkeypatch, cpu):
    """The prior of a search is met by the truth alone, where nothing but running statistics came back."""
    clients = replace(scenario.clients, network="resnet20", victims=4, batch=2, mode="train", statistics="running")
    victims = replace(scenario, clients=clients)
    assert "in the running ones that come back" in victims.describe(GradInversion())[0]
    given = []

    def parts(self, shared):
        given.append(shared)
        raise InterruptedError

    monkeypatch.setattr(GradInversion, "parts", parts)
    with pytest.raises(InterruptedError):
        GradInversion(iterations=1).run(victims.view(GradInversion(), "gradinversion"), seed=0, device=cpu)
    prior = BatchNormPrior(given[0], torch.arange(2))
    images = ((scenario.release.images.take(victims.order[:4]).float() - MEAN) / STD).unflatten(0, (2, 2))
    assert prior(images).max() < 0.05
    assert prior(images.flip(0)).min() > 1
