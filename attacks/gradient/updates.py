"""What clients would share for given images: differentiable in the images, for many clients at once."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from leakbench.attacks.gradient.layers import LAYERS, split_norms, stackable
from leakbench.attacks.shared_gradients import SharedGradients

Update = Callable[[Tensor, Tensor], list[Tensor]]
"""Function from images (J, B, C, H, W) in [0, 1] and label probabilities (J, B, K) to (J, *shape) a parameter."""


def client_updates(shared: SharedGradients, *, bf16: bool = False) -> Update:
    """How clients compute what they share, for any number J of clients with B images each.

    Args:
        shared: the network in its mode, the images a client has, its local steps and rate.
        bf16: compute activations and gradients in bf16 (docs/speed.md says what that costs).
    """
    if shared.local_steps == 1 and stackable(shared.network):
        return Stacked(shared.network, shared.batch, bf16=bf16)
    return Unrolled(shared, bf16=bf16)


class Unrolled:
    """Any network and any number of local steps: torch.func's vmap over clients of grad, unrolled over the steps."""

    def __init__(self, shared: SharedGradients, *, bf16: bool) -> None:
        self.network = copy.deepcopy(shared.network).requires_grad_(False)
        for layer in self.network.modules():
            if isinstance(layer, nn.BatchNorm2d) and layer.training:
                torch.func.replace_all_batch_norm_modules_(layer)  # vmap cannot update running statistics in place
        self.steps, self.rate, self.bf16 = shared.local_steps, shared.learning_rate, bf16

    def __call__(self, images: Tensor, targets: Tensor) -> list[Tensor]:
        """One (J, *shape) tensor per parameter."""
        start: dict[str, Tensor] = dict(self.network.named_parameters())
        buffers = dict(self.network.named_buffers())

        def loss(parameters: dict[str, Tensor], images: Tensor, targets: Tensor) -> Tensor:
            with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
                logits = functional_call(self.network, (parameters, buffers), (images,))
            return cross_entropy(logits.to(targets.dtype), targets)

        def client(images: Tensor, targets: Tensor) -> list[Tensor]:
            current, total = start, [torch.zeros_like(p) for p in start.values()]
            for _ in range(self.steps):
                gradients = grad(loss)(current, images, targets)
                current = {name: p - self.rate * gradients[name] for name, p in current.items()}
                total = [t + g for t, g in zip(total, gradients.values(), strict=True)]
            return total

        return list(vmap(client)(images, targets))


class Stacked:
    """One gradient a client, as one batch: the layers' inputs and output gradients are taken for all images together,
    and only the last product, a layer's gradient, is done client by client, as one grouped convolution.

    Faster than vmap over grad: every other pass shares its weights, and grouped convolutions run channels-last.
    """  # noqa: D205 - the sentence needs the room

    def __init__(self, network: nn.Module, batch: int, *, bf16: bool) -> None:
        self.network = split_norms(network, batch).to(memory_format=torch.channels_last)
        self.batch, self.bf16 = batch, bf16
        self.seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self.layers = [layer for layer in self.network.modules() if type(layer) in LAYERS]
        for layer in self.layers:
            layer.register_forward_hook(self._note)
        order = {id(p): position for position, p in enumerate(self.network.parameters())}
        owned = [order[id(p)] for layer in self.layers for p in layer.parameters(recurse=False)]
        self.order = sorted(range(len(owned)), key=owned.__getitem__)

    def _note(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        self.seen[layer] = (inputs[0], output)
        return output.clone()  # what follows may work in place, which would change what was noted

    def __call__(self, images: Tensor, targets: Tensor) -> list[Tensor]:
        """One (J, *shape) tensor per parameter."""
        if not images.requires_grad:
            images = images.detach().requires_grad_()
        flat = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.network(flat)
        loss = cross_entropy(logits.to(targets.dtype), targets.flatten(0, 1), reduction="sum") / self.batch
        deltas = torch.autograd.grad(loss, [self.seen[layer][1] for layer in self.layers], create_graph=True)
        found: list[Tensor] = []
        for layer, delta in zip(self.layers, deltas, strict=True):
            inputs, _ = self.seen[layer]
            gradients = LAYERS[type(layer)](layer, inputs.to(delta.dtype), delta, self.batch)
            found += [g for g, p in zip(gradients, (layer.weight, layer.bias), strict=True) if p is not None]
        return [found[position] for position in self.order]
