"""Per-image similarity of two batches of images, by piq: PSNR, SSIM, MS-SSIM."""

from collections.abc import Callable

import piq
import torch
from torch import Tensor

from leakbench.metrics.chunks import in_chunks
from leakbench.metrics.metric import Metric, register_metric

PSNR_CAP = 80.0
"""dB. piq adds 1e-8 to the mean squared error, so an exact copy scores 80 dB and no batch becomes infinite."""

MS_SSIM_SIDE = 161
"""Pixels. Five scales with an 11-pixel window need (11 - 1) * 2**4 + 1 on the shorter side."""

AT_ONCE, AT_ONCE_ON_CPU = 4096, 256
"""Pairs. A CPU's caches hold so many of 32x32 pixels: SSIM took half as long as with 1,024."""


def _check(x: Tensor, y: Tensor) -> None:
    if x.shape != y.shape or x.ndim != 4:
        raise ValueError(
            f"images must be two (N, C, H, W) batches of one shape, got {tuple(x.shape)}, {tuple(y.shape)}"
        )
    for batch in (x, y):
        if not batch.is_floating_point() or (batch.numel() and not _within(batch)):
            raise ValueError("images must be float in [0, 1]; divide uint8 images by 255")


def _within(batch: Tensor) -> bool:
    low, high = batch.aminmax()
    return bool(low >= 0 and high <= 1)


def _chunked(metric: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    _check(x, y)
    if not len(x):
        return x.new_zeros(0)
    size = AT_ONCE_ON_CPU if x.device.type == "cpu" else AT_ONCE
    return torch.cat(in_chunks(lambda part: metric(x[part].float(), y[part].float()), len(x), size))


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio, 10 log10(1 / (MSE + 1e-8)), in dB.

    Args:
        x: float images in [0, 1], (N, C, H, W).
        y: the images to compare with, same shape.

    Returns:
        (N,) values; 80 for an exact copy.

    Raises:
        ValueError: shapes differ, or values are outside [0, 1].
    """
    return _chunked(lambda a, b: piq.psnr(a, b, data_range=1.0, reduction="none"), x, y)


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004) with an 11x11 Gaussian window, no padding, no downsampling.

    Args:
        x: float images in [0, 1], (N, C, H, W), at least 11 pixels a side.
        y: the images to compare with, same shape.

    Returns:
        (N,) values in [-1, 1]; 1 for an exact copy.

    Raises:
        ValueError: shapes differ, values are outside [0, 1], or images are smaller than the window.
    """
    if x.ndim == 4 and min(x.shape[-2:]) < 11:
        raise ValueError(f"SSIM's window needs 11 pixels a side, got {x.shape[-2]}x{x.shape[-1]}")
    return _chunked(lambda a, b: piq.ssim(a, b, data_range=1.0, reduction="none", downsample=False), x, y)


def ms_ssim_unavailable(side: int) -> str | None:
    """Why MS-SSIM cannot be computed on images of this side, or None where it can."""
    if side >= MS_SSIM_SIDE:
        return None
    return f"MS-SSIM's five scales need {MS_SSIM_SIDE} pixels a side, these images have {side}"


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Multi-scale structural similarity (Wang et al. 2003), five scales.

    Args:
        x: float images in [0, 1], (N, C, H, W), at least 161 pixels a side.
        y: the images to compare with, same shape.

    Returns:
        (N,) values in [0, 1].

    Raises:
        ValueError: shapes differ, values are outside [0, 1], or images are too small for five scales.
    """
    if (reason := ms_ssim_unavailable(min(x.shape[-2:]))) is not None:
        raise ValueError(reason)
    return _chunked(lambda a, b: piq.multi_scale_ssim(a, b, data_range=1.0, reduction="none"), x, y)


def byte_ssim(x: Tensor, y: Tensor) -> Tensor:
    """:func:`ssim` of uint8 images (N, C, H, W), which become floats a chunk at a time."""
    if not len(x):
        return torch.zeros(0)
    return torch.cat(in_chunks(lambda i: ssim(x[i].float() / 255, y[i].float() / 255), len(x), 2048))


def mean_absolute_error(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute difference of the values of two images, of 255.

    Args:
        x: float images in [0, 1], (N, C, H, W).
        y: the images to compare with, same shape.
    """
    return 255 * (x - y).abs().mean((1, 2, 3))


register_metric(
    Metric(
        name="psnr",
        function=psnr,
        unit="dB",
        variant=lambda: "piq, data range 1, per image over all channels, capped at 80 dB by MSE + 1e-8",
    )
)
register_metric(
    Metric(
        name="ssim",
        function=ssim,
        variant=lambda: (
            "piq, 11x11 Gaussian window sigma 1.5, data range 1, no padding, no downsampling, mean over channels"
        ),
    )
)
register_metric(
    Metric(
        name="ms-ssim",
        function=ms_ssim,
        variant=lambda: "piq, 5 scales, 11x11 Gaussian window sigma 1.5, data range 1",
        unavailable=ms_ssim_unavailable,
        of_guesses=False,
    )
)
register_metric(
    Metric(
        name="mae",
        function=mean_absolute_error,
        unit="of 255",
        alike="lower",
        variant=lambda: "mean absolute pixel error",
    )
)
