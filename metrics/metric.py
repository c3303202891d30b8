"""What a metric of two images knows of itself: its name, function, unit, direction, variant, and where it exists."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from leakbench import metrics
from leakbench.metrics.measurement import Better

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of two images.

    Args:
        name: as measurements carry it.
        function: from two float (N, C, H, W) batches in [0, 1] to (N,) values.
        unit: of the values.
        alike: whether a higher or a lower value means that two images are more alike.
        variant: what exactly is measured; asked for only where it can be measured.
        unavailable: why it cannot be measured on images of a side, or None where it can.
        most: images that it is measured on, at most, where many are compared.
        of_guesses: whether an attack's reconstructions are judged by it too.
    """

    name: str
    function: Callable[[Tensor, Tensor], Tensor]
    unit: str = ""
    alike: Literal["higher", "lower"] = "higher"
    variant: Callable[[], str]
    unavailable: Callable[[int], str | None] = lambda side: None
    most: int | None = None
    of_guesses: bool = True

    @property
    def better(self) -> Better:
        """Which direction is good for the data owner: to be less alike."""
        return "lower" if self.alike == "higher" else "higher"

    def excess(self, attack: Floats, control: Floats) -> Floats:
        """By how much an attack's images are more alike than the control's, whichever direction that is."""
        return attack - control if self.alike == "higher" else control - attack

    def most_alike(self, values: Floats) -> float:
        """The value of the two images that are most alike."""
        return float(values.max() if self.alike == "higher" else values.min())


_METRICS: dict[str, Metric] = {}


def register_metric(metric: Metric) -> Metric:
    """Make a metric known.

    Raises:
        ValueError: the name is taken.
    """
    if metric.name in _METRICS:
        raise ValueError(f"the metric {metric.name!r} is registered already")
    _METRICS[metric.name] = metric
    return metric


@cache
def image_metrics() -> dict[str, Metric]:
    """All metrics of two images, by name: those of every module of this package that registers any."""
    for found in pkgutil.iter_modules(metrics.__path__):
        importlib.import_module(f"{metrics.__name__}.{found.name}")
    order = ("ssim", "psnr", "mae", "ms-ssim", "lpips")
    return {name: _METRICS[name] for name in (*order, *(name for name in _METRICS if name not in order))}
