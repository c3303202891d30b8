"""Whom reconstructions lead to: by pixels, by features, by statistics, among members alone."""

from dataclasses import replace

import pytest
import torch

from leakbench.attacks.guess import Reconstructions
from leakbench.attacks.judging.judge import judge_images
from leakbench.attacks.judging.observer import Observer
from leakbench.attacks.judging.relinked import relinked
from leakbench.attacks.judging.truth import Truth, one_source
from leakbench.metrics.decision import detected
from leakbench.synth.images import Images, Split, to_bytes
from leakbench.synth.seeds import seeded_rng

VICTIMS = 8


def small_network():
    """One convolution before batch norm, whose statistics are those of the image."""
    with torch.random.fork_rng():
        network = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, bias=False, padding=1, padding_mode="circular"),
            torch.nn.BatchNorm2d(4),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(4, 2),
        )
    torch.nn.init.normal_(network[0].weight, generator=torch.Generator().manual_seed(0))
    return network.eval()


def people(count, purpose):
    """Of two classes, each with a mean and a spread of its own; every pixel is drawn anew."""
    rng = seeded_rng(purpose)
    levels = torch.rand(count, 3, 1, 1, generator=rng) * 0.6 + 0.2
    noise = torch.randn(count, 3, 16, 16, generator=rng) * (0.02 + 0.05 * torch.rand(count, 3, 1, 1, generator=rng))
    return Images(to_bytes((levels + noise).clamp(0, 1)), torch.arange(count) % 2, ("a", "b"))


def shuffled(images):
    """The same pixels of every channel, somewhere else: nothing for the eye, all the same statistics of channels."""
    order = torch.randperm(256, generator=seeded_rng("shuffled"))
    return replace(images, pixels=images.pixels.flatten(2)[:, :, order].unflatten(2, (16, 16)))


@pytest.fixture
def members():
    return people(60, "members")


@pytest.fixture
def truth(cpu, members):
    holdout, own = people(60, "holdout"), people(60, "own")
    network = small_network()
    with torch.no_grad():
        network[0].weight.mul_(torch.zeros(3, 3).index_put_((torch.tensor(1), torch.tensor(1)), torch.tensor(1.0)))
    return Truth(
        released=shuffled(members),
        victims=torch.arange(VICTIMS),
        sources=torch.arange(60)[:, None],
        split=Split(members=members, holdout=holdout, auxiliary=own, public=own, test=own),
        seed=0,
        device=cpu,
        linker=Observer(network, members, cpu),
    )


def found(guess, truth):
    measurements, absent = relinked(guess, truth)
    return {m.name: m for m in measurements}, absent


def of_clients(images, clients):
    return Reconstructions(images.float(), images.labels, clients)


def test_what_the_eye_does_not_see_leads_to_its_source(truth):
    """Reconstructions of shuffled pixels: by statistics each is its source's, and by pixels hardly anybody's."""
    guess = of_clients(truth.released.take(torch.arange(VICTIMS)), torch.arange(VICTIMS))
    figures, absent = found(guess, truth)
    assert not absent
    assert figures["linked.statistics.attack"].value == 1
    assert figures["linked.statistics.baseline"].value == 1, "the release says so by itself"
    assert figures["linked.statistics.control"].value == pytest.approx(1 / 30)
    assert figures["linked.statistics.excess"].low > 0
    assert figures["linked.statistics.excess"].level == pytest.approx(1 - 0.05 / 3)
    assert figures["linked.statistics.excess"].p <= 0.01
    assert detected([judge_images(guess, truth).measurements], "private") is True


def test_the_baseline_is_what_was_attacked_and_not_what_came_out(truth, members):
    """The release shows the members; reconstructions show others."""
    shown = replace(truth, released=members)
    guess = of_clients(truth.split.holdout.take(torch.arange(VICTIMS)), torch.arange(VICTIMS))
    figures, _ = found(guess, shown)
    for space in ("pixels", "statistics"):
        assert figures[f"linked.{space}.baseline"].value == 1
        assert figures[f"linked.{space}.attack"].value < 0.5
    assert figures["linked.statistics.excess"].low <= 0


def test_by_features_and_pixels_as_well(truth, members):
    guess = of_clients(members.take(torch.arange(VICTIMS)), torch.arange(VICTIMS))
    figures, _ = found(guess, replace(truth, released=members))
    assert figures["linked.features.attack"].value == figures["linked.pixels.attack"].value == 1


def test_a_guess_counts_for_its_client_whatever_the_order(truth, members):
    """Clients of two: each of the two guesses may be either's, and both sources are open to both."""
    asked = replace(truth, released=members, batch=2)
    swapped = torch.tensor([1, 0, 3, 2, 5, 4, 7, 6])
    guess = of_clients(members.take(swapped), torch.arange(4).repeat_interleave(2))
    figures, _ = found(guess, asked)
    assert figures["linked.pixels.attack"].value == 1
    assert figures["linked.pixels.control"].value == pytest.approx(2 / 60), "two sources among members of two classes"


@pytest.mark.parametrize("nobody", [None, torch.full((60, 1), -1)])
def test_where_nobody_in_particular_stands_behind_an_image_nothing_is_decided(truth, members, nobody):
    """Guesses that show exactly the members who stand in at random: a coincidence, and no leak."""
    alone = replace(truth, sources=nobody, released=truth.split.public)
    position = torch.arange(VICTIMS)
    lucky = of_clients(members.take(one_source(position, alone)), position)
    figures, _ = found(lucky, alone)
    assert figures["linked.statistics.attack"].value == 1
    for space in ("pixels", "features", "statistics"):
        assert figures[f"linked.{space}.excess"].low is None
        assert "decides nothing" in figures[f"linked.{space}.excess"].variant


def test_images_with_a_source_are_led_to_it_beside_others_without(truth, members):
    """Half of what was attacked is somebody's, the rest nobody's: no member stands in for them."""
    some = torch.where(torch.arange(60) < VICTIMS // 2, torch.arange(60), -1)[:, None]
    figures, _ = found(
        of_clients(members.take(torch.arange(VICTIMS)), torch.arange(VICTIMS)), replace(truth, sources=some)
    )
    assert figures["linked.statistics.attack"].value == 0.5
    assert figures["linked.statistics.control"].value == pytest.approx(1 / 60)
    assert figures["linked.statistics.excess"].low > 0


def test_without_a_network_pixels_are_left(truth):
    guess = of_clients(truth.released.take(torch.arange(VICTIMS)), torch.arange(VICTIMS))
    figures, absent = found(guess, replace(truth, linker=None))
    assert set(absent) == {"linked.features", "linked.statistics"}
    assert {name.split(".")[1] for name in figures} == {"pixels"}
    with torch.random.fork_rng():
        plain = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 256, 2))
    _, absent = found(guess, replace(truth, linker=Observer(plain, truth.split.members, truth.device)))
    assert absent == {"linked.statistics": "the network has no normalisation layers"}
