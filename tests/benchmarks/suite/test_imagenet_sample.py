"""The suite `imagenet-sample`: a teacher on a public network, that looks at every release."""

import re
from types import SimpleNamespace

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torchvision.transforms.v2.functional import to_pil_image

from leakbench.benchmarks.execution.cell import cell_key
from leakbench.benchmarks.execution.runner import describe, prepare_run
from leakbench.benchmarks.storage.run_folder import RunFolder
from leakbench.benchmarks.suite.graph import plan
from leakbench.benchmarks.suite.model import RequestProblems, load_suite
from leakbench.reports.records import Cell, read_records
from leakbench.reports.tables import tables
from leakbench.reports.verdicts import Results
from leakbench.synth.data.datasets import open_pool
from leakbench.synth.networks import public
from leakbench.synth.seeds import seeded, seeded_rng
from tests.benchmarks.conftest import TINY, call, run_tiny
from tests.benchmarks.stages.test_context import context

__all__ = ["context"]
NAMED = {"fish": ("000_tench", "001_goldfish", "002_great_white_shark"), "bird": ("007_cock", "008_hen")}
EXAMINES = TINY.replace("[teacher]", "[teacher]\nexamines = true")
PROBE = TINY.replace('[teacher]\nnetwork = "resnet20"', '[teacher]\nnetwork = "linear-probe"')


