"""What there is and what is missing: `leakbench list` and `leakbench doctor`."""

from typing import Any

import torch

from leakbench.attacks.attack import attacks as attack_registry
from leakbench.benchmarks.storage.environment import environment
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.metrics import lpips
from leakbench.metrics.metric import image_metrics
from leakbench.synth.networks.architectures import NETWORKS
from leakbench.synth.networks.compilation import can_compile
from leakbench.synth.networks.public import missing, public_network
from leakbench.synth.networks.training import has_bf16
from leakbench.synth.registry import Registry
from leakbench.synth.registry import defenses as defense_registry

LARGE = 512
"""Pixels a side of images that every metric exists for."""


def _first_lines(registry: Registry[Any]) -> dict[str, str]:
    return {name: (registry[name].__doc__ or "").strip().split("\n")[0] for name in registry.names()}


def catalogue(datasets: dict[str, str], suites: list[str]) -> dict[str, dict[str, str]]:
    """Everything that can be named on the command line, with a line each, by kind."""
    return {
        "datasets": datasets,
        "defenses": _first_lines(defense_registry),
        "attacks": _first_lines(attack_registry),
        "metrics": {name: metric.unavailable(LARGE) or metric.variant() for name, metric in image_metrics().items()},
        "networks": dict.fromkeys(sorted(NETWORKS), ""),
        "suites": {name: f"leakbench run {name}" for name in suites},
    }


def fetched() -> str:
    """Download AlexNet's weights unless they are there undamaged; says where they lie.

    Raises:
        RequestProblems: they did not come, or are not what was asked for.
    """
    if lpips.fetched():
        return f"AlexNet's weights are there already: {lpips.torchvision_file()}"
    try:
        return f"AlexNet's weights: downloaded to {lpips.fetch()}"
    except (OSError, RuntimeError) as error:
        file, variable = lpips.torchvision_file(), lpips.VARIABLE
        raise RequestProblems(
            [
                f"AlexNet's weights could not be downloaded ({error}); put torchvision's {file.name} into "
                f"{file.parent}, or name a file of its convolutions by {variable}"
            ]
        ) from error


def examine() -> list[str]:
    """Lines on versions, hardware, and what cannot be measured here, with the remedy."""
    cuda = torch.cuda.is_available()
    lines = [f"{name}: {value}" for name, value in environment("cuda" if cuda else "cpu").items()]
    lines.append(f"CUDA: {'yes' if cuda else 'no; everything runs on the CPU'}")
    lines.append(
        f"bf16: {'yes' if has_bf16(torch.device('cuda' if cuda else 'cpu')) else 'no; training runs in float32'}"
    )
    if not cuda:
        remedy = "no; on Linux, g++ and python3-dev make large releases faster, see docs/speed.md"
        lines.append(f"compiling: {'yes' if can_compile(torch.device('cpu')) else remedy}")
    lines.append(f"LPIPS: {lpips.unavailable() or 'ready, ' + lpips.variant()}")
    network = public_network()
    lines.append(f"public network: {missing() if network is None else f'ready, {network.name} ({network.file})'}")
    return lines
