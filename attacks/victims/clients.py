"""The victims of gradient matching: clients that take a few steps on released images and share what changed."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from leakbench.attacks.shared_gradients import SharedGradients
from leakbench.synth.defense import Resources
from leakbench.synth.images import Images
from leakbench.synth.networks.training import Recipe
from leakbench.synth.seeds import derive_seed

TOLD = {"kept": "not sent", "running": "in the running ones that come back", "sent": "sent"}
"""What a row says of batch-norm statistics."""
Share = Callable[[tuple[Tensor, ...], Resources], tuple[Tensor, ...]]
Statistics = list[tuple[Tensor, Tensor]]
"""Mean and variance of every batch-norm layer's inputs, of one client."""


def shared_whole(gradients: tuple[Tensor, ...], resources: Resources) -> tuple[Tensor, ...]:
    """Share gradients as they are: what clients do whose defense is none of theirs."""
    return gradients


@dataclass(frozen=True, kw_only=True)
class GradientClients:
    """A scenario of federated learning: who computes what, on which network, and what is sent.

    Args:
        network: name of the network.
        state: of the shared network: freshly initialised, after one epoch on the release, or trained on it.
        recipe: how it is trained; for one epoch, only the number of steps differs.
        victims: images attacked in all.
        batch: images of a client.
        local_steps: 1: the client shares its gradient (FedSGD); more: it takes so many steps of gradient descent on
            its batch and shares what its parameters lost (FedAvg).
        learning_rate: of the local steps.
        mode: of batch norm at the client: ``eval`` uses the network's running statistics, ``train`` the batch's own.
        statistics: of batch norm, in ``train`` mode (there are none else): ``kept`` by clients; ``running``: what moved
            the running ones of the state that comes back, as federations return it; ``sent``, those of the first step.
        labels_known: the attacker knows the clients' labels.

    Raises:
        ValueError: a parameter out of range, or two that exclude each other.
    """

    network: str = "dcgan"
    state: Literal["untrained", "one-epoch", "trained"] = "untrained"
    recipe: Recipe = field(default_factory=Recipe)
    victims: int = 16
    batch: int = 1
    local_steps: int = 1
    learning_rate: float = 0.01
    mode: Literal["eval", "train"] = "eval"
    statistics: Literal["kept", "running", "sent"] = "kept"
    labels_known: bool = False

    def __post_init__(self) -> None:
        if min(self.victims, self.batch, self.local_steps) < 1 or self.victims % self.batch:
            raise ValueError(
                f"gradient clients need batch and local_steps >= 1 and victims a multiple of batch, "
                f"got batch {self.batch}, local_steps {self.local_steps}, victims {self.victims}"
            )
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be > 0 and finite, got {self.learning_rate}")
        if self.statistics != "kept" and self.mode == "eval":
            raise ValueError(
                f'statistics = "{self.statistics}" needs mode = "train": clients compute none in evaluation'
            )

    def describe(self, fresh: Callable[[str, str, int], nn.Module]) -> str:
        """What a reconstruction depends on most, as it stands on the row.

        Args:
            fresh: builds a network by name, purpose and number of classes.
        """
        layers = fresh(self.network, "gradient clients", 2).modules()
        norms = any(isinstance(layer, nn.BatchNorm2d) for layer in layers)
        state = f"trained for {self.recipe.steps} steps" if self.state == "trained" else self.state.replace("-", " ")
        update = f"FedAvg update of {self.local_steps} local steps at rate {self.learning_rate:g}"
        return ", ".join(
            [
                self.network,
                state,
                f"batch {self.batch}",
                update if self.local_steps > 1 else "FedSGD gradient",
                f"batch norm in {self.mode} mode, its statistics {TOLD[self.statistics]}" if norms else "no batch norm",
                f"labels {'known' if self.labels_known else 'inferred'}",
            ]
        )

    def start(
        self,
        fresh: Callable[[str, str, int], nn.Module],
        trained: Callable[[str, Recipe], nn.Module],
        released: Images,
    ) -> nn.Module:
        """The network that clients start from, in its mode.

        Args:
            fresh: builds a network by name, purpose and number of classes.
            trained: trains one on the release by name and recipe.
            released: the release.
        """
        if self.state == "untrained":
            network = fresh(self.network, "gradient clients", len(released.classes))
        else:
            epoch = max(1, len(released) // self.recipe.batch_size)
            recipe = replace(self.recipe, steps=epoch) if self.state == "one-epoch" else self.recipe
            network = copy.deepcopy(trained(self.network, recipe))
        network.eval()
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):  # dropout stays off: its masks would be one more unknown
                layer.train(self.mode == "train")
        return network


