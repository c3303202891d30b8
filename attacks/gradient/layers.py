"""Layers that tell each client's gradient apart in one stacked batch, differentiable once more."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, group_norm


class _Convolution(torch.autograd.Function):
    """Each client's gradient of a convolution's weight, differentiable once more in both arguments.

    A grouped convolution whose groups are the clients: channels-last, it is five times as fast on a CPU as the layout
    that vmap gives it.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, delta: Tensor, layer: nn.Conv2d, clients: int) -> Tensor:
        inputs, delta = _as_groups(inputs, clients), _as_groups(delta, clients)
        ctx.save_for_backward(inputs, delta)
        ctx.layer, ctx.clients = layer, clients
        weight = inputs.new_empty(clients * layer.out_channels, *layer.weight.shape[1:])
        weight = weight.to(memory_format=torch.channels_last)
        return _convolution_backward(delta, inputs, weight, layer, clients, (False, True))[1]

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (inputs, delta), layer, clients = ctx.saved_tensors, ctx.layer, ctx.clients
        weight = cotangent.contiguous(memory_format=torch.channels_last)
        to_inputs = _convolution_backward(delta, inputs, weight, layer, clients, (True, False))[0]
        to_delta = conv2d(
            inputs, weight, None, layer.stride, layer.padding, layer.dilation, groups=clients * layer.groups
        )
        return _from_groups(to_inputs, clients), _from_groups(to_delta, clients), None, None


def _convolution_backward(
    delta: Tensor, inputs: Tensor, weight: Tensor, layer: nn.Conv2d, clients: int, mask: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor | None] = torch.ops.aten.convolution_backward(
        delta,
        inputs,
        weight,
        None,
        layer.stride,
        layer.padding,
        layer.dilation,
        False,
        [0, 0],
        clients * layer.groups,
        [*mask, False],
    )
    return found[:2]


def _as_groups(x: Tensor, clients: int) -> Tensor:
    """(J B, C, H, W) to (B, J C, H, W): clients become groups of channels."""
    x = x.unflatten(0, (clients, -1)).transpose(0, 1).flatten(1, 2)
    return x.contiguous(memory_format=torch.channels_last)


def _from_groups(x: Tensor, clients: int) -> Tensor:
    """The inverse of :func:`_as_groups`."""
    x = x.unflatten(1, (clients, -1)).transpose(0, 1).flatten(0, 1)
    return x.contiguous(memory_format=torch.channels_last)