@pytest.fixture
def folder(tmp_path):
    """Photographs, as it were, named by ImageNet's classes (signs do not count) in folders of coarser ones."""
    coarse = torch.rand(48, 3, 9, 9, generator=seeded_rng("imagenet"))
    fine = torch.nn.functional.interpolate(coarse, size=(80, 90), mode="bicubic").clamp(0, 1)
    for k, (name, known) in enumerate(NAMED.items()):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(24):
            number, _, what = known[i % len(known)].partition("_")
            to_pil_image(fine[24 * k + i]).save(tmp_path / "data" / name / f"{number}_{what}{'-' * i}.png")
    return tmp_path / "data"


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A public network at hand: ResNet-18 that has learned nothing."""
    with seeded(0):
        save_file(torchvision.models.resnet18().state_dict(), tmp_path / "public.safetensors")
    monkeypatch.setenv(public.VARIABLE, str(tmp_path / "public.safetensors"))


@pytest.mark.slow
def test_from_end_to_end(suites, folder, network, tmp_path):
    text = (suites / "imagenet-sample.toml").read_text()
    text = re.sub(r"steps ?= ?\d+", "steps=2", re.sub(r"iterations=\d+", "iterations=2", text))
    text = re.sub(r"num_images=\d+", "num_images=4", re.sub(r"image_size = \d+", "image_size = 72", text))
    (suites / "imagenet-sample.toml").write_text(re.sub(r"side=\d+", "side=72", text))
    places = ("--data", folder, "--out", tmp_path / "run", "--cache", tmp_path / "cache", "--processes", 1)
    assert call("run", "imagenet-sample", *places) == 0
    records = list(read_records(tmp_path / "run" / "records.jsonl").values())
    assert all(r.status == "ok" for r in records if r.cell.task in ("release", "visual", "utility", "teacher"))
    assert not [r.reason for r in records if r.status == "failed"]
    linked = {r.cell.defense.partition(":")[0] for r in records if "linkage" in r.cell.method and r.status == "ok"}
    assert {"identity", "disjoint", "bn-matching", "deepinversion"} <= linked


def test_every_release_waits_for_a_teacher_that_examines_it(suites):
    (suites / "tiny.toml").write_text(EXAMINES)
    planned = plan(load_suite("tiny", defenses=("identity", "noise"), attacks=()))
    releases = [cell for cell in planned.cells if cell.task == "release"]
    assert [[need.task for need in planned.needs[cell.id]] for cell in releases] == [["teacher"]] * 2


def test_seeds_change_where_it_examines_and_nowhere_else(suites):
    found = []
    for text in (TINY, EXAMINES.replace("examines = true", "examines = false"), EXAMINES):
        (suites / "tiny.toml").write_text(text)
        found.append(load_suite("tiny").hash)
    assert found[0] == found[1] != found[2]


def test_what_the_teacher_thinks_of_a_release_has_columns(suites, tmp_path):
    (suites / "tiny.toml").write_text(EXAMINES)
    chosen = ("--defense", "identity", "--defense", "noise-images:num_images=30", "--attack", "gan-leaks")
    assert run_tiny(tmp_path, *chosen) == 0
    records = list(read_records(tmp_path / "run" / "records.jsonl").values())
    found = {r.cell.defense: r for r in records if r.cell.task == "release"}
    assert found["identity"].get("release.agreement").value == 100
    assert 0 <= found["identity"].get("release.recognised").value <= 100
    noise = found["noise-images:num_images=30"]
    assert noise.get("release.recognised").n == 30
    assert "no one private image is the source" in noise.absent["release.agreement"]
    (t1,) = [table for table in tables(Results(records)) if table.name == "T1"]
    column = t1.columns.index("the teacher says what it says of the source (%)")
    assert [row[column][:3] for row in t1.rows] == ["100", "n/a"]
    assert any("The teacher looks at every release" in note for note in t1.notes)


def test_a_teacher_on_a_public_network_needs_one(suites, monkeypatch):
    (suites / "tiny.toml").write_text(PROBE)
    monkeypatch.setattr(public, "SOURCES", ())
    with pytest.raises(RequestProblems, match=r"\[teacher\] linear-probe: no network trained on public photographs"):
        load_suite("tiny")
    with pytest.raises(RequestProblems, match="leave teacher weights out"):
        load_suite("tiny", teacher_weights="torchvision")


@pytest.mark.parametrize("task", ["teacher", "release", "visual"])
def test_cells_are_kept_by_the_network_below_the_teacher(task, suites, network, context, monkeypatch):
    (suites / "tiny.toml").write_text(PROBE)
    context.suite = load_suite("tiny")
    context.release_digest = lambda spec, seed: "release"
    keys = set()
    for digest in ("one", "two"):
        monkeypatch.setattr(public, "public_network", lambda digest=digest: SimpleNamespace(digest=digest))
        keys.add(cell_key(context, Cell(suite="s", dataset="d", defense="noise", task=task, method="")))
    assert len(keys) == 2


def test_a_run_under_another_public_network_is_another_run(suites, network, tmp_path, cpu, monkeypatch):
    found = {}
    for text in (PROBE, TINY):
        (suites / "tiny.toml").write_text(text)
        suite = load_suite("tiny", defenses=("identity",), attacks=("gan-leaks",))
        config = prepare_run(
            suite, open_pool("digits", None, None), out=tmp_path / "run", cache=tmp_path / "cache", device=cpu
        )
        for digest in ("one", "two"):
            monkeypatch.setattr(public, "public_network", lambda digest=digest: SimpleNamespace(digest=digest))
            found[text, digest] = describe(config, plan(suite), None, {})["identity"]["public network"]
    assert found == {(text, digest): [digest] for text in (PROBE, TINY) for digest in ("one", "two")}, "T2 reads it"
    folder = RunFolder(tmp_path / "run")
    for network in ([], ["one"], ["one"]):  # it was missing at first
        folder.open({"identity": {"public network": network}})
    for network in ([], ["two"]):
        with pytest.raises(RequestProblems, match="other public network"):
            folder.open({"identity": {"public network": network}})


def test_a_sample_of_imagenet_is_no_private_folder(suites, folder, tmp_path, capsys):
    """Its photographs are named by class; one that is not makes it somebody's."""
    (suites / "tiny.toml").write_text(TINY.replace('dataset = "digits"', 'dataset = "imagefolder"\nimage_size = 32'))
    asked = ("--defense", "disjoint", "--attack", "gan-leaks", "--data", folder, "--dry-run")
    assert run_tiny(tmp_path, *asked) == 0
    picture = folder / "fish" / "000_tench.png"
    for other in (folder / "fish" / "000_aunt_mary.png", folder / "fish" / "000_tench" / "aunt_mary.png"):
        other.parent.mkdir(exist_ok=True)
        picture.rename(other)
        assert run_tiny(tmp_path, *asked) == 2
        assert "disjoint: reads images of other people" in " ".join(capsys.readouterr().err.split())
        other.rename(picture)
    assert run_tiny(tmp_path, *asked) == 0
