"""The networks: uint8-scaled float images in, logits out; normalisation lives inside."""

from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn

from leakbench.synth.networks.linear_probe import LinearProbe
from leakbench.synth.seeds import seeded

SMALL = 64
"""Pixels. Images up to this side get the stem that keeps their resolution (3x3, stride 1, no pooling)."""

MEAN, STD = 0.5, 0.25
"""Fixed constants, not the private images' statistics, which would be published with every network."""


class Normalize(nn.Module):
    """(x - 0.5) / 0.25 for images in [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) images."""
        return (x - MEAN) / STD


class _Block(nn.Module):
    """A CIFAR residual block with the parameter-free shortcut (option A of arXiv 1512.03385)."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.stride, self.extra = stride, width - width_in

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.extra:
            shortcut = nn.functional.pad(shortcut, (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2))
        return torch.relu_(y + shortcut)


def _cifar_resnet(blocks: int) -> Callable[[int, int], nn.Module]:
    def build(classes: int, side: int) -> nn.Module:
        layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
        width_in = 16
        for width, stride in ((16, 1), (32, 2), (64, 2)):
            layers += [_Block(width_in if i == 0 else width, width, stride if i == 0 else 1) for i in range(blocks)]
            width_in = width
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))

    return build


def _torchvision_resnet(name: str) -> Callable[[int, int], nn.Module]:
    def build(classes: int, side: int) -> nn.Module:
        network: nn.Module = getattr(torchvision.models, name)(num_classes=classes)
        if side <= SMALL:
            network.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
            network.maxpool = nn.Identity()
        return network

    return build


def _vgg11_bn(classes: int, side: int) -> nn.Module:
    network: nn.Module = torchvision.models.vgg11_bn(num_classes=classes)
    if side <= SMALL:
        layers = list(network.get_submodule("features").children())
        pools = [index for index, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
        for index in pools[side.bit_length() - 1 :]:  # halved so often there would be nothing left
            layers[index] = nn.Identity()
        network.features = nn.Sequential(*layers)
        network.avgpool = nn.AdaptiveAvgPool2d(1)
        network.classifier = nn.Linear(512, classes)
    return network


def _mobilenet_v2(classes: int, side: int) -> nn.Module:
    network: nn.Module = torchvision.models.mobilenet_v2(num_classes=classes)
    if side <= SMALL:  # strides 2, 1, 2, 2, 2, 1, 2 become 1, 1, 1, 2, 2, 1, 2
        for layer in [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)][:2]:
            layer.stride = (1, 1)
    return network


def _convnet3(classes: int, side: int) -> nn.Module:
    layers: list[nn.Module] = []
    for width_in in (3, 128, 128):
        layers += [
            nn.Conv2d(width_in, 128, 3, 1, 1),
            nn.GroupNorm(128, 128),
            nn.ReLU(),
            nn.AvgPool2d(2),
        ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * (side // 8) ** 2, classes))


def _lenet(classes: int, side: int) -> nn.Module:
    layers: list[nn.Module] = []
    for width_in, stride in ((3, 2), (12, 2), (12, 1)):
        layers += [nn.Conv2d(width_in, 12, 5, stride, 2), nn.Sigmoid()]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(12 * (-(-side // 4)) ** 2, classes))
    return network


def _dcgan(classes: int, side: int) -> nn.Module:
    layers: list[nn.Module] = []
    for width_in, width in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(width_in, width, 5, 2, 2), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * (-(-side // 8)) ** 2, classes))


NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {
    "resnet8": _cifar_resnet(blocks=1),
    "resnet20": _cifar_resnet(blocks=3),
    "resnet18": _torchvision_resnet("resnet18"),
    "resnet34": _torchvision_resnet("resnet34"),
    "resnet50": _torchvision_resnet("resnet50"),
    "vgg11-bn": _vgg11_bn,
    "mobilenet-v2": _mobilenet_v2,
    "convnet3": _convnet3,
    "lenet": _lenet,
    "dcgan": _dcgan,
}
"""Those that are trained from scratch."""

PROBE = "linear-probe"
"""A student that is a linear layer on the features of a network trained on public photographs."""


def build(name: str, *, classes: int, side: int, seed: int) -> nn.Module:
    """A freshly initialised network, deterministic in the seed; the global generator is left as it was.

    `resnet20` is the CIFAR network of arXiv 1512.03385 (269,722 parameters, 688 batch-norm channels), `resnet8` its
    shortest (75,290 parameters, 240 channels); `resnet18`,
    `resnet34`, `resnet50`, `vgg11-bn` and `mobilenet-v2` are torchvision's, with a stem that keeps the resolution
    where images have at most 64 pixels; `convnet3` is the condensation papers' (three blocks of 128,
    instance norm); `dcgan` is a DCGAN discriminator without normalisation, which federated averaging would blur;
    `lenet` is DLG's (sigmoid, arXiv 1906.08935), whose own initialisation is uniform in [-0.5, 0.5]. `linear-probe`
    trains a linear layer alone, on what a public network sees (`linear_probe.LinearProbe`).

    Args:
        name: one of NETWORKS, or PROBE.
        classes: outputs.
        side: pixels of the (square) images.
        seed: of the initialisation.

    Returns:
        A network from (N, 3, side, side) floats in [0, 1] to (N, classes) logits.

    Raises:
        KeyError: there is no such network.
        ValueError: a public network is needed, and none is at hand.
    """
    if name == PROBE:
        with seeded(seed):
            return LinearProbe(classes)
    if name not in NETWORKS:
        raise KeyError(f"there is no network {name!r}; there are: {', '.join(sorted(NETWORKS))}")
    with seeded(seed):
        network = NETWORKS[name](classes, side)
        if name == "lenet":
            for parameter in network.parameters():
                nn.init.uniform_(parameter, -0.5, 0.5)
    return nn.Sequential(Normalize(), network)
