"""What the visual stage says of copies: of private images, and of strangers, whole or in part."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import interpolate

from leakbench.benchmarks.stages import seen, visual
from leakbench.benchmarks.stages.seen import looked_for, seen_publicly
from leakbench.benchmarks.stages.visual import visual_stage
from leakbench.metrics.fidelity import ALONE
from leakbench.reports.records import Cell, Record
from leakbench.synth.defense import Release
from leakbench.synth.images import Images, Split
from leakbench.synth.networks import public
from leakbench.synth.seeds import seeded_rng


@pytest.fixture(scope="module", params=[48, 96])
def parts(request):
    """Pictures with something in them, at whatever size: forty of each part."""

    def pictures(name):
        rng = seeded_rng(name)
        coarse = torch.rand(40, 3, 12, 12, generator=rng)
        fine = interpolate(coarse, size=request.param, mode="bicubic").clamp(0, 1)
        return Images((fine * 255).round().to(torch.uint8), torch.arange(40) % 2, ("a", "b"))

    return Split(**{name: pictures(name) for name in ("members", "holdout", "auxiliary", "public", "test")})


def looked_at(release, parts):
    context = SimpleNamespace(
        attacked=lambda defense, seed: (Release(release), None),
        parts=lambda seed: parts,
        seed=lambda *names: 7,
        looked_for=lambda seed: looked_for(parts),
        device=torch.device("cpu"),
        seen_publicly=lambda seed: seen_publicly(parts, torch.device("cpu")),
    )
    cell = Cell(suite="s", dataset="d", defense="x", task="visual")
    judged = visual_stage(context, cell).judgement
    return {m.name: m for m in judged.measurements} | judged.absent


def copied(release, parts):
    """In % of the private images, and of strangers."""
    found = looked_at(release, parts)
    assert found["private.copied"].low <= found["private.copied"].value <= found["private.copied"].high
    return found["private.copied"].value, found["stranger.copied"].value


def test_copies_of_private_images_are_counted(parts):
    assert copied(parts.members, parts) == (100, 0)
    assert copied(parts.members.take(torch.arange(10)), parts) == (25, 0)
    assert copied(parts.public, parts) == (0, 0)
    assert copied(parts.holdout, parts) == (0, 100)


def test_crops_are_copies(parts):
    """Nine in ten of each side, made as large again."""
    side = parts.members.pixels.shape[-1]
    inner = parts.members.pixels[:, :, side // 20 :, : side - side // 20].float()
    scaled = interpolate(inner, size=side, mode="bilinear").round().to(torch.uint8)
    found, strangers = copied(Images(scaled, parts.members.labels, parts.members.classes), parts)
    assert found >= 90
    assert strangers == 0


def test_extracted_private_images_are_counted(parts):
    """By the rule of arXiv 2301.13188, of all of them."""
    found = looked_at(parts.members.take(torch.arange(10)), parts)
    assert (found["private.extracted"].value, found["stranger.extracted"].value) == (25, 0)
    assert found["private.extracted"].n == len(parts.members)
    assert found["private.extracted"].low < 25 < found["private.extracted"].high


@pytest.fixture
def network(monkeypatch):
    """One that sees the mean color of the picture and of its quarter; counts what it looked at."""
    looked = []

    def look(pixels):
        looked.append(len(pixels))
        quarter = pixels[:, :, : pixels.shape[2] // 2, : pixels.shape[3] // 2]
        return torch.cat([part.float().mean((2, 3)) / 255 for part in (pixels, quarter)], 1)

    monkeypatch.setattr(visual, "digests", lambda: ("abcdef",))
    for module in (visual, seen):
        monkeypatch.setattr(module, "public_features", lambda device: look)
    return looked


def test_a_release_is_near_to_whom_it_shows(parts, network):
    for release, near, far in ((parts.members, "private", "stranger"), (parts.holdout, "stranger", "private")):
        found = looked_at(release, parts)
        assert found[f"{near}.frechet"].value < 1e-6 < found[f"{far}.frechet"].value
        assert found[f"{near}.kernel"].value < found[f"{far}.kernel"].value
        assert "abcdef" in found[f"{near}.kernel"].variant
    assert network == [40] * 6, "the release, the members and as many strangers"


def test_few_of_many_are_looked_at_from_all_over(parts, network, monkeypatch):
    """Of members, strangers and the release as many, however many there are; of the same people where it shows them."""
    monkeypatch.setattr(seen, "MOST", 20)
    found = looked_at(parts.members, replace(parts, holdout=parts.holdout.take(torch.arange(30))))
    assert network == [20, 20, 20]
    assert found["private.kernel"].n == 20
    assert found["private.frechet"].value < 1e-6
    network.clear()
    looked_at(parts.members, replace(parts, holdout=parts.holdout.take(torch.arange(10))))
    assert network == [10, 10, 10]
    half = parts.members.take(torch.arange(20))
    assert torch.equal(seen.from_all_over(half, 3), half.pixels[[0, 9, 19]])
    assert torch.equal(seen.from_all_over(half, 99), half.pixels)


@pytest.mark.usefixtures("whole")
def test_where_no_network_is_at_hand_it_says_how_to_get_one(parts, monkeypatch):
    monkeypatch.setattr(public, "SOURCES", ())
    found = looked_at(parts.members, parts)
    assert found["private.kernel"] == found["stranger.kernel"] == public.REMEDY


def test_a_damaged_network_costs_no_other_figure(parts, network, monkeypatch):
    def damaged(device):
        raise ValueError("the file is damaged")

    monkeypatch.setattr(visual, "public_features", damaged)
    found = looked_at(parts.members, parts)
    assert found["private.kernel"] == found["stranger.kernel"] == "the file is damaged"
    assert found["private.copied"].value == 100


def test_a_network_that_has_come_is_looked_through(parts, monkeypatch):
    """Where none was at hand, or a damaged one; not where there was nothing to compare."""
    cell = Cell(suite="s", dataset="d", defense="x", task="visual")
    records = [Record(cell=cell, status="ok", absent=absent) for absent in ({"private.kernel": "get one"}, {})]
    records.append(Record(cell=cell, status="ok", absent={"private.kernel": ALONE}))
    monkeypatch.setattr(visual, "missing", lambda: "get one")
    assert [visual.lacks_network(record) for record in records] == [False, False, False]
    monkeypatch.setattr(visual, "missing", lambda: "")
    assert [visual.lacks_network(record) for record in records] == [True, False, False]
