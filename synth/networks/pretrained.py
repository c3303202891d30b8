"""Teachers whose weights somebody published: torchvision's, trained on ImageNet, or those of a file."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn
from torchvision.transforms import v2 as transforms

from leakbench.metrics.weights import DAMAGED, read_weights
from leakbench.synth.data.image_files import DataProblems
from leakbench.synth.networks.architectures import SMALL, build
from leakbench.synth.networks.public import MEAN, STD

TORCHVISION = "torchvision"
"""Stands for torchvision's own weights where a file may be named."""
PROBLEM = "teacher weights"
WORDNET = re.compile(r"n\d{8}")
"""How ImageNet names its classes."""
NUMBERED = re.compile(r"(\d{3}|\d{1,3}(?=_))(?:_(.+))?")
"""How samples of it name them, or their photographs: the number in ImageNet-1k, and what the class is called.

A number alone has three digits: folders of digits, 0 to 9, are no fish.
"""


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights, and which of their outputs are the classes of a dataset.

    Args:
        network: name of the architecture.
        file: of the weights.
        outputs: of each class.
        digest: SHA-256 of the file.
    """

    network: str
    file: Path
    outputs: tuple[int, ...]
    digest: str

    def load(self, side: int) -> nn.Module:
        """The network in evaluation mode, from images (N, 3, side, side) in [0, 1] to logits of the classes.

        Raises:
            DataProblems: the file does not hold weights of this network.
        """
        state = _read(self.file)
        size = _outputs(state)
        whole = build(self.network, classes=size, side=side, seed=0)
        assert isinstance(whole, nn.Sequential)
        try:
            whole[1].load_state_dict(state)
        except RuntimeError as error:
            reason = str(error).splitlines()[1].strip()
            raise DataProblems([f"{self.file}: does not hold the weights of {self.network} ({reason})"]) from error
        _restrict(whole[1], list(self.outputs))
        return nn.Sequential(transforms.Normalize(MEAN, STD), whole[1]).eval()


def pretrained_weights(
    network: str, weights: str, *, classes: tuple[str, ...], everything: tuple[str, ...], side: int
) -> PretrainedWeights:
    """Find weights, and their outputs of the classes of a dataset.

    ImageNet's classes are found by what class folders are called: torchvision's name, the number in ImageNet-1k (of
    three digits, or followed by an underscore and that name), or the WordNet id. Where no folder is called so, and the
    dataset is, or is a part of, one with as many classes as the weights know, the position there counts: the order of
    the folders, sorted.
    For other classes a teacher is a new head on a public network: ``linear-probe``.

    Args:
        network: name of the architecture.
        weights: ``torchvision``, downloaded on demand, or a .safetensors file with torchvision's names of parameters.
        classes: of the dataset, in order.
        everything: the classes of the dataset that these were chosen from.
        side: pixels of the images.

    Raises:
        DataProblems: there are no such weights, or they do not fit.
    """
    if side <= SMALL:
        raise DataProblems([f"{PROBLEM}: are for images of more than {SMALL} pixels a side; these have {side}"])
    file = _torchvision_file(network) if weights == TORCHVISION else Path(weights)
    if not file.is_file() or (weights != TORCHVISION and file.suffix != ".safetensors"):
        raise DataProblems([f"{PROBLEM} {file}: is no .safetensors file; give one, or {TORCHVISION!r}"])
    outputs = _positions(network, _outputs(_read(file)), classes, everything)
    found = PretrainedWeights(network, file.resolve(), outputs, hashlib.sha256(file.read_bytes()).hexdigest())
    found.load(side)
    return found


def _positions(network: str, size: int, classes: tuple[str, ...], everything: tuple[str, ...]) -> tuple[int, ...]:
    found = [_imagenet_outputs(name) if size == len(wordnet_ids()) else [] for name in classes]
    if not any(found) and size in (len(everything), len(classes)):
        return tuple(map((everything if size == len(everything) else classes).index, classes))
    unknown = [name for name, outputs in zip(classes, found, strict=True) if len(outputs) != 1]
    if unknown:
        problem = (
            f"{PROBLEM}: know {size} classes, and {', '.join(map(repr, unknown[:5]))} cannot be found among them; "
            f"name class folders as torchvision does, by number or by WordNet id; or give all {size} of them and "
            "choose with --classes; or take a teacher with a head of its own ([teacher] network = linear-probe)"
        )
        raise DataProblems([problem])
    chosen = [outputs[0] for outputs in found]
    twice = [name for name, output in zip(classes, chosen, strict=True) if chosen.count(output) > 1]
    if twice:
        problem = f"{PROBLEM}: {', '.join(map(repr, twice))} stand for the same of the {size} classes; leave one out"
        raise DataProblems([problem])
    return tuple(chosen)


def _imagenet_outputs(name: str) -> list[int]:
    """Outputs of ImageNet-1k that a class folder may stand for: one, where it says clearly which."""
    if WORDNET.fullmatch(name):
        return [wordnet_ids().index(name)] if name in wordnet_ids() else []
    if (numbered := NUMBERED.fullmatch(name)) and is_class(int(numbered[1]), numbered[2]):
        return [int(numbered[1])]
    return _outputs_named(name, categories())


@cache
def wordnet_ids() -> tuple[str, ...]:
    """The WordNet id of each of ImageNet-1k's classes, in its order."""
    return tuple(Path(__file__).with_name("imagenet_wordnet_ids.txt").read_text(encoding="ascii").split())


