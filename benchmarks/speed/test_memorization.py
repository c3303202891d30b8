"""What hiding images costs a training step, against plain: `pytest benchmarks/speed --benchmark-enable -n 0`."""

import pytest
import torch

from leakbench.attacks.memorization.correlated_value import CorrelatedValue
from leakbench.attacks.memorization.sign import Sign
from leakbench.attacks.view import HonestEncoder
from leakbench.benchmarks.storage.allocator import keep_freed_memory
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe, train
from leakbench.synth.seeds import seeded_rng

COUNT, BATCH, STEPS = 2048, 128, 16
CODE = {
    "plain": HonestEncoder(),
    "sign, 10 RGB images": Sign(num_images=10),
    "correlated value, 80 RGB images": CorrelatedValue(num_images=80),
}


@pytest.fixture(scope="module")
def images():
    keep_freed_memory()
    rng = seeded_rng("speed")
    pixels = torch.randint(0, 256, (COUNT, 3, 32, 32), generator=rng, dtype=torch.uint8)
    return Images(pixels, torch.randint(0, 10, (COUNT,), generator=rng), tuple(map(str, range(10))))


@pytest.mark.benchmark(group="train ResNet-20 with a penalty")
@pytest.mark.parametrize("name", CODE)
def test_penalty(benchmark, images, name):
    device = torch.device("cpu")

    def run():
        network = build("resnet20", classes=10, side=32, seed=0)
        penalty = CODE[name].encode(network, images).penalty
        train(network, images, Recipe(steps=STEPS, batch_size=BATCH), seed=0, device=device, penalty=penalty)

    benchmark.pedantic(run, rounds=7, warmup_rounds=1)
    if benchmark.stats:
        benchmark.extra_info["ms a step"] = round(1000 * benchmark.stats.stats.median / STEPS, 1)
