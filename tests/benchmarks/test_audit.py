"""`leakbench audit` on releases made for the purpose, each judged rightly."""

import csv
import json

import pytest
import torch
from torchvision.transforms.v2.functional import gaussian_blur, to_pil_image

from synth.types import generator
from tests.benchmarks.conftest import call

COUNT = 300


def pictures(name, count=COUNT):
    """Smooth random pictures."""
    coarse = torch.rand(count, 3, 4, 4, generator=generator(name))
    fine = torch.nn.functional.interpolate(coarse, size=16, mode="bicubic").clamp(0, 1)
    return (fine * 255).round().to(torch.uint8)


def saved(folder, pixels, *, classes=True):
    for i, image in enumerate(pixels):
        where = folder / str(i % 2) if classes else folder
        where.mkdir(parents=True, exist_ok=True)
        to_pil_image(image).save(where / f"{i}, 'it''s'.png")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Private images, a holdout, and four releases."""
    root = tmp_path_factory.mktemp("audit")
    private, others = pictures("private"), pictures("others")
    copies = others.clone()
    shift = torch.randint(-2, 3, (12, *private.shape[1:]), generator=generator("shift"))
    copies[100:112] = (private[50:62].int() + shift).clamp(0, 255).to(torch.uint8)
    exact = others.clone()
    exact[7] = private[9].flip(2)
    releases = {"others": others, "copies": copies, "exact": exact, "blurred": gaussian_blur(private, [5, 5])}
    saved(root / "private", private)
    saved(root / "holdout", pictures("holdout"))
    for name, pixels in releases.items():
        saved(root / name, pixels, classes=name != "others")
    return root


def audited(folders, tmp_path, released, *more):
    base = ("audit", "--private", folders / "private", "--released", folders / released, "--out", tmp_path / "out")
    return call(*base, *more)


def risky(tmp_path):
    with (tmp_path / "out" / "riskiest.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_near_copies_hidden_among_others_are_found(folders, tmp_path, capsys):
    assert audited(folders, tmp_path, "copies", "--holdout", folders / "holdout") == 3
    assert "verdict: leaks" in capsys.readouterr().out
    rows = risky(tmp_path)
    assert {row["private"] for row in rows} >= {f"{i % 2}/{i}, 'it''s'.png" for i in range(50, 62)}
    assert rows[0]["why"].startswith("near copy: SSIM")
    assert (tmp_path / "out" / "riskiest.png").is_file()


def test_other_people_leak_nothing(folders, tmp_path, capsys):
    assert audited(folders, tmp_path, "others", "--holdout", folders / "holdout") == 0
    said = capsys.readouterr().out
    assert "verdict: no leak found at this power" in said
    assert "hidden copies" in said
    assert "safe" not in said
    assert risky(tmp_path) == []


def test_blurred_members_are_found(folders, tmp_path, capsys):
    assert audited(folders, tmp_path, "blurred", "--holdout", folders / "holdout", "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "leaks"
    assert {"nearest", "gan-leaks", "density-ratio", "nearest:space=ssim"} == set(found["figures"])
    assert len(found["risky"]) > 200


def test_without_a_holdout_only_copies_are_found(folders, tmp_path, capsys):
    assert audited(folders, tmp_path, "exact") == 3
    (row,) = risky(tmp_path)
    assert row["private"].startswith("1/9")
    assert row["released"].startswith("1/7")
    assert row["why"].startswith("copy, mirrored")
    assert audited(folders, tmp_path, "others") == 0
    said = capsys.readouterr().out
    assert "verdict: cannot tell" in said
    assert "without --holdout" in said


def test_everything_that_is_wrong_is_said_at_once(folders, tmp_path, capsys):
    few = saved(tmp_path / "few", pictures("few", 5))
    (few / "0" / "broken.png").write_bytes(b"no image")
    assert audited(folders, tmp_path, "gone", "--holdout", few) == 2
    said = capsys.readouterr().err
    assert "gone: is not a folder" in said
    assert "broken.png: is not an image" in said


@pytest.mark.parametrize(
    ("side", "count", "message"),
    [(16, 10, "has 10 images; at least 40 are needed"), (32, 50, "give --image-size PIXELS")],
)
def test_a_holdout_that_does_not_fit(side, count, message, folders, tmp_path, capsys):
    pixels = torch.zeros(count, 3, side, side, dtype=torch.uint8)
    assert audited(folders, tmp_path, "others", "--holdout", saved(tmp_path / "holdout", pixels)) == 2
    assert message in " ".join(capsys.readouterr().err.split())