def _convolution(layer: nn.Conv2d, inputs: Tensor, delta: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    clients = len(inputs) // batch
    weight = _Convolution.apply(inputs, delta, layer, clients).unflatten(0, (clients, -1))
    return weight, delta.unflatten(0, (clients, batch)).sum((1, 3, 4))


def _linear(layer: nn.Linear, inputs: Tensor, delta: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    inputs = inputs.reshape(len(inputs) // batch, -1, inputs.shape[-1])
    delta = delta.reshape(len(inputs), -1, delta.shape[-1])
    return delta.transpose(1, 2) @ inputs, delta.sum(1)


class _Forward(torch.autograd.Function):
    """A convolution with fixed weights. Torch's own second derivative also computes the weights'."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, layer: nn.Conv2d) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.layer = layer
        return conv2d(inputs, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor, None, None, None]:
        inputs, weight = ctx.saved_tensors
        return _Transpose.apply(delta, inputs.detach(), weight, ctx.layer), None, None, None


class _Transpose(torch.autograd.Function):
    """The convolution's transpose, whose derivative is the convolution."""

    @staticmethod
    def forward(ctx: Any, delta: Tensor, inputs: Tensor, weight: Tensor, layer: nn.Conv2d) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.layer = layer
        return _convolution_backward(delta, inputs, weight, layer, 1, (True, False))[0]

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,), layer = ctx.saved_tensors, ctx.layer
        delta = conv2d(cotangent, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
        return delta, None, None, None


class Convolution(nn.Conv2d):
    """A convolution that is differentiated twice in its inputs and never in its weights."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W)."""
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        bias = None if self.bias is None else self.bias.to(dtype)
        result: Tensor = _Forward.apply(x.to(dtype), self.weight.to(dtype), bias, self)
        return result


class Affine(nn.Module):
    """The learned half of a normalisation: ``x * scale + shift``, then weight and bias, per channel."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.scale, self.shift = nn.Buffer(scale), nn.Buffer(shift)

    def forward(self, x: Tensor) -> Tensor:
        """Transform (N, C, H, W)."""
        factor, offset = self.scale * self.weight, self.shift * self.weight + self.bias
        return torch.addcmul(offset[:, None, None].to(x.dtype), x, factor[:, None, None].to(x.dtype))


class _Products(torch.autograd.Function):
    """Per client and channel the sums of delta * inputs and of delta, (J, C) each, differentiable once more.

    Written out, because the derivative of a sum in another dtype is expanded in another memory layout.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, delta: Tensor, clients: int) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(inputs, delta)
        shape = (clients, -1)
        wide = torch.promote_types(inputs.dtype, torch.float32)
        products = (delta * inputs).unflatten(0, shape).sum((1, 3, 4)).to(wide)
        return products, delta.unflatten(0, shape).sum((1, 3, 4)).to(wide)

    @staticmethod
    def backward(ctx: Any, products: Tensor, sums: Tensor) -> tuple[Tensor, Tensor, None]:
        inputs, delta = ctx.saved_tensors
        batch = len(inputs) // len(products)
        by_product, by_sum = (
            g.to(inputs.dtype).repeat_interleave(batch, 0)[:, :, None, None] for g in (products, sums)
        )
        return delta * by_product, torch.addcmul(by_sum, inputs, by_product), None


def _affine(layer: Affine, inputs: Tensor, delta: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    products, sums = _Products.apply(inputs, delta, len(inputs) // batch)
    return products * layer.scale + sums * layer.shift, sums


class ClientNorm(nn.Module):
    """The other half: normalise (N, C, H, W) by each client's own batch statistics, or by groups of channels.

    Args:
        eps: added to the variance.
        batch: images a client.
        groups: of channels that an image is normalised over, or None for a client's batch statistics.
    """

    def __init__(self, eps: float, batch: int, groups: int | None) -> None:
        super().__init__()
        self.eps, self.batch, self.groups = eps, batch, groups

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        if self.groups is not None:
            return group_norm(x, self.groups, eps=self.eps)
        clients = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(0, (-1, self.batch))
        variance, mean = torch.var_mean(clients, dim=(1, 3, 4), correction=0, keepdim=True)
        normal: Tensor = (clients - mean) * torch.rsqrt(variance + self.eps)
        return normal.flatten(0, 1).to(x.dtype)


def split_norms(network: nn.Module, batch: int) -> nn.Module:
    """A frozen copy whose batch and group norms are split into normalisation and :class:`Affine`, per client.

    Args:
        network: in the mode that its clients use.
        batch: images a client.
    """
    network = copy.deepcopy(network).requires_grad_(False)
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.Conv2d):
            layer.__class__ = Convolution
        if isinstance(layer, nn.BatchNorm2d | nn.GroupNorm):
            parent = network.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], _split(layer, batch))
    return network


def _split(layer: nn.BatchNorm2d | nn.GroupNorm, batch: int) -> nn.Module:
    weight, bias = layer.weight, layer.bias
    if isinstance(layer, nn.BatchNorm2d) and not layer.training:
        assert layer.running_mean is not None
        assert layer.running_var is not None
        scale = torch.rsqrt(layer.running_var + layer.eps)
        return Affine(weight, bias, scale, -layer.running_mean * scale)
    groups = layer.num_groups if isinstance(layer, nn.GroupNorm) else None
    plain = Affine(weight, bias, torch.ones_like(weight), torch.zeros_like(weight))
    return nn.Sequential(ClientNorm(layer.eps, batch, groups), plain)


LAYERS: dict[type[nn.Module], Callable[..., Sequence[Tensor]]] = {
    Convolution: _convolution,
    nn.Linear: _linear,
    Affine: _affine,
}
"""How each client's gradients (weight, bias) follow from a layer's inputs and the gradient of its outputs."""


def stackable(network: nn.Module) -> bool:
    """Whether every parameter sits in a layer of which stacking knows the gradient."""
    for layer in network.modules():
        if not any(True for _ in layer.parameters(recurse=False)):
            continue
        if isinstance(layer, nn.Conv2d):
            if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
                return False
        elif isinstance(layer, nn.BatchNorm2d):
            if not layer.training and layer.running_mean is None:
                return False
        elif type(layer) not in (nn.Linear, nn.GroupNorm):
            return False
    return True
