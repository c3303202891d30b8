"""Inverting Gradients against breaching, the best public implementation: same networks, images, gradients, iterations.

``pip install '.[peers]' && pip install --no-deps breaching==0.1.2``, then
``LEAKBENCH_CIFAR=DIR pytest benchmarks/speed/test_gradient_matching.py --benchmark-enable -n 0 -s`` with a folder of
CIFAR-10 images by class; without it, the digits that scikit-learn ships. Ten minutes on two cores.
"""

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from leakbench.attacks.gradient.inverting_gradients import InvertingGradients
from leakbench.attacks.victims.clients import GradientClients, share_gradients
from leakbench.attacks.view import Access, View
from leakbench.benchmarks.storage.allocator import keep_freed_memory
from leakbench.metrics.image import psnr
from leakbench.metrics.rates import mean_over_images
from leakbench.synth.data.datasets import open_pool
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import MEAN, STD, Normalize, build
from leakbench.synth.networks.training import has_bf16

COUNT, TV = 32, 0.2
CPU = torch.device("cpu")


def images():
    folder = os.environ.get("LEAKBENCH_CIFAR")
    pool = open_pool("imagefolder", Path(folder), None) if folder else open_pool("digits", None, None)
    order = torch.randperm(len(pool.labels), generator=torch.Generator().manual_seed(0))[:COUNT]
    return Images(pool.draw(order), pool.labels[order], pool.classes)


def inner(name):
    """A network without its normalisation: breaching optimises normalised images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name == "breaching's ConvNet":
            from breaching.cases.models.model_preparation import ConvNet

            return ConvNet(width=64, num_classes=10).eval()
    return build(name, classes=10, side=32, seed=0)[1].eval()


class Fields(dict):
    __getattr__ = dict.__getitem__


def peer(network, shared, iterations):
    """One reconstruction after the other, as breaching does it."""
    import breaching
    from omegaconf import OmegaConf

    config = breaching.get_attack_config("invertinggradients")
    OmegaConf.set_struct(config, False)
    config.optim.max_iterations, config.optim.callback = iterations, 10**9
    config.regularization.total_variation.scale = TV
    about = SimpleNamespace(shape=(3, 32, 32), mean=(MEAN,) * 3, std=(STD,) * 3, modality="vision")
    setup = {"dtype": torch.float, "device": CPU}
    attacker = breaching.attacks.prepare_attack(network, nn.CrossEntropyLoss(), config, setup)
    server = [{"parameters": list(network.parameters()), "buffers": list(network.buffers()), "metadata": about}]
    found = []
    for victim in range(COUNT):
        known = Fields(num_data_points=1, labels=shared.labels[victim], local_hyperparams=None)
        user = [{"gradients": [g[victim] for g in shared.gradients], "buffers": None, "metadata": known}]
        result, _ = attacker.reconstruct(server, user, {})
        found.append(result["data"].detach())
    return (torch.cat(found) * STD + MEAN).clamp(0, 1)


@pytest.mark.benchmark(group="inverting the gradients of 32 images")
@pytest.mark.parametrize(("name", "iterations"), [("resnet20", 200), ("breaching's ConvNet", 20)])
def test_inverting_gradients(benchmark, name, iterations):
    pytest.importorskip("breaching", reason="pip install --no-deps breaching==0.1.2, and the extra [peers]")
    victims, network = images(), inner(name)
    clients = GradientClients(victims=COUNT, labels_known=True)
    full = nn.Sequential(Normalize(), network)
    shared = share_gradients(clients, full, victims, lambda gradients, seed: gradients, seed=0)
    view = View(threat_model="benchmark", grants={Access.GRADIENTS: lambda: shared})

    def ours(*, bf16):
        attack = InvertingGradients(iterations=iterations, tv_weight=TV, bf16=bf16)
        return attack.run(view, seed=0, device=CPU).pixels

    seconds, quality = {}, {}
    start = time.perf_counter()
    quality["breaching"] = psnr(peer(network, shared, iterations), victims.float())
    seconds["breaching"] = time.perf_counter() - start
    keep_freed_memory()  # after the peer, who runs as its users run it; the command line calls this for ours
    for bf16 in [False] + [True] * has_bf16(CPU):
        start = time.perf_counter()
        best = bf16 == has_bf16(CPU)
        found = benchmark.pedantic(ours, kwargs={"bf16": bf16}, rounds=1) if best else ours(bf16=bf16)
        seconds[f"ours, bf16 {bf16}"] = time.perf_counter() - start
        quality[f"ours, bf16 {bf16}"] = psnr(found, victims.float())
    for who, value in seconds.items():
        gain = mean_over_images((quality[who] - quality["breaching"]).double().numpy())
        benchmark.extra_info[who] = line = (
            f"{60 * COUNT / value:.2f} reconstructions a minute, {seconds['breaching'] / value:.2f} times breaching's; "
            f"mean PSNR {quality[who].mean():.2f} dB, paired difference {gain.value:.2f} [{gain.low}, {gain.high}]"
        )
        print(f"\n{name}, {iterations} iterations, {who}: {line}")