def share_gradients(
    clients: GradientClients, network: nn.Module, images: Images, share: Share, *, seed: int
) -> SharedGradients:
    """Let every client train on its images, and collect what they share.

    Args:
        clients: the scenario.
        network: what they start from, in its mode, on the device where they compute.
        images: the victims, client after client.
        share: what a client does to its gradients before sharing them.
        seed: of the sharing.
    """
    device = next(network.parameters()).device
    pixels = images.float().to(device).unflatten(0, (-1, clients.batch))
    labels = images.labels.to(device).unflatten(0, (-1, clients.batch))
    shared, statistics, running = [], [], []
    for client, (x, y) in enumerate(zip(pixels, labels, strict=True)):
        gradients, observed, moved = local_update(network, x, y, steps=clients.local_steps, rate=clients.learning_rate)
        shared.append(share(gradients, Resources(seed=derive_seed("share", seed, client), device=device)))
        statistics.append(observed)
        running.append(moved)
    return SharedGradients(
        network=copy.deepcopy(network),
        gradients=tuple(torch.stack(column) for column in zip(*shared, strict=True)),
        image_shape=tuple(images.pixels.shape[1:]),  # type: ignore[arg-type]
        classes=len(images.classes),
        batch=clients.batch,
        local_steps=clients.local_steps,
        learning_rate=clients.learning_rate,
        statistics=_by_layer(statistics) if clients.statistics == "sent" else None,
        running=_by_layer(running) if clients.statistics == "running" else None,
        labels=labels if clients.labels_known else None,
    )


def _by_layer(clients: list[Statistics]) -> tuple[tuple[Tensor, Tensor], ...]:
    """Per layer the means (V, C) and the variances (V, C) of all clients."""
    layers = zip(*clients, strict=True)
    return tuple((torch.stack([m for m, _ in c]), torch.stack([v for _, v in c])) for c in layers)


def local_update(
    network: nn.Module, images: Tensor, labels: Tensor, *, steps: int, rate: float
) -> tuple[tuple[Tensor, ...], Statistics, Statistics]:
    """What a client's parameters lose in a few steps of gradient descent on its batch, divided by the learning rate.

    Args:
        network: where it starts, in its mode; left as it is.
        images: (B, C, H, W) in [0, 1].
        labels: (B,).
        steps: of gradient descent.
        rate: their learning rate.

    Returns:
        The loss of every parameter over the rate; of every batch-norm layer the mean and variance of its inputs in the
        first step; and its running ones after the last.
    """
    model = copy.deepcopy(network)
    observed: Statistics = []

    def observe(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        variance, mean = torch.var_mean(inputs[0].detach(), dim=(0, 2, 3), correction=0)
        observed.append((mean, variance))

    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in norms:
        layer.register_forward_pre_hook(observe)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    total = [torch.zeros_like(p) for p in model.parameters()]
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model(images), labels).backward()
        for sum_, parameter in zip(total, model.parameters(), strict=True):
            assert parameter.grad is not None
            sum_ += parameter.grad  # equals (start - end) / rate, without its cancellation
        optimizer.step()
    running = [(_buffer(layer.running_mean), _buffer(layer.running_var)) for layer in norms]
    return tuple(total), observed[: len(norms)], running


def _buffer(running: Tensor | None) -> Tensor:
    assert running is not None
    return running.detach().clone()
