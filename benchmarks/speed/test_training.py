"""ResNet-20 training throughput against a plain PyTorch loop: `pytest benchmarks/speed --benchmark-enable -n 0`."""

import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe, train
from leakbench.synth.seeds import seeded_rng

COUNT, BATCH, STEPS = 2048, 128, 16
CLASSES = tuple(map(str, range(10)))


def images():
    rng = seeded_rng("speed")
    pixels = torch.randint(0, 256, (COUNT, 3, 32, 32), generator=rng, dtype=torch.uint8)
    return Images(pixels, torch.randint(0, 10, (COUNT,), generator=rng), CLASSES)


class Plain(Dataset):
    """What most people write: one image at a time, transformed by torchvision."""

    def __init__(self, data):
        self.data = data
        self.transform = v2.Compose(
            [
                v2.RandomCrop(32, padding=4, padding_mode="reflect"),
                v2.RandomHorizontalFlip(),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return self.transform(self.data.pixels[index]), self.data.labels[index]


def plain_loop(data, device):
    network = build("resnet20", classes=10, side=32, seed=0).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    loader = DataLoader(Plain(data), batch_size=BATCH, shuffle=True, generator=seeded_rng("speed"))
    for x, y in loader:
        loss = torch.nn.functional.cross_entropy(network(x.to(device)), y.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def ours(data, device):
    network = build("resnet20", classes=10, side=32, seed=0)
    train(network, data, Recipe(steps=STEPS, batch_size=BATCH), seed=0, device=device)


@pytest.mark.benchmark(group="train ResNet-20 on 2,048 images")
@pytest.mark.parametrize("loop", ["ours", "plain DataLoader float32"])
def test_training(benchmark, loop, device, finished):
    run = finished(ours if loop == "ours" else plain_loop)
    benchmark.pedantic(run, args=(images(), device), rounds=3, warmup_rounds=1)
    if benchmark.stats:
        benchmark.extra_info["images per second"] = round(COUNT / benchmark.stats.stats.median)
