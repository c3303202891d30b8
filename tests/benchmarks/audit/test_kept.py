"""An audit that was stopped goes on with what it has seen, and leaves nothing of it when it is done."""

import importlib

import numpy as np
import pytest
import torch

import leakbench
from leakbench.benchmarks.audit import folders as module
from leakbench.benchmarks.audit.folders import open_folders
from leakbench.benchmarks.audit.kept import FOLDER
from leakbench.metrics.described import describe
from leakbench.synth.data.image_files import DataProblems
from tests.benchmarks.audit.test_audit import audited, saved
from tests.pictures import textured

command = importlib.import_module("leakbench.benchmarks.cli.audit")


def same(one, other):
    assert one.digests == other.digests
    assert list(one.views) == list(other.views)
    assert all(torch.equal(one.views[g], other.views[g]) for g in one.views)
    for name in ("places", "looks", "ends", "frames", "fixed"):
        assert np.array_equal(getattr(one.points, name), getattr(other.points, name)), name


@pytest.fixture
def looks(monkeypatch):
    """Counts what is looked at."""
    seen = []

    def look(array, *given, **more):
        seen.append(array)
        return describe(array, *given, **more)

    monkeypatch.setattr(module, "describe", look)
    return seen


def test_what_was_seen_is_found_again(looks, tmp_path):
    private, released = textured("private", 6), textured("released", 5)
    fresh = open_folders(private, released)
    looks.clear()
    first = open_folders(private, released, keep=tmp_path)
    assert len(looks) == 11
    again = open_folders(private, released[:3], keep=tmp_path)
    assert len(looks) == 11
    same(fresh.private.described, first.private.described)
    same(fresh.private.described, again.private.described)
    changed = private.clone()
    changed[2, 0, 5, 5] ^= 1
    open_folders(changed, released, keep=tmp_path)
    assert len(looks) == 12, "one pixel is another picture"
    open_folders(private, released, keep=tmp_path, details=False)
    open_folders(private, released, image_size=32, keep=tmp_path)
    assert len(looks) == 34, "what is looked for is another look"
    assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.rglob("*.safetensors"))


def test_a_stopped_audit_goes_on_and_leaves_nothing(tmp_path, monkeypatch, capsys, looks):
    for name in ("private", "released"):
        saved(tmp_path / name, textured(name, 6))
    judge = command.judge

    def stopped(*given, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "judge", stopped)
    assert audited(tmp_path, tmp_path, "released") == 130
    assert "the same command goes on with what it has seen" in " ".join(capsys.readouterr().err.split())
    assert len(list((tmp_path / "out" / FOLDER).rglob("*.safetensors"))) == len(looks) == 12
    monkeypatch.setattr(command, "judge", judge)
    assert audited(tmp_path, tmp_path, "released") == 4
    assert len(looks) == 12
    assert not (tmp_path / "out" / FOLDER).exists()


def test_an_index_of_private_pictures_serves_the_next_audit(tmp_path, capsys, looks):
    """Of private pictures and the holdout, not of what is released; it lies in none of them, and is nobody else's."""
    for name, count in (("private", 6), ("released", 6), ("holdout", 40), ("other", 7)):
        saved(tmp_path / name, textured(name, count))
    index = tmp_path / "index"
    given = ("--index", index, "--holdout", tmp_path / "holdout", "--budget", 0)
    first = audited(tmp_path, tmp_path, "released", *given)
    assert len(looks) == len(list(index.rglob("*.safetensors"))) + 6 == 52
    assert not index.stat().st_mode & 0o077
    assert audited(tmp_path, tmp_path, "other", *given) == first
    assert len(looks) == 59, "the other release alone is looked at"
    assert not (tmp_path / "out" / FOLDER).exists()
    private, released = (tmp_path / name for name in ("private", "released"))
    leakbench.audit(private, released, tmp_path / "holdout", index=index)
    assert len(looks) == 65
    within = tmp_path / "private" / "index"
    assert audited(tmp_path, tmp_path, "released", "--index", within) == 2
    assert "--index" in (said := " ".join(capsys.readouterr().err.split()))
    assert "lies in" in said
    with pytest.raises(DataProblems, match="lies in"):
        leakbench.audit(private, released, index=within)
