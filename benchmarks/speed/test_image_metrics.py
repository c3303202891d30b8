"""SSIM and PSNR of 4,096 pairs of 32x32 images, one value a pair, against torchmetrics and piq one pair at a time.

pytest benchmarks/speed/test_image_metrics.py --benchmark-enable -n 0
"""

import piq
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from leakbench.metrics.image import psnr, ssim
from leakbench.synth.seeds import seeded_rng

COUNT = 4096


@pytest.fixture(scope="module")
def pairs():
    rng = seeded_rng("speed of metrics")
    return [torch.rand(COUNT, 3, 32, 32, generator=rng) for _ in range(2)]


def one_by_one(metric):
    return lambda x, y: torch.stack([metric(a[None], b[None]) for a, b in zip(x, y, strict=True)])


SSIM = {
    "ours": ssim,
    "piq, a pair at a time": one_by_one(lambda a, b: piq.ssim(a, b, data_range=1.0, downsample=False)),
    "torchmetrics": lambda x, y: structural_similarity_index_measure(x, y, reduction="none", data_range=1.0),
}
PSNR = {
    "ours": psnr,
    "piq, a pair at a time": one_by_one(lambda a, b: piq.psnr(a, b, data_range=1.0)),
    "torchmetrics": lambda x, y: peak_signal_noise_ratio(x, y, data_range=1.0, reduction="none", dim=(1, 2, 3)),
}


@pytest.mark.benchmark(group="SSIM of 4,096 pairs")
@pytest.mark.parametrize("way", SSIM)
def test_ssim(benchmark, way, pairs):
    assert len(benchmark.pedantic(SSIM[way], pairs, rounds=3, warmup_rounds=1)) == COUNT


@pytest.mark.benchmark(group="PSNR of 4,096 pairs")
@pytest.mark.parametrize("way", PSNR)
def test_psnr(benchmark, way, pairs):
    assert len(benchmark.pedantic(PSNR[way], pairs, rounds=3, warmup_rounds=1)) == COUNT
