"""A tiny suite on the embedded digits, and the command line in this process."""

import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from leakbench.attacks.attack import attacks
from leakbench.benchmarks.cli import app as cli
from leakbench.benchmarks.cli import exits
from leakbench.benchmarks.stages import visual
from leakbench.benchmarks.suite import model as suite
from leakbench.reports import write
from leakbench.synth import guard
from leakbench.synth.images import Images
from leakbench.synth.registry import defenses

TINY = """
name = "tiny"
dataset = "digits"
defenses = ["identity", "disjoint", "bn-matching:images_per_statistic=1,num_images=20,steps=3,batch_size=20"]
attacks = [
    "inverting-gradients:iterations=3", "gradinversion:iterations=2,restarts=2@sent", "sign:num_images=2",
    "gan-leaks", "lsb:num_images=2@bf16", "correlated-value:num_images=2,gray=true",
    "capacity-abuse:num_images=1,per_step=8",
    "lira:shadows=2,variance=fixed", "lira-pipeline:shadows=2,variance=fixed", "rmia:shadows=2", "loss-threshold",
    "canaries:canaries=4",
    "hitaj:start_round=1,generator_steps=1,local_steps=1,samples=2",
]
[sizes]
members = 60
auxiliary = 40
test = 60
[teacher]
network = "resnet20"
recipe = { steps = 4, batch_size = 20 }
[student]
networks = ["lenet", "resnet20"]
recipe = { steps = 4, batch_size = 20 }
[memorization.default]
recipe = { steps = 4, batch_size = 20 }
[memorization.bf16]
recipe = { steps = 4, batch_size = 20 }
rounding = "bf16"
[gradient.default]
network = "lenet"
victims = 3
[gradient.sent]
network = "resnet20"
victims = 2
batch = 2
mode = "train"
statistics = "sent"
[federation]
rounds = 2
local_steps = 1
batch_size = 10
"""

UNASKED = "no test asks for it"


@pytest.fixture(autouse=True)
def lean(request, monkeypatch):
    """Figures, and looks through a public network, are half of a tiny run; who wants them asks for `whole`."""
    if "whole" not in request.fixturenames:
        monkeypatch.setattr(write, "draw", lambda results, folder: {})
        monkeypatch.setattr(visual, "public_features", unlooked)
        monkeypatch.setattr(visual, "missing", lambda: UNASKED)


def unlooked(device):
    raise ValueError(UNASKED)


@pytest.fixture
def whole():
    """All of a run, which other tests do without."""


def pictures(folder):
    """The images of a folder, by the guard's own hash."""
    found = {}
    for file in folder.rglob("*.png"):
        found[guard.digest(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1))] = file
    return found


def written(images, folder):
    for index, (pixels, label) in enumerate(zip(images.pixels, images.labels.tolist(), strict=True)):
        (folder / images.classes[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / images.classes[label] / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def others(tmp_path_factory, digits):
    """Smooth random pictures, which are no digits."""
    rng = torch.Generator().manual_seed(3)
    smooth = torch.nn.functional.interpolate(torch.rand((60, 3, 5, 5), generator=rng), size=32, mode="bilinear")
    images = Images((255 * smooth).to(torch.uint8), torch.arange(60) % 10, digits.public.classes)
    return written(images, tmp_path_factory.mktemp("others") / "public")


@pytest.fixture
def suites(tmp_path, monkeypatch):
    folder = tmp_path / "suites"
    shutil.copytree(suite.FOLDER, folder)
    (folder / "tiny.toml").write_text(TINY)
    monkeypatch.setattr(suite, "FOLDER", folder)
    return folder


def call(*arguments):
    return exits.guarded(lambda: cli.app(list(map(str, arguments)), standalone_mode=False))


def run_tiny(tmp_path, *more, out="run", cache="cache"):
    places = ("--out", tmp_path / out, "--cache", tmp_path / cache)
    processes = () if {"--executor", "--processes"} & set(more) else ("--processes", 1)
    return call("run", "tiny", *places, "--device", "cpu", *processes, *more)


@pytest.fixture
def unregister():
    """What a test registers is gone after it."""
    registries = (defenses, attacks)
    before = [set(registry) for registry in registries]
    yield
    for registry, names in zip(registries, before, strict=True):
        for name in set(registry) - names:
            del registry[name]
    for name in [name for name in sys.modules if name.startswith("leakbench_plugin_")]:
        del sys.modules[name]
