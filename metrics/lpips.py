"""Learned perceptual similarity by its authors' package; never downloads behind the user's back."""

import hashlib
import os
import warnings
from functools import cache
from pathlib import Path

import lpips
import torch
from torch import Tensor
from torchvision.models import AlexNet_Weights

from leakbench.metrics.chunks import in_chunks
from leakbench.metrics.metric import Metric, register_metric
from leakbench.metrics.weights import DAMAGED, read_weights

VARIABLE = "LEAKBENCH_LPIPS_WEIGHTS"
"""Names a .safetensors file of AlexNet's convolutions: `features.0.weight`, `features.0.bias`, and so on."""
CONVOLUTIONS = {
    0: ("slice1", (64, 3, 11, 11)),
    3: ("slice2", (192, 64, 5, 5)),
    6: ("slice3", (384, 192, 3, 3)),
    8: ("slice4", (256, 384, 3, 3)),
    10: ("slice5", (256, 256, 3, 3)),
}
"""Positions among torchvision's `features`: the slice of `lpips` that each stands in, and its weight's shape."""


def backbone_file() -> Path:
    """AlexNet's ImageNet weights: the file that the variable names, else torchvision's under TORCH_HOME."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else torchvision_file()


def torchvision_file() -> Path:
    """Where torchvision keeps them: under TORCH_HOME, in hub/checkpoints."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(AlexNet_Weights.IMAGENET1K_V1.url).name


def fetched() -> bool:
    """Whether torchvision's file is there, with the hash in its name."""
    file = torchvision_file()
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest().startswith(_wanted(file))


def fetch() -> Path:
    """Download torchvision's file from where torchvision says; what is there is replaced once the new one is right.

    Raises:
        RuntimeError: what came has not the hash in its name.
        OSError: nothing came.
    """
    url, file = AlexNet_Weights.IMAGENET1K_V1.url, torchvision_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.hub.download_url_to_file(url, str(file), hash_prefix=_wanted(file), progress=False)
    return file


def _wanted(file: Path) -> str:
    return file.stem.rpartition("-")[2]


def unavailable() -> str | None:
    """Why LPIPS cannot be computed here, with the command that would change it, or None where it can."""
    file = backbone_file()
    if not file.is_file():
        if os.environ.get(VARIABLE):
            return f"{VARIABLE} names {file}, which is no file"
        return (
            f"AlexNet's weights are not in the torch hub cache (hub/checkpoints/{file.name} under TORCH_HOME); get "
            f"them with: leakbench doctor --fetch; or name a file of its convolutions by {VARIABLE}"
        )
    try:
        _convolutions(file)
    except DAMAGED as error:
        wanted = ", ".join(f"features.{index}" for index in CONVOLUTIONS)
        return f"{file} does not hold AlexNet's convolutions ({wanted}, weight and bias of each): {error}"
    return None


@cache
def _convolutions(file: Path) -> dict[str, Tensor]:
    """The tensors by the names of `lpips`; nothing is unpickled into code.

    Raises:
        Exception: one of `weights.DAMAGED`: one is not there, or has another shape, or the file holds no tensors.
    """
    found = read_weights(file)
    chosen = {}
    for index, (part, shape) in CONVOLUTIONS.items():
        for kind, wanted in (("weight", shape), ("bias", shape[:1])):
            tensor = found[f"features.{index}.{kind}"]
            if tuple(tensor.shape) != wanted:
                raise ValueError(f"features.{index}.{kind} is {tuple(tensor.shape)}, not {wanted}")
            chosen[f"{part}.{index}.{kind}"] = tensor
    return chosen


@cache
def _network(weights: Path, device: str) -> torch.nn.Module:
    """The LPIPS network, built once."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore", category=UserWarning)  # torchvision's notice about `pretrained=`
        network: torch.nn.Module = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    network.get_submodule("net").load_state_dict(_convolutions(weights))
    return network.eval().requires_grad_(False).to(device)


@cache
def _digest(weights: Path) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(_convolutions(weights).items()):
        digest.update(name.encode())
        digest.update(tensor.float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def variant() -> str:
    """The exact variant, with the hash of the convolutions, whichever file they lie in."""
    digest = _digest(backbone_file())
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
        FileNotFoundError: AlexNet's weights are not at hand.
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
