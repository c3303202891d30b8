"""`leakbench audit` on releases made for the purpose, each judged rightly."""

import csv
import json

import pytest
import torch
from torchvision.transforms.v2.functional import gaussian_blur, pad, to_pil_image

from leakbench.benchmarks.audit import students
from leakbench.benchmarks.audit.folders import open_folders
from leakbench.benchmarks.audit.verdict import audit
from leakbench.metrics.copies import find_copies
from leakbench.metrics.decision import LEAKS, UNKNOWN
from leakbench.metrics.described import described
from leakbench.synth.data.datasets import open_pool
from leakbench.synth.data.split import Sizes, split
from leakbench.synth.seeds import seeded_rng
from tests.benchmarks.conftest import call
from tests.pictures import pictures, textured

COUNT = 300


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
    shift = torch.randint(-2, 3, (12, *private.shape[1:]), generator=seeded_rng("shift"))
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
    return call(*base, *(() if "--budget" in more else ("--budget", 0)), *more)


def risky(tmp_path):
    with (tmp_path / "out" / "riskiest.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_near_copies_hidden_among_others_are_found(folders, tmp_path, capsys):
    assert audited(folders, tmp_path, "copies", "--holdout", folders / "holdout") == 3
    said = capsys.readouterr().out
    assert "verdict: leaks" in said
    assert "copies: leaks; membership: " in said
    assert "audit.pdf and audit.html there are the report" in said
    rows = risky(tmp_path)
    assert {row["private"] for row in rows} >= {f"{i % 2}/{i}, 'it''s'.png" for i in range(50, 62)}
    assert rows[0]["why"].startswith("near copy: SSIM")
    assert (tmp_path / "out" / "riskiest.png").is_file()


def test_other_people_leak_nothing(tmp_path, capsys):
    for name in ("private", "others", "holdout"):
        saved(tmp_path / name, textured(name, 60))
    assert audited(tmp_path, tmp_path, "others", "--holdout", tmp_path / "holdout") == 0
    said = capsys.readouterr().out
    assert "verdict: no leak found at this power" in said
    assert "hidden copies" in said
    assert "safe" not in said.replace(".safetensors", "")
    assert risky(tmp_path) == []


def test_of_pictures_whose_parts_look_like_any_other_nobody_can_tell(folders, tmp_path, capsys):
    assert audited(folders, tmp_path, "others", "--holdout", folders / "holdout") == 4
    said = capsys.readouterr().out
    assert "copies: cannot tell; membership: no leak found" in said
    assert "no number of hidden copies would have been a leak of these: crop to 70 % (0 of 4)" in said
    assert " private images have too few local features for parts of them to be found" in said


@pytest.mark.slow
def test_blurred_members_are_found(folders, tmp_path, capsys):
    assert audited(folders, tmp_path, "blurred", "--holdout", folders / "holdout", "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "leaks"
    whole = {"nearest", "gan-leaks", "density-ratio", "nearest:space=ssim", "blind control"}
    of_classes = {f"{attack}, class '{name}'" for attack in ("nearest", "gan-leaks") for name in (0, 1)}
    assert whole | of_classes <= set(found["figures"])
    assert len(found["risky"]) > 200


def test_without_a_holdout_only_copies_are_found(folders, tmp_path, capsys):
    assert audited(folders, tmp_path, "exact") == 3
    (row,) = risky(tmp_path)
    assert row["private"].startswith("1/9")
    assert row["released"].startswith("1/7")
    assert row["why"].startswith("copy, mirrored")
    assert audited(folders, tmp_path, "others") == 4
    said = capsys.readouterr().out
    assert "verdict: cannot tell" in said
    assert "without --holdout" in said


def shaken(images, seed):
    """As another photograph of the same thing may be."""
    shift = torch.randint(-3, 4, images.shape, generator=seeded_rng("shaken", seed))
    return (images.int() + shift).clamp(0, 255).to(torch.uint8)


def test_private_images_in_the_holdout_are_left_out_of_it(folders, tmp_path, capsys):
    """They were used: they excuse no copy, and make nobody look like a stranger."""
    mixed = torch.cat([pictures("holdout", 60), pictures("private")[9:12], pictures("private")[12:14].rot90(1, (2, 3))])
    holdout = saved(tmp_path / "mixed", mixed)
    assert audited(folders, tmp_path, "exact", "--holdout", holdout) == 3
    assert "5 images of the holdout are private ones too" in " ".join(capsys.readouterr().out.split())
    assert audited(folders, tmp_path, "others", "--holdout", saved(tmp_path / "used", pictures("private"))) == 2
    assert "has 0 images that are not among the private ones (300 are)" in " ".join(capsys.readouterr().err.split())


def test_a_handful_of_released_images_is_judged(folders, tmp_path, capsys):
    few = saved(tmp_path / "few", torch.cat([pictures("private")[:3], pictures("others")[:4]]))
    base = ("audit", "--private", folders / "private", "--released", few, "--out", tmp_path / "out", "--budget", 0)
    assert call(*base, "--holdout", folders / "holdout") == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "density-ratio: could not be run on this release: 7 images are too few" in said
    assert "there is room for 7" in said


@pytest.mark.parametrize("shift", [1, 5, 8])
@pytest.mark.parametrize("side", [100, 224])
def test_large_images_are_found_wherever_they_were_moved(side, shift):
    coarse = torch.rand(3, 3, 16, 16, generator=seeded_rng("large"))
    images = torch.nn.functional.interpolate(coarse, size=side, mode="bicubic").clamp(0, 1).mul(255).to(torch.uint8)
    grain = torch.randint(-20, 21, images.shape, generator=seeded_rng("grain"))
    images = (images.int() + grain).clamp(0, 255).to(torch.uint8)
    moved = pad(images, [shift, shift, 0, 0], padding_mode="reflect")[:, :, :side, :side]
    assert {copy.private for copy in find_copies(described(images), described(moved))} == {0, 1, 2}


def test_copies_whose_structure_is_in_their_color():
    red = torch.randint(0, 200, (6, 1, 16, 16), generator=seeded_rng("red"))
    images = torch.cat([red, 200 - red, torch.full_like(red, 90)], 1).to(torch.uint8)
    assert len(find_copies(described(images), described(shaken(images, 0)))) == 6


def test_the_released_file_is_named_that_gives_a_mirrored_image_away(folders, tmp_path):
    private = pictures("private")
    released = torch.cat([pictures("others", 60), shaken(private[:40].flip(3), 0) // 3 + 100])
    base = ("audit", "--private", folders / "private", "--released", saved(tmp_path / "r", released, classes=False))
    assert call(*base, "--holdout", folders / "holdout", "--out", tmp_path / "out", "--budget", 0) == 3
    rows = [row for row in risky(tmp_path) if int(row["private"].partition("/")[2].partition(",")[0]) < 40]
    assert len(rows) >= 30
    position = {row["private"]: int(row["released"].partition(",")[0]) - 60 for row in rows}
    right = [int(name.partition("/")[2].partition(",")[0]) == found for name, found in position.items()]
    assert sum(right) >= 0.9 * len(right)


@pytest.mark.slow
def test_a_tolerance_moves_the_limit_and_not_the_rule(folders, tmp_path, capsys):
    noisy = pictures("others").clone()
    spread = torch.randn(60, *noisy.shape[1:], generator=seeded_rng("spread")) * 18
    noisy[:60] = (pictures("private")[:60] + spread).clamp(0, 255).to(torch.uint8)
    released = saved(tmp_path / "noisy", noisy)
    base = ("audit", "--private", folders / "private", "--released", released, "--out", tmp_path / "out", "--budget", 0)
    for tolerance in (0, 0.000001):
        assert call(*base, "--holdout", folders / "holdout", "--tolerance", tolerance) == 3


@pytest.mark.slow
def test_students_have_a_budget(digits_folders, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(students, "FEWEST_STEPS", 4)
    monkeypatch.setattr(students, "MOST_STEPS", 8)
    monkeypatch.setattr(students, "SHADOWS", 4)
    root, _ = digits_folders
    base = ("audit", "--private", root / "private", "--holdout", root / "holdout", "--out", tmp_path / "out")
    assert call(*base, "--released", root / "private", "--budget", "1h") == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "utility: a resnet20 trained on the release" in said
    assert "lira" in said
    assert call(*base, "--released", root / "others", "--budget", "0.01s") == 4
    assert "--budget must be at least" in capsys.readouterr().out
    assert call(*base, "--released", root / "others", "--budget", "soon") == 2
    assert (
        "--budget soon: is not a duration; a number and a unit are: 90s, 10m or 1h, or 0 for none"
        in capsys.readouterr().err
    )


@pytest.fixture(scope="module")
def digits_folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("digits")
    parts = split(open_pool("digits", None, None), Sizes(members=150, auxiliary=150, test=100), seed=0)
    for name, images in (("private", parts.members), ("holdout", parts.holdout), ("others", parts.public)):
        for i, (pixels, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
            (root / name / str(int(label))).mkdir(parents=True, exist_ok=True)
            to_pil_image(pixels).save(root / name / str(int(label)) / f"{i}.png")
    return root, parts


def test_a_tolerance_is_fixed_beforehand(folders, tmp_path, capsys):
    holdout = ("--holdout", folders / "holdout")
    assert audited(folders, tmp_path, "blurred", *holdout, "--tolerance", 1, "--max-copies", 300) == 4
    assert "by more than is tolerated" in " ".join(capsys.readouterr().out.split())


def test_private_images_are_not_shown_where_they_would_be_published(folders, tmp_path, capsys):
    base = ("audit", "--private", folders / "private", "--released", folders / "others", "--budget", 0)
    assert call(*base, "--out", folders / "others" / "audit") == 2
    assert "it shows private images, so give another folder" in " ".join(capsys.readouterr().err.split())
    assert call(*base, "--out", tmp_path / "out", "--image-size", 0) == 2


def test_everything_that_is_wrong_is_said_at_once(folders, tmp_path, capsys):
    few = saved(tmp_path / "few", pictures("few", 5))
    (few / "0" / "broken.png").write_bytes(b"no image")
    assert audited(folders, tmp_path, "gone", "--holdout", few) == 2
    said = capsys.readouterr().err
    assert "gone: is not a folder" in said
    assert "broken.png: is not an image" in said


@pytest.mark.parametrize(
    ("side", "count", "message"),
    [(16, 10, "has 10 images; at least 40 are needed"), (8, 50, "images of 8 pixels a side are too small")],
)
def test_a_holdout_that_does_not_fit(side, count, message, folders, tmp_path, capsys):
    pixels = torch.zeros(count, 3, side, side, dtype=torch.uint8)
    assert audited(folders, tmp_path, "others", "--holdout", saved(tmp_path / "holdout", pixels)) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("exact", [False, True])
def test_private_images_that_look_different_can_only_be_copied(exact):
    """Private and released images are darker than the holdout, from another camera, and nothing leaks but copies."""
    dark = [(pictures(name).float() * 0.8).byte() for name in ("private", "others")]
    released = torch.cat([dark[0][:1], dark[1][1:]]) if exact else dark[1]
    found = audit(open_folders(dark[0], released, pictures("holdout")))
    assert "private images and holdout look different" in " ".join(found.reasons)
    assert found.verdict == (LEAKS if exact else UNKNOWN)


@pytest.mark.parametrize("audits", [pytest.param(200, marks=pytest.mark.slow), 4])
def test_whole_audits_of_releases_that_know_nothing_keep_their_rate(audits):
    """5 % at most say that they leak, and three standard deviations: copies, attacks and all."""
    pool = pictures("pool", 4000)
    found = []
    for seed in range(audits):
        order = torch.randperm(len(pool), generator=seeded_rng("null", seed))
        parts = [pool[part] for part in order[:240].split(80)]
        found.append(audit(open_folders(*parts), seed=seed).verdict)
    assert found.count(LEAKS) <= 0.05 * audits + 3 * (audits * 0.05 * 0.95) ** 0.5


def test_the_console_the_file_and_the_status_say_the_same(folders, tmp_path, capsys):
    statuses = {"leaks": 3, "cannot tell": 4, "no leak found at this power": 0}
    for name in ("others", "copies"):
        status = audited(folders, tmp_path, name, "--holdout", folders / "holdout")
        said = capsys.readouterr().out.splitlines()[0].removeprefix("verdict: ")
        assert json.loads((tmp_path / "out" / "audit.json").read_text())["verdict"] == said
        assert statuses[said] == status
