import copy

import pytest
import torch
from torch import nn

from leakbench.attacks.victims.federation import Federation, HonestClient, federate, taken
from leakbench.synth.networks.architectures import build


def line(*values):
    with torch.random.fork_rng(devices=[]):
        network = nn.Linear(len(values), 1, bias=False)
    network.weight.data[:] = torch.tensor(values)
    return network


class Adds:
    """A participant that adds a constant to every parameter, and remembers what it got."""

    def __init__(self, *constants):
        self.constants, self.got = torch.tensor(constants), []

    def local_round(self, shared, round_index):
        self.got.append(shared.weight.detach().flatten().tolist())
        shared.weight.data += self.constants
        return shared


def test_taken_by_hand():
    """Of (1, 5, 2, 9) over (0, 0, 0, 9) half is taken: the two that differ most, 5 and 2."""
    mixed = taken(line(1.0, 5, 2, 9), line(0.0, 0, 0, 9), 0.5)
    assert mixed.weight.flatten().tolist() == [0, 5, 2, 9]
    assert taken(line(1.0, 2), line(0.0, 0), 1).weight.flatten().tolist() == [1, 2]


def play(participant, digits, cpu, **rules):
    parts = [digits.members.take(torch.arange(10)), digits.members.take(torch.arange(30))]
    final = federate(line(0.0, 0, 0, 0), parts, participant, Federation(**rules), honest=False, seed=0, device=cpu)
    return final.weight.flatten().tolist()


def test_round_robin_hands_the_model_on(digits, cpu):
    """Nobody else trains, so what the participant adds is all there; averaged it would weigh 3/4."""
    assert play(Adds(1.0, 2, 3, 4), digits, cpu, rounds=2, protocol="round-robin") == [2, 4, 6, 8]
    assert play(Adds(1.0, 2, 3, 4), digits, cpu, rounds=1) == [0.75, 1.5, 2.25, 3.0]


def test_a_partial_upload_sends_what_changed_most(digits, cpu):
    assert play(Adds(1.0, 2, 3, 4), digits, cpu, rounds=1, protocol="round-robin", upload=0.5) == [0, 0, 3, 4]


def test_a_partial_download_keeps_ones_own(digits, cpu):
    """The participant's own model is (1, 2, 3, 4) when the shared one is 3/4 of that: it fetches only the fourth."""
    participant = Adds(1.0, 2, 3, 4)
    play(participant, digits, cpu, rounds=2, download=0.25)
    assert participant.got == [[0, 0, 0, 0], [1, 2, 3, 3]]


def test_an_honest_client_in_the_attackers_seat_learns(digits, cpu):
    parts = [digits.members.take((digits.members.labels < 5).nonzero().squeeze(1))]
    parts.append(digits.members.take((digits.members.labels >= 5).nonzero().squeeze(1)))
    rules = Federation(rounds=8, local_steps=10, batch_size=32, clients=2)
    start, seen = build("dcgan", classes=11, side=32, seed=0), []
    client = HonestClient(parts[1], rules, seed=0, device=cpu)
    federate(copy.deepcopy(start), parts, client, rules, honest=True, seed=0, device=cpu, watch=seen.append)
    assert len(seen) == 8

    def right(network):
        with torch.no_grad():
            return (network(digits.members.float()).argmax(1) == digits.members.labels).double().mean().item()

    assert right(seen[-1]) > 0.6 > right(start)
    assert not torch.equal(seen[0][1][0].weight, seen[-1][1][0].weight), "every round has a model of its own"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"clients": 1}, "at least 2 clients"),
        ({"upload": 0.0}, r"upload must be in \(0, 1\]"),
        ({"download": 1.5}, r"download must be in \(0, 1\]"),
    ],
)
def test_rules_out_of_range(rules, message):
    with pytest.raises(ValueError, match=message):
        Federation(**rules)


def test_description_names_protocol_and_shares():
    text = Federation(protocol="round-robin", upload=0.1, download=0.5).describe()[0]
    assert text == "dcgan, 2 clients, round-robin, 10% uploaded, 50% downloaded"
