"""Four ResNet-20 shadow models one after another, two at once, or in one computation."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe, train
from leakbench.synth.seeds import seeded_rng

MODELS, COUNT, BATCH, STEPS = 4, 1024, 128, 8


def images():
    rng = seeded_rng("speed")
    pixels = torch.randint(0, 256, (COUNT, 3, 32, 32), generator=rng, dtype=torch.uint8)
    return Images(pixels, torch.randint(0, 10, (COUNT,), generator=rng), tuple(map(str, range(10))))


def networks():
    return [build("resnet20", classes=10, side=32, seed=seed) for seed in range(MODELS)]


def one_after_another(data, device):
    for network in networks():
        train(network, data, Recipe(steps=STEPS, batch_size=BATCH), seed=0, device=device)


def two_at_once(data, device):
    def alone(network):
        torch.set_num_threads(1)
        train(network, data, Recipe(steps=STEPS, batch_size=BATCH), seed=0, device=device)

    threads = torch.get_num_threads()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(alone, networks()))
    torch.set_num_threads(threads)


def one_computation(data, device):
    """Vmap over the gradient of functional calls; batch norm's running statistics are stacked as well."""
    models = [network.to(device) for network in networks()]
    skeleton = models[0].train()
    parameters, buffers = stack_module_state(models)
    parameters = {name: value.detach() for name, value in parameters.items()}  # or all of a step is kept
    momentum = {name: torch.zeros_like(value) for name, value in parameters.items()}

    def loss(parameters, buffers, x, y):
        return cross_entropy(functional_call(skeleton, (parameters, buffers), (x,)), y)

    step = vmap(grad(loss), randomness="different")
    rng = seeded_rng("batches")
    for _ in range(STEPS):
        index = torch.randint(COUNT, (MODELS, BATCH), generator=rng)
        x, y = data.pixels[index].to(device).float() / 255, data.labels[index].to(device)
        gradients = step(parameters, buffers, x, y)
        for name, gradient in gradients.items():
            momentum[name] = 0.9 * momentum[name] + gradient
            parameters[name] = parameters[name].detach() - 0.1 * momentum[name]


WAYS = {"one after another": one_after_another, "two at once, a core each": two_at_once, "vmap": one_computation}


@pytest.mark.benchmark(group="train 4 ResNet-20 on 1,024 images each")
@pytest.mark.parametrize("way", WAYS)
def test_shadows(benchmark, way, device, finished):
    rounds = 1 if way == "vmap" else 3  # it takes three times as long
    call = finished(WAYS[way])
    benchmark.pedantic(call, args=(images(), device), rounds=rounds, warmup_rounds=rounds // 3)
    if benchmark.stats:
        benchmark.extra_info["images per second"] = round(MODELS * COUNT / benchmark.stats.stats.median)
