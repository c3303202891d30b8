"""An audit that was stopped goes on with what it has seen, and leaves nothing of it when it is done."""

import hashlib
import importlib

import numpy as np
import pytest
import torch
from safetensors.numpy import load

import leakbench
from leakbench.benchmarks.audit import copy_power, kept
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


@pytest.fixture(autouse=True)
def one_changed_picture(monkeypatch):
    """Of each kind, because of six private pictures each is changed in many rounds."""
    monkeypatch.setattr(copy_power, "TRIED", 1)


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
    assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.rglob("??/*"))


def test_a_stopped_audit_goes_on_and_leaves_nothing(tmp_path, monkeypatch, capsys, looks):
    for name in ("private", "released"):
        saved(tmp_path / name, textured(name, 6))
    judge = command.judge

    def stopped(*given, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "judge", stopped)
    assert audited(tmp_path, tmp_path, "released") == 130
    assert "the same command goes on with what it has seen" in " ".join(capsys.readouterr().err.split())
    assert len(list((tmp_path / "out" / FOLDER).rglob("??/*"))) == len(looks) == 12
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
    assert len(looks) == len(list(index.rglob("??/*"))) + 6 == 52
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
    afile = tmp_path / "file"
    afile.write_text("")
    for place, why in ((afile, "is a file"), (tmp_path / "out" / "index", "lies in the folder of this audit")):
        assert audited(tmp_path, tmp_path, "released", "--index", place) == 2
        assert why in " ".join(capsys.readouterr().err.split())


def test_with_an_index_the_verdict_is_the_same(tmp_path):
    for name, count in (("private", 6), ("holdout", 40)):
        saved(tmp_path / name, textured(name, count))
    saved(tmp_path / "released", torch.cat([textured("private", 6)[:2], textured("released", 5)]))
    sources = [tmp_path / name for name in ("private", "released", "holdout")]
    told = [leakbench.audit(*sources, index=index).as_json() for index in (None, tmp_path / "i", tmp_path / "i")]
    assert told[0] == told[1] == told[2]
    assert told[0]["verdict"] == "leaks"


DAMAGES = {
    "exchanged": lambda content, other: other,
    "cut off": lambda content, other: content[: len(content) // 2],
    "another key": lambda content, other: content.replace(*[load(c)["key"].tobytes() for c in (content, other)]),
    "empty": lambda content, other: b"",
}


@pytest.mark.parametrize("renamed", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_or_another_pictures_is_looked_at_anew(damage, renamed, looks, tmp_path):
    """Whether the file's name still says what is in it, or was changed with it."""
    private, released = textured("private", 4), textured("released", 2)
    first = open_folders(private, released, index=tmp_path)
    files = sorted(tmp_path.rglob("??/*.*"))
    assert len(files) == 4
    content, other = files[0].read_bytes(), files[1].read_bytes()
    files[0].write_bytes(changed := DAMAGES[damage](content, other))
    if renamed:
        files[0].rename(files[0].with_suffix(f".{hashlib.sha256(changed).hexdigest()[:16]}"))
    looks.clear()
    again = open_folders(private, released, index=tmp_path)
    assert len(looks) == 3
    same(first.private.described, again.private.described)


def test_another_version_of_the_libraries_looks_anew(looks, tmp_path, monkeypatch):
    private, released = textured("private", 4), textured("released", 2)
    open_folders(private, released, index=tmp_path)
    monkeypatch.setattr(kept.cv2, "__version__", "another")
    kept._program.cache_clear()
    looks.clear()
    open_folders(private, released, index=tmp_path)
    kept._program.cache_clear()
    assert len(looks) == 6


def test_equal_pictures_are_kept_by_threads_at_once(tmp_path):
    same_picture = textured("private", 1).expand(40, -1, -1, -1)
    found = open_folders(same_picture, textured("released", 2), index=tmp_path)
    assert len(found.private) == 40
    assert len(list(tmp_path.rglob("??/*.*"))) == 1
