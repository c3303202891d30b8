"""How much released images look like private ones: the battery of T2."""

import torch
from torch import Tensor

from leakbench.metrics.measurement import Judgement, Measurement
from leakbench.metrics.metric import image_metrics
from leakbench.metrics.rates import mean_over_images


def compare(name: str, released: Tensor, originals: Tensor, *, seed: int) -> Judgement:
    """Every metric of pairs of images, averaged over the pairs with a bootstrap interval.

    Args:
        name: of the pairing; measurements are called ``<name>.ssim`` and so on.
        released: uint8 (N, C, H, W).
        originals: uint8, the counterpart of each.
        seed: of the bootstrap.
    """
    x, y = released.float() / 255, originals.float() / 255
    measured, absent = [], {}
    for metric in image_metrics().values():
        if (reason := metric.unavailable(int(min(x.shape[-2:])))) is not None:
            absent[f"{name}.{metric.name}"] = reason
            continue
        some = torch.linspace(0, len(x) - 1, min(metric.most or len(x), len(x))).long()
        values = metric.function(x[some], y[some]).double().numpy()
        mean = mean_over_images(values, seed=seed)
        measured.append(
            Measurement(
                name=f"{name}.{metric.name}",
                value=mean.value,
                low=mean.low,
                high=mean.high,
                n=len(values),
                unit=metric.unit,
                better=metric.better,
                variant=metric.variant(),
            )
        )
    return Judgement(tuple(measured), absent)
