"""The victims of Hitaj's attack: clients that train one model together, each on its own classes."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from leakbench.attacks.view import Participant
from leakbench.synth.images import Images
from leakbench.synth.networks.training import autocast, batches
from leakbench.synth.seeds import seeded_rng


@dataclass(frozen=True, kw_only=True)
class Federation:
    """Clients that train together, the classes dealt out among them.

    Args:
        network: name of the shared network; it gets one extra output.
        clients: how many, the attacker (the last) among them.
        rounds: communication rounds.
        local_steps: SGD steps of a client in a round.
        batch_size: of a local step.
        learning_rate: of local SGD with momentum 0.9.
        protocol: ``fedavg``: all start a round from the same model and their uploads are averaged by their numbers of
            images (arXiv 1602.05629). ``round-robin``: one after another, each from what the one before left (Shokri
            and Shmatikov, doi 10.1145/2810103.2813687).
        upload: share of its parameters, those it has changed most, that a client sends.
        download: share of its parameters, those in which the shared model differs most, that a client fetches.

    Raises:
        ValueError: a parameter out of range.
    """

    network: str = "dcgan"
    clients: int = 2
    rounds: int = 30
    local_steps: int = 8
    batch_size: int = 64
    learning_rate: float = 0.02
    protocol: Literal["fedavg", "round-robin"] = "fedavg"
    upload: float = 1.0
    download: float = 1.0

    def __post_init__(self) -> None:
        if self.clients < 2:
            raise ValueError(f"a federation needs at least 2 clients, got {self.clients}")
        for name in ("upload", "download"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"federation.{name} must be in (0, 1], got {getattr(self, name)}")

    def describe(self) -> tuple[str, dict[str, str]]:
        """What a generator's images depend on, in words: the victim, and by name what else there is to say."""
        shares = [f"{getattr(self, name):.0%} {name}ed" for name in ("upload", "download") if getattr(self, name) < 1]
        details = {
            "rounds": f"{self.rounds} of {self.local_steps} local steps",
            "control": "the other clients never train",
        }
        return ", ".join([f"{self.network}, {self.clients} clients", self.protocol, *shares]), details


class HonestClient:
    """A participant who trains on its own images like everybody.

    Args:
        images: its own.
        rules: the federation's.
        seed: of its batches.
        device: where to compute.
    """

    def __init__(self, images: Images, rules: Federation, *, seed: int, device: torch.device) -> None:
        self.images, self.rules, self.device = images, rules, device
        self.rng = seeded_rng("honest client", seed, device=device)

    def local_round(self, shared: nn.Module, round_index: int) -> nn.Module:
        """Train."""
        return local_training(shared, self.images, self.rules, rng=self.rng, device=self.device)


def local_training(
    network: nn.Module, images: Images, rules: Federation, *, rng: torch.Generator, device: torch.device
) -> nn.Module:
    """A client's round: a few steps of SGD on its own images, in place."""
    network.to(device).train()
    pixels, labels = images.pixels.to(device), images.labels.to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=rules.learning_rate, momentum=0.9)
    for _, index in zip(range(rules.local_steps), batches(len(images), rules.batch_size, rng), strict=False):
        with autocast(device):
            logits = network(pixels[index].float().div_(255))
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(logits.float(), labels[index]).backward()
        optimizer.step()
    return network.eval()


@torch.no_grad()
def taken(new: nn.Module, old: nn.Module, share: float) -> nn.Module:
    """`new`, but for the parameters that differ least from `old`'s: of those only `share` is taken, buffers wholly."""
    mixed = copy.deepcopy(new)
    if share < 1:
        after, before = (parameters_to_vector(model.parameters()) for model in (new, old))
        most = (after - before).abs().topk(math.ceil(share * len(after))).indices
        before[most] = after[most]
        vector_to_parameters(before, mixed.parameters())
    return mixed


@torch.no_grad()
def average(models: list[nn.Module], weights: list[float]) -> nn.Module:
    """The mean of the models' parameters and buffers, by weight."""
    mean = copy.deepcopy(models[0])
    total = sum(weights)
    for target, *sent in zip(mean.state_dict().values(), *(m.state_dict().values() for m in models), strict=True):
        target.copy_(sum(weight / total * s.float() for weight, s in zip(weights, sent, strict=True)))
    return mean


def federate(
    shared: nn.Module,
    parts: list[Images],
    participant: Participant,
    rules: Federation,
    *,
    honest: bool,
    seed: int,
    device: torch.device,
    watch: Callable[[nn.Module], None] = lambda shared: None,
) -> nn.Module:
    """Play all rounds of a federation and return the final shared model.

    Args:
        shared: the initial model.
        parts: each client's images; the last client is the participant.
        participant: the attacker.
        rules: the federation's constants.
        honest: whether the other clients train; in the control they send back what they got.
        seed: of the clients' batches.
        device: where to compute.
        watch: shown the shared model after every round.
    """
    shared = shared.to(device)
    streams = [seeded_rng("client", seed, client, device=device) for client in range(len(parts) - 1)]
    held = [shared] * len(parts)

    def turn(client: int, round_index: int) -> nn.Module:
        """What a client uploads."""
        held[client] = taken(shared, held[client], rules.download)
        model = copy.deepcopy(held[client])
        if client == len(parts) - 1:
            model = participant.local_round(model.eval(), round_index)
        elif honest:
            model = local_training(model, parts[client], rules, rng=streams[client], device=device)
        sent = taken(model, held[client], rules.upload)
        held[client] = model
        return sent

    for round_index in range(rules.rounds):
        if rules.protocol == "fedavg":
            shared = average([turn(c, round_index) for c in range(len(parts))], [float(len(part)) for part in parts])
        else:
            for client in range(len(parts)):
                shared = turn(client, round_index)
        watch(shared)
    return shared.eval()
