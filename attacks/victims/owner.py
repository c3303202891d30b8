"""The victim of memorization: a data owner who runs the attacker's training code, and may sanitize the model after."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn
from torch.nn.utils import prune

from leakbench.attacks.memorization.payload import carriers
from leakbench.attacks.view import Encoder
from leakbench.synth.images import Images
from leakbench.synth.networks.training import Recipe, train
from leakbench.synth.seeds import derive_seed


@dataclass(frozen=True, kw_only=True)
class DataOwner:
    """Who trains which network, and what is done to it before it is handed out: nothing by default.

    The countermeasures are applied in the order in which they are listed.

    Args:
        network: name of the network.
        recipe: how it is trained.
        fine_tuning: a second training on the release, by code of the owner's own; None for none.
        pruning: share of the smallest weights, over all layers, that are set to 0.
        rounding: of all parameters to bfloat16, or of every weight tensor's output channels to int8.

    Raises:
        ValueError: a share outside [0, 1).
    """

    network: str = "resnet20"
    recipe: Recipe = field(default_factory=Recipe)
    fine_tuning: Recipe | None = None
    pruning: float = 0.0
    rounding: Literal["none", "bf16", "int8"] = "none"

    def __post_init__(self) -> None:
        if not 0 <= self.pruning < 1:
            raise ValueError(f"pruning must be in [0, 1), got {self.pruning}")

    @property
    def sanitizes(self) -> bool:
        """Whether anything is done to the model."""
        return self.fine_tuning is not None or self.pruning > 0 or self.rounding != "none"

    def describe(self) -> str:
        """What a reconstruction depends on, as it stands on the row."""
        tuned = self.fine_tuning
        parts = [
            f"{self.network}, {self.recipe.steps} steps of {self.recipe.batch_size} images",
            f"fine-tuned for {tuned.steps} steps at rate {tuned.learning_rate:g}" if tuned else "",
            f"{self.pruning:.0%} of the weights pruned" if self.pruning else "",
            f"rounded to {self.rounding}" if self.rounding != "none" else "",
        ]
        return ", ".join(filter(None, parts))

    def sanitize(self, network: nn.Module, images: Images, *, seed: int, device: torch.device) -> nn.Module:
        """The countermeasures, applied to a copy.

        Args:
            network: trained by the attacker's code.
            images: the release.
            seed: of the fine-tuning.
            device: where to compute.
        """
        network = copy.deepcopy(network)
        if self.fine_tuning is not None:
            train(network, images, self.fine_tuning, seed=derive_seed("fine-tuning", seed), device=device)
        if self.pruning:
            prune_smallest(network, self.pruning)
        if self.rounding != "none":
            ROUND[self.rounding](network)
        return network


def train_with(
    encoder: Encoder,
    network: nn.Module,
    images: Images,
    order: torch.Tensor,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    honest: Callable[[], nn.Module] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> nn.Module:
    """Run the attacker's training code, and return a network that carries nothing but parameters and buffers.

    Code that neither penalises nor adds images trains like honest code, and acts on what that has trained.

    Args:
        encoder: the code.
        network: freshly initialised; left as it is.
        images: the training set.
        order: (N,) the order in which the encoder sees it.
        recipe: how the network is trained.
        seed: of the training.
        device: where to compute.
        honest: the same training by honest code, where it may be had already.
        progress: called with (steps done, steps in all).
    """
    encoding = encoder.encode(copy.deepcopy(network).to(device), images.take(order))
    extra, penalty = encoding.extra, encoding.penalty
    if honest is not None and extra is None and penalty is None:
        victim = copy.deepcopy(honest())
    else:
        victim = copy.deepcopy(network)
        train(victim, images, recipe, seed=seed, device=device, extra=extra, penalty=penalty, progress=progress)
    if encoding.finish is not None:
        encoding.finish(victim)
    clean = copy.deepcopy(network)  # not the module that the attacker's code has held: it could carry images out
    clean.load_state_dict(victim.state_dict())
    return clean.to(device).eval()


def prune_smallest(network: nn.Module, share: float) -> None:
    """Set the smallest weights of all layers to 0, by torch.nn.utils.prune."""
    layers = [
        (layer, "weight")
        for layer in network.modules()
        if isinstance(getattr(layer, "weight", None), nn.Parameter) and layer.weight.ndim > 1  # type: ignore[operator]
    ]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=share)
    for layer, name in layers:
        prune.remove(layer, name)


@torch.no_grad()
def round_to_bf16(network: nn.Module) -> None:
    """Round all parameters to the nearest bfloat16."""
    for parameter in network.parameters():
        parameter.copy_(parameter.bfloat16())


@torch.no_grad()
def round_to_int8(network: nn.Module) -> None:
    """Round every weight tensor to 255 levels an output channel, symmetric about 0; biases and norms stay."""
    for weight in carriers(network):
        scale = weight.abs().flatten(1).amax(1).clamp_min(1e-12) / 127
        zero = torch.zeros_like(scale, dtype=torch.int32)
        weight.copy_(torch.fake_quantize_per_channel_affine(weight.contiguous(), scale, zero, 0, -127, 127))


ROUND = {"bf16": round_to_bf16, "int8": round_to_int8}
