"""Attacks on a release in the features of a network that has seen public photographs alone."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from leakbench.attacks.membership.density_ratio import DensityRatio
from leakbench.attacks.membership.gan_leaks import GanLeaks
from leakbench.attacks.membership.nearest import Nearest
from leakbench.benchmarks.execution.cell import cell_key, run_cell
from leakbench.metrics.membership import auc
from leakbench.reports.records import Cell
from leakbench.synth.defense import Release
from leakbench.synth.images import Images
from leakbench.synth.networks import public

SPECS = [Nearest(space="pretrained"), GanLeaks(space="pretrained"), DensityRatio(space="pretrained", components=8)]


def few(images, count=40):
    return images.take(torch.arange(count))


@pytest.fixture
def small(scenario):
    """Forty of each part."""
    split = replace(scenario.split, **{name: few(images) for name, images in vars(scenario.split).items()})
    order = torch.randperm(80, generator=torch.Generator().manual_seed(0))
    return replace(scenario, split=split, candidate_order=order)


def shown(images):
    """A little brighter, with less contrast."""
    changed = images.pixels.float().mul(0.9).add(10).round().to(torch.uint8)
    return Release(Images(changed, images.labels, images.classes))


def area(attack, victims, cpu):
    scores = attack.run(victims.view(attack, "it"), seed=0, device=cpu).values
    return auc(scores.numpy(), (victims.candidate_order < 40).numpy()).value


@pytest.mark.parametrize("attack", SPECS, ids=lambda attack: type(attack).__name__)
def test_members_are_told_from_others_and_strangers_are_not(attack, small, cpu):
    assert not attack.missing()
    assert area(attack, replace(small, release=shown(small.split.members)), cpu) > 0.75
    assert 0.3 < area(attack, replace(small, release=shown(small.split.public)), cpu) < 0.7


@pytest.mark.parametrize("method", ["nearest:space=pretrained", "gan-leaks:space=pretrained"])
def test_where_no_network_is_at_hand_a_cell_says_so_and_does_not_fail(method, monkeypatch):
    monkeypatch.setattr(public, "SOURCES", ())
    assert not Nearest().missing()
    cell = Cell(suite="s", dataset="d", defense="noise", task="attack", method=method)
    context = SimpleNamespace(
        suite=SimpleNamespace(teacher=SimpleNamespace(published=True, network="resnet20")), weights=None
    )
    record = run_cell(context, cell)
    assert record.status == "not_applicable"
    assert "pip install 'leakbench[pretrained]'" in record.reason


def test_a_cell_is_kept_by_the_network_that_it_looks_through(monkeypatch):
    """Another network's figures are not served for this one's."""
    context = SimpleNamespace(
        suite=SimpleNamespace(
            teacher=SimpleNamespace(network="resnet20"), student=SimpleNamespace(networks=("resnet20",))
        ),
        weights=None,
        device=torch.device("cpu"),
        public=None,
        data_digest=lambda seed: "data",
        release_digest=lambda spec, seed: "release",
    )

    def keys(method):
        cell, found = Cell(suite="s", dataset="d", defense="noise", task="attack", method=method), set()
        for network in (None, SimpleNamespace(digest="one"), SimpleNamespace(digest="two")):
            monkeypatch.setattr(public, "public_network", lambda network=network: network)
            found.add(cell_key(context, cell))
        return len(found)

    assert keys("nearest:space=pretrained") == 3
    assert keys("nearest") == keys("loss-threshold") == 1, "whoever looks through none is computed once"