def _outputs_named(name: str, names: list[str]) -> list[int]:
    """Outputs of this name as it is written; else of those that differ in case and signs alone."""
    exactly = [i for i, known in enumerate(names) if known == name]
    return exactly or [i for i, known in enumerate(names) if _plain(known) == _plain(name)]


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _enum(network: str) -> torchvision.models.WeightsEnum:
    return torchvision.models.get_model_weights(network.replace("-", "_")).DEFAULT


@cache
def categories() -> list[str]:
    """What torchvision calls ImageNet-1k's classes, in their order."""
    names: list[str] = _enum("resnet18").meta["categories"]
    return names


def is_class(number: int, name: str | None) -> bool:
    """Whether ImageNet-1k's class of this number is called so; any is, where no name is given."""
    known = categories()
    return number < len(known) and (name is None or _plain(name) == _plain(known[number]))


def _torchvision_file(network: str) -> Path:
    """Where torchvision keeps a network's weights; fetched where they are not there."""
    try:
        weights = _enum(network)
    except ValueError as error:
        raise DataProblems([f"{PROBLEM}: torchvision has none of {network}; give a file"]) from error
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    if not file.is_file():
        try:
            weights.get_state_dict(progress=False, check_hash=True)
        except (URLError, OSError, RuntimeError) as error:
            where = f"hub/checkpoints/{file.name} under TORCH_HOME"
            problem = f"{PROBLEM}: {network}'s could not be downloaded ({error}); put them into {where}"
            raise DataProblems([problem]) from error
    return file


def _read(file: Path) -> dict[str, Tensor]:
    try:
        return read_weights(file)
    except DAMAGED as error:
        raise DataProblems([f"{file}: is damaged ({type(error).__name__}); fetch it again"]) from error


def _outputs(state: dict[str, Tensor]) -> int:
    """How many classes weights know: rows of the last matrix."""
    matrices = [tensor for name, tensor in state.items() if name.endswith("weight") and tensor.ndim == 2]
    return len(matrices[-1]) if matrices else 0


def _restrict(network: nn.Module, outputs: list[int]) -> None:
    """Leave of the last layer nothing but these outputs."""
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    last.weight = nn.Parameter(last.weight.detach()[outputs].clone())
    last.bias = nn.Parameter(last.bias.detach()[outputs].clone())
    last.out_features = len(outputs)
