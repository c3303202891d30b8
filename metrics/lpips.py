"""Learned perceptual similarity by its authors' package; never downloads behind the user's back."""

import hashlib
import warnings
from functools import cache
from pathlib import Path

import lpips
import torch
from torch import Tensor
from torchvision.models import AlexNet_Weights

from leakbench.metrics.chunks import in_chunks
from leakbench.metrics.metric import Metric, register_metric


def backbone_file() -> Path:
    """Where torchvision keeps AlexNet's ImageNet weights: under TORCH_HOME, in hub/checkpoints."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(AlexNet_Weights.IMAGENET1K_V1.url).name


def unavailable() -> str | None:
    """Why LPIPS cannot be computed here, with the command that would change it, or None where it can."""
    if backbone_file().is_file():
        return None
    return (
        f"AlexNet's weights are not in the torch hub cache (hub/checkpoints/{backbone_file().name} under TORCH_HOME); "
        "get them with: python -c \"import torchvision; torchvision.models.alexnet(weights='DEFAULT')\""
    )


@cache
def _network(weights: Path, device: str) -> torch.nn.Module:
    """The LPIPS network, built once; torch.load runs with weights_only, so nothing is unpickled into code."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore", category=UserWarning)  # torchvision's notice about `pretrained=`
        network: torch.nn.Module = lpips.LPIPS(net="alex", verbose=False)
    return network.eval().requires_grad_(False).to(device)


def variant() -> str:
    """The exact variant, with the hash of the backbone's weights."""
    digest = hashlib.sha256(backbone_file().read_bytes()).hexdigest()[:12]
    return f"lpips {lpips.LPIPS.__name__} v0.1, AlexNet, inputs scaled to [-1, 1], backbone sha256 {digest}"


@torch.no_grad()
def lpips_distance(x: Tensor, y: Tensor, *, chunk: int = 256) -> Tensor:
    """LPIPS v0.1 with AlexNet (arXiv 1801.03924): weighted distance of unit-normalised deep features.

    Args:
        x: float images in [0, 1], (N, 3, H, W), at least 32 pixels a side.
        y: the images to compare with, same shape.
        chunk: images a forward pass.

    Returns:
        (N,) distances, 0 for an exact copy; lower is more alike.

    Raises:
        FileNotFoundError: AlexNet's weights are not in the torch hub cache.
    """
    if (reason := unavailable()) is not None:
        raise FileNotFoundError(reason)
    network = _network(backbone_file(), str(x.device))
    if not len(x):
        return x.new_zeros(0)

    def distances(part: slice) -> Tensor:
        return network(x[part].float() * 2 - 1, y[part].float() * 2 - 1).flatten()  # type: ignore[no-any-return]

    return torch.cat(in_chunks(distances, len(x), chunk))


register_metric(
    Metric(
        name="lpips",
        function=lpips_distance,
        alike="lower",
        variant=variant,
        unavailable=lambda side: unavailable(),
        most=2000,  # AlexNet is a hundred times as dear as SSIM
    )
)
