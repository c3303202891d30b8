"""How much released images look like private ones: the battery of T2."""

import torch
from torch import Tensor

from leakbench.metrics import lpips
from leakbench.metrics.image import VARIANTS, ms_ssim, ms_ssim_unavailable, psnr, ssim
from leakbench.metrics.measurement import Better, Measurement
from leakbench.metrics.rates import mean_over_images

MAX_LPIPS = 2000
"""Images that LPIPS is computed for, evenly spaced: AlexNet is a hundred times as dear as SSIM."""


def compare(name: str, released: Tensor, originals: Tensor, *, seed: int) -> tuple[list[Measurement], dict[str, str]]:
    """PSNR, SSIM, MS-SSIM and LPIPS of pairs, averaged over images with bootstrap intervals.

    Args:
        name: of the pairing; measurements are called ``<name>.ssim`` and so on.
        released: uint8 (N, C, H, W).
        originals: uint8, the counterpart of each.
        seed: of the bootstrap.

    Returns:
        Measurements, and the metrics that could not be computed, with the reason.
    """
    x, y = released.float() / 255, originals.float() / 255
    values: dict[str, tuple[Tensor, str, str]] = {
        "ssim": (ssim(x, y), "", VARIANTS["ssim"]),
        "psnr": (psnr(x, y), "dB", VARIANTS["psnr"]),
    }
    absent = {}
    if (reason := ms_ssim_unavailable(int(min(x.shape[-2:])))) is None:
        values["ms-ssim"] = (ms_ssim(x, y), "", VARIANTS["ms-ssim"])
    else:
        absent[f"{name}.ms-ssim"] = reason
    if (reason := lpips.unavailable()) is None:
        index = torch.linspace(0, len(x) - 1, min(MAX_LPIPS, len(x))).long()
        values["lpips"] = (lpips.lpips_distance(x[index], y[index]), "", lpips.variant())
    else:
        absent[f"{name}.lpips"] = reason
    figures = []
    for metric, (numbers, unit, variant) in values.items():
        mean = mean_over_images(numbers.double().numpy(), seed=seed % 2**32)
        better: Better = "higher" if metric == "lpips" else "lower"
        figures.append(
            Measurement(
                name=f"{name}.{metric}",
                value=mean.value,
                low=mean.low,
                high=mean.high,
                n=len(numbers),
                unit=unit,
                better=better,
                variant=variant,
            )
        )
    return figures, absent
