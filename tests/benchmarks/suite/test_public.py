"""Images of other people are asked for, and are other people's."""

import json
import shutil

import pytest
from PIL import Image, ImageOps

from tests.benchmarks.conftest import call, pictures, written

IMAGEFOLDER = ("run", "tiny", "--dataset", "imagefolder", "--image-size", 32, "--processes", 1, "--device", "cpu")


def test_public_images_are_asked_for(tmp_path, suites, digits, others, capsys):
    """No part of somebody's own folder is taken for public, unless they say that it is a benchmark."""
    photographs = written(digits.members, tmp_path / "photographs")
    place = ("--data", photographs, "--out", tmp_path / "run", "--cache", tmp_path / "cache")
    few = ("--attack", "gan-leaks", "--defense", "identity", "--defense", "disjoint")
    assert call(*IMAGEFOLDER, *place, *few) == 2
    said = capsys.readouterr().err
    assert "disjoint: reads images of other people; give --public DIR, or --simulate-public" in " ".join(said.split())
    assert call(*IMAGEFOLDER, *place, *few, "--public", others, "--simulate-public") == 2
    assert call(*IMAGEFOLDER, *place, *few, "--public", photographs) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "200 of 200 images are copies of the dataset's own" in said
    assert "public ones must be other people's" in said
    flat = others / "0"
    assert call(*IMAGEFOLDER, *place, *few, "--public", flat) == 2
    assert "disjoint: publishes public images with their labels; --public" in capsys.readouterr().err
    assert call(*IMAGEFOLDER, *place, *few, "--public", tmp_path / "nowhere") == 2
    assert call(*IMAGEFOLDER, *place, *few, "--public", others) == 0
    (released,) = (tmp_path / "run" / "releases").glob("disjoint-*")
    assert pictures(released).keys() <= pictures(others).keys()
    assert len({file.parent.name for file in released.rglob("*.png")}) == 10, "of all classes, not the first ones"
    assert "Public images, which disjoint read: public." in (tmp_path / "run" / "tables" / "T1.md").read_text()
    assert call(*IMAGEFOLDER, "--data", photographs, "--out", tmp_path / "b", *few[:4], "--cache", tmp_path / "c") == 0


CHANGES = {
    "re-encoded": {"quality": 92},
    "mirrored negative": {"invert": True},
    "larger": {"side": 64},
}


@pytest.mark.parametrize("how", CHANGES)
def test_private_images_are_not_public_however_they_were_saved(how, tmp_path, capsys, digits, others):
    photographs, public = written(digits.members, tmp_path / "photographs"), tmp_path / "public"
    change = CHANGES[how]
    for file in photographs.rglob("*.png"):
        picture = Image.open(file)
        if "invert" in change:
            picture = ImageOps.mirror(ImageOps.invert(picture))
        picture = picture.resize((change.get("side", 32),) * 2, Image.Resampling.BICUBIC)
        (public / file.parent.name).mkdir(parents=True, exist_ok=True)
        picture.save(public / file.parent.name / f"{file.stem}.jpg", quality=change.get("quality", 100))
    place = ("--dataset", "imagefolder", "--data", photographs, "--out", tmp_path / "out", "--public", public)
    assert call("synthesize", "disjoint", *place) == 2
    assert "are copies of the dataset's own" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_a_few_private_images_among_the_public_ones_are_left_out_and_named(tmp_path, capsys, digits, others):
    photographs, public = written(digits.members, tmp_path / "photographs"), tmp_path / "public"
    shutil.copytree(others, public)
    strays = sorted((photographs / "3").iterdir())[:1]
    for file in strays:
        shutil.copy(file, public / "3" / f"stray-{file.name}")
    place = ("--dataset", "imagefolder", "--data", photographs, "--out", tmp_path / "out", "--public", public)
    assert call("synthesize", "disjoint", *place) == 0
    assert f"3/stray-{strays[0].name} left out" in " ".join(capsys.readouterr().err.split())
    assert not pictures(photographs).keys() & pictures(tmp_path / "out").keys()


def test_a_claim_is_void_where_public_images_were_left_out(tmp_path, capsys, digits, others):
    """Who knows OTHERS sees which is missing: with that photograph away it would not be."""
    photographs, public = written(digits.members, tmp_path / "photographs"), tmp_path / "public"
    shutil.copytree(others, public)
    place = ("--dataset", "imagefolder", "--data", photographs, "--public", public)
    private = ("synthesize", "dp-merf:epsilon=1,steps=2,features=20,num_images=10", *place)
    assert call(*private, "--out", tmp_path / "apart") == 0
    shutil.copy(next((photographs / "3").iterdir()), public / "3" / "stray.png")
    capsys.readouterr()
    assert call(*private, "--out", tmp_path / "out") == 0
    assert "the claim is void: public images were left out" in " ".join(capsys.readouterr().err.split())
    claims = [json.loads((tmp_path / out / "release.json").read_text())["claim"] for out in ("apart", "out")]
    assert [claim["kind"] for claim in claims] == ["differential-privacy", "void"]
