"""What clients share is what their defense made of it."""

import torch

from leakbench.attacks.victims.clients import GradientClients, share_gradients
from leakbench.synth.networks.architectures import build


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
