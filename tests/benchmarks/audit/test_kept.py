"""An audit that was stopped goes on with what it has seen, and leaves nothing of it when it is done."""

import importlib

import numpy as np
import pytest
import torch

from leakbench.benchmarks.audit import folders as module
from leakbench.benchmarks.audit.folders import open_folders
from leakbench.benchmarks.audit.kept import FOLDER
from leakbench.metrics.described import describe
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
