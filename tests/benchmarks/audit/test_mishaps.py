"""What goes wrong while an audit runs, or is asked for: nothing is lost, nothing of somebody else's is removed."""

import os
import sys

import pytest
from PIL import Image
from safetensors.numpy import load_file
from torchvision.transforms.v2.functional import to_pil_image

import leakbench
from leakbench.benchmarks.audit.changes import CHANGES
from leakbench.benchmarks.audit.copy_power import copy_power
from leakbench.benchmarks.audit.folders import open_folders
from leakbench.benchmarks.audit.kept import FOLDER, forget, kept
from leakbench.metrics.described import describe
from leakbench.synth.data.image_files import DataProblems
from tests.benchmarks.audit.test_audit import audited, saved
from tests.pictures import pictures, textured


@pytest.fixture
def sources(tmp_path):
    """Four private pictures, and the first of them released."""
    saved(tmp_path / "private", pictures("private", 4), classes=False)
    saved(tmp_path / "released", pictures("private", 1), classes=False)
    return tmp_path


def test_only_what_was_kept_is_removed(sources):
    theirs = sources / "out" / FOLDER / "ab"
    theirs.mkdir(parents=True)
    (theirs / "notes.txt").write_text("precious")
    (theirs / f".{'ab' * 32}.{'cd' * 8}.123-456.part").write_text("what a killed audit had begun")
    assert audited(sources, sources, "released") == 3
    assert [file.name for file in (sources / "out" / FOLDER).rglob("*") if file.is_file()] == ["notes.txt"]
    forget(sources / "nowhere")


def test_a_damaged_look_is_looked_again(tmp_path):
    array = pictures("one", 1)[0].permute(1, 2, 0).numpy()

    def look(array):
        return describe(array, 16, ("crop",))

    kept(tmp_path / "seen", "settings", array, look)
    (file,) = (tmp_path / "seen").rglob("??/*.*")
    assert (tmp_path / "seen").stat().st_mode & 0o077 == 0
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    assert kept(tmp_path / "seen", "settings", array, look).digests == look(array).digests
    assert load_file(file)["places"].shape == look(array).features.places.shape


def test_a_reader_who_stops_reading_changes_no_verdict(sources, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert audited(sources, sources, "released") == 3
    assert (sources / "out" / "audit.pdf").is_file()


def test_files_with_pictures_behind_the_first_are_not_published_unseen(sources, capsys):
    first, second = map(to_pil_image, pictures("strangers", 2))
    first.save(sources / "released" / "x.jpg", format="MPO", save_all=True, append_images=[second])
    assert audited(sources, sources, "released") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--released x.jpg: holds 2 pictures, of which viewers show one" in said
    (sources / "released" / "x.jpg").rename(sources / "private" / "x.jpg")
    assert audited(sources, sources, "released") == 3, "what is behind private ones stays there"


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (200, 6), (3, 3)])
@pytest.mark.parametrize("kind", CHANGES)
def test_every_change_can_be_made_to_pictures_of_any_size(kind, size):
    one, other = (Image.effect_noise(size, 50).convert("RGB") for _ in range(2))
    assert min(CHANGES[kind](one, other).size) > 0


def test_a_picture_that_disappears_is_named(tmp_path):
    for name in ("private", "released", "holdout"):
        saved(tmp_path / name, textured(name, 40), classes=False)
    folders = open_folders(*(tmp_path / name for name in ("private", "released", "holdout")))
    gone = sorted((tmp_path / "private").iterdir())[0]
    gone.unlink()
    with pytest.raises(DataProblems, match="it was changed during the audit: audit again"):
        copy_power(folders, 0, 0, seed=0)  # each of them is changed in one way at least


def test_names_that_are_no_text(sources):
    file = sources / "released" / os.fsdecode(b"bad\xff<b>.png")
    next((sources / "released").iterdir()).rename(file)
    assert audited(sources, sources, "released") == 3
    assert (sources / "out" / "audit.pdf").read_bytes().startswith(b"%PDF")


def test_where_all_are_copies_nothing_is_left(sources):
    found = leakbench.audit(sources / "private", sources / "private")
    assert found.without_copies() == []


def test_nothing_private_is_written_into_what_is_published(sources, monkeypatch):
    with pytest.raises(DataProblems, match=r"lies in .*released; it shows private images"):
        leakbench.audit(sources / "private", sources / "released", out=sources / "released" / "audit")
    monkeypatch.chdir(sources)
    found = leakbench.audit("private", "released")
    (sources / "private.pdf").mkdir()
    wrong = {"released/a.html": "lies in released", "private.pdf": "is a folder", "no/a.pdf": "make it first"}
    for file, why in wrong.items():
        with pytest.raises(ValueError, match=why):
            found.save(file)
    assert not list(sources.rglob("*.part"))
    assert sorted(file.suffix for file in (sources / "released").iterdir()) == [".png"]
    drawn = found.save(sources / "here.html").read_bytes()
    monkeypatch.chdir("/")
    assert len(found.save(sources / "there.html").read_bytes()) == len(drawn), "pictures are found from anywhere"
