"""The suite `imagenet` from end to end: a small folder of images of 224 pixels, weights in torchvision's cache."""

import json
import re

import pytest
import torch
import torchvision
from torchvision.models import ResNet18_Weights
from torchvision.transforms.v2.functional import to_pil_image

from leakbench.reports.records import read_records
from leakbench.synth.seeds import seeded, seeded_rng
from tests.benchmarks.conftest import call

NAMES = ("tench", "goldfish", "hen")


@pytest.fixture
def folder(tmp_path):
    coarse = torch.rand(30, 3, 7, 7, generator=seeded_rng("imagenet"))
    fine = torch.nn.functional.interpolate(coarse, size=(240, 230), mode="bicubic").clamp(0, 1)
    for part, count in (("train", 10), ("val", 4)):
        for k, name in enumerate(NAMES):
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for i in range(count):
                to_pil_image(fine[10 * k + i]).save(tmp_path / "data" / part / name / f"{i}.jpg")
    return tmp_path / "data"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    file = tmp_path / "torch" / "hub" / "checkpoints" / ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    with seeded(0):
        torch.save(torchvision.models.resnet18().state_dict(), file)


@pytest.mark.slow
def test_imagenet(suites, folder, hub, tmp_path, capsys):
    text = (suites / "imagenet.toml").read_text()
    (suites / "imagenet.toml").write_text(
        re.sub("steps = 30000, batch_size = 128", "steps = 2, batch_size = 4, learning_rate = 0.001", text)
    )
    defenses = ("identity", "disjoint", "bn-matching:images_per_statistic=1,num_images=4,steps=2,batch_size=4")
    chosen = [part for name in defenses for part in ("--defense", name)]
    chosen += ["--attack", "gan-leaks"]
    places = (
        "--data",
        folder,
        "--simulate-public",
        "--out",
        tmp_path / "run",
        "--cache",
        tmp_path / "cache",
        "--processes",
        1,
    )
    assert call("run", "imagenet", *places, "--classes", "hen,tench", *chosen) == 0
    records = read_records(tmp_path / "run" / "records.jsonl").values()
    assert {r.cell.task for r in records} == {"blind", "teacher", "release", "visual", "utility", "attack"}
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["suite"]["classes"] == ["hen", "tench"]
    assert len(about["identity"]["teacher weights"]) == 64
    assert call("run", "imagenet", *places, "--classes", "hen,rooster", *chosen) == 2
    assert "there is no class 'rooster'; there are: goldfish, hen, tench" in capsys.readouterr().err
