from dataclasses import replace

import pytest
import torch

from leakbench.attacks.attack import attacks
from leakbench.attacks.judging.judge import judge_images
from leakbench.attacks.memorization.capacity_abuse import CapacityAbuse
from leakbench.attacks.memorization.correlated_value import CorrelatedValue, interleave, read, slots, taken
from leakbench.attacks.memorization.lsb import LeastSignificantBits
from leakbench.attacks.memorization.payload import carrier, overwrite, to_signs
from leakbench.attacks.memorization.sign import Sign
from leakbench.attacks.victims.owner import DataOwner, round_to_bf16
from leakbench.attacks.view import Access, AccessDenied, AnsweringModel, View
from leakbench.metrics.decision import detected
from leakbench.synth.defense import Release
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe
from tests.attacks.conftest import trainer

RGB = (3, 32, 32)


def network():
    return build("resnet20", classes=10, side=32, seed=0)


@pytest.mark.parametrize(
    ("attack", "gray", "rgb"),
    [
        (Sign(), 32, 10),  # 268,336 weights, a bit each
        (CorrelatedValue(), 245, 81),  # fifteen of sixteen weights, a value each
        (LeastSignificantBits(), 524, 174),  # sixteen bits a weight
        (LeastSignificantBits(bits=8), 262, 87),
        (CapacityAbuse(), 131, 43),  # a label a weight, two labels a value
    ],
)
def test_capacity_of_resnet20(attack, gray, rgb):
    for is_gray, fits in ((True, gray), (False, rgb)):
        asked = replace(attack, gray=is_gray, num_images=fits)
        assert asked.capacity(network(), RGB, 10) == fits
        assert f"holds {gray} gray or {rgb} RGB images of 32x32" in asked.describe_capacity(network(), RGB, 10)
        assert "100% of it" in asked.describe_capacity(network(), RGB, 10)


MEMORIZATION = sorted(name for name in attacks if attacks[name].family == "memorization")


def test_all_four_encodings_are_registered():
    assert MEMORIZATION == ["capacity-abuse", "correlated-value", "lsb", "sign"]


@pytest.mark.parametrize("name", MEMORIZATION)
@pytest.mark.parametrize("gray", [True, False])
def test_what_fits_fits_and_one_more_is_refused_with_the_number_that_fits(name, gray, digits):
    attack = attacks[name](gray=gray)
    fits = attack.capacity(network(), RGB, 10)
    many = digits.members.take(torch.arange(fits + 1) % len(digits.members))
    replace(attack, num_images=fits).encode(network(), many)
    with pytest.raises(ValueError, match=f"only {fits} such images fit"):
        replace(attack, num_images=fits + 1).encode(network(), many)


@pytest.fixture(params=[True, False], ids=["gray", "rgb"])
def gray(request):
    return request.param


@pytest.fixture
def two(digits):
    return digits.members.take(torch.tensor([3, 9]))


def shown(images, gray):
    return (images.gray() if gray else images).pixels


def test_lsb_reads_what_it_wrote_and_notices_damage(gray, two):
    attack, model = LeastSignificantBits(gray=gray, num_images=2), network()
    before = carrier(model).detach().clone()
    attack.encode(model, two).finish(model)
    pixels, notes = attack.decode(model, 2, attack.shape(RGB))
    assert torch.equal(pixels, shown(two, gray))
    assert notes == {"payload intact": 1.0}
    assert ((carrier(model) - before).abs() <= before.abs() * 2**-7).all()
    round_to_bf16(model)
    pixels, notes = attack.decode(model, 2, attack.shape(RGB))
    assert notes == {"payload intact": 0.0}
    assert pixels.shape == (2, *attack.shape(RGB))
    assert not pixels.any(), "bfloat16 keeps none of the 16 low bits"


def test_lsb_above_the_sixteen_lowest_survives_bf16(two):
    attack, model = LeastSignificantBits(num_images=2, bits=2, skip=16), network()
    attack.encode(model, two).finish(model)
    round_to_bf16(model)
    pixels, notes = attack.decode(model, 2, RGB)
    assert torch.equal(pixels, two.pixels)
    assert notes == {"payload intact": 1.0}


def test_sign_penalty_vanishes_exactly_where_the_decoder_is_right(gray, two):
    attack, model = Sign(gray=gray, num_images=2, strength=2.0), network()
    penalty = attack.encode(model, two).penalty
    signs = to_signs(shown(two, gray))
    values = carrier(model).detach().clone()
    values[: len(signs)] = values[: len(signs)].abs() * signs
    overwrite(model, values)
    assert penalty(model).item() == 0
    assert torch.equal(attack.decode(model, 2, attack.shape(RGB))[0], shown(two, gray))
    overwrite(model, -values)
    assert penalty(model).item() == pytest.approx(2 * values[: len(signs)].abs().mean().item(), rel=1e-4)


@pytest.mark.parametrize("slope", [-0.01, 0.003])
def test_correlated_value_finds_scale_and_polarity_by_its_header(slope, gray, two):
    attack, model = CorrelatedValue(gray=gray, num_images=2, strength=3.0), network()
    penalty = attack.encode(model, two).penalty
    values = carrier(model).detach().clone()
    signal = interleave(shown(two, gray).flatten())
    values[: len(signal)] = slope * signal + 0.3
    overwrite(model, values)
    assert penalty(model).item() == pytest.approx(-3.0, abs=1e-4), "Pearson's r is 1 or -1"
    assert torch.equal(attack.decode(model, 2, attack.shape(RGB))[0], shown(two, gray))


def test_correlated_value_reads_an_unsure_layer_as_gray():
    """Weights that know nothing of the header are read near the header's mean, not as noise."""
    theta = torch.randn(8000, generator=torch.Generator().manual_seed(0))
    values = read(theta, torch.zeros(8000))
    assert values.std() < 10
    assert abs(values.mean().item() - 127.5) < 10


def test_header_is_interleaved():
    known = slots(taken(30))
    assert known.nonzero().flatten().tolist() == [0, 16]
    assert len(known) == 32
    assert interleave(torch.arange(30))[~known].tolist() == list(range(30))
    assert (taken(15), taken(16)) == (16, 18)


class Parrot:
    """A model that has learned its synthetic inputs by heart, and a share of wrong answers."""

    def __init__(self, images, wrong=0.0):
        self.images, self.wrong, self.asked = images, wrong, 0

    def train(self, encoder):
        extra = encoder.encode(network(), self.images).extra
        self.known = {}
        for part in torch.arange(len(extra.labels)).split(512):
            for row, label in zip(extra.inputs(part), extra.labels[part].tolist(), strict=True):
                self.known[row.numpy().tobytes()] = label
        assert len(self.known) == len(extra.labels), "two inputs are the same"
        return AnsweringModel(self.answer, 10, RGB, self.images.labels)

    def answer(self, pixels):
        self.asked += len(pixels)
        labels = torch.tensor([self.known[row.numpy().tobytes()] for row in pixels])
        lies = torch.rand(len(labels), generator=torch.Generator().manual_seed(self.asked)) < self.wrong
        return torch.where(lies, 9 - labels, labels)


def test_capacity_abuse_asks_and_nothing_else(gray, two):
    parrot = Parrot(two)
    view = View(threat_model="t", grants={Access.BLACK_BOX_TRAINER: parrot.train})
    guess = CapacityAbuse(num_images=2, gray=gray).run(view, seed=0, device=torch.device("cpu"))
    assert guess.pixels.shape == (2, 1 if gray else 3, 32, 32)
    assert (guess.pixels * 255 - shown(two, gray)).abs().max() <= 9, "exact up to half of a sixteenth"
    assert parrot.asked == 2 * guess.pixels.numel()


def test_a_view_with_answers_only_has_no_weights(scenario):
    view = scenario.view(CapacityAbuse(), "capacity-abuse")
    with pytest.raises(AccessDenied, match="capacity-abuse does not grant TRAINER "):
        view.train(CapacityAbuse())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sign(num_images=0), "num_images must be >= 1"),
        (lambda: LeastSignificantBits(bits=24), "together at most 23"),
        (lambda: LeastSignificantBits(bits=8, skip=16), "together at most 23"),
        (lambda: Sign(strength=-1.0), "strength must be >= 0"),
        (lambda: CapacityAbuse(per_step=0), "per_step must be >= 1"),
        (lambda: DataOwner(pruning=1.0), r"pruning must be in \[0, 1\)"),
    ],
)
def test_parameters_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("attack", "error"),
    [
        (LeastSignificantBits(num_images=8), 0.0),
        pytest.param(Sign(num_images=8, strength=1200.0), 10.0, marks=pytest.mark.slow),
        pytest.param(CorrelatedValue(num_images=8, gray=True, strength=20.0), 30.0, marks=pytest.mark.slow),
    ],
    ids=["lsb", "sign", "correlated-value"],
)
def test_both_controls(attack, error, scenario, disjoint, make_truth, pairing):
    found = {}
    for name, victims, source in (("identity", scenario, pairing), ("disjoint", disjoint, None)):
        guess = attack.run(victims.view(attack, "it"), seed=0, device=victims.device)
        found[name] = {m.name: m for m in judge_images(guess, make_truth(victims, source)).measurements}
    assert found["identity"]["trained.mae.attack"].value <= error
    assert found["identity"]["trained.ssim.excess"].low > 0
    assert found["identity"]["private.ssim.excess"].low > 0
    assert detected([list(found["identity"].values())], "private") is True
    assert found["disjoint"]["trained.ssim.excess"].low > 0, "the attack works on any release"
    assert found["disjoint"]["private.ssim.excess"].low <= 0
    assert detected([list(found["disjoint"].values())], "private") is False, "and yet says nothing about members"


@pytest.mark.slow
def test_capacity_abuse_on_digits(scenario, make_truth, pairing):
    victims = replace(scenario, owner=DataOwner(recipe=Recipe(steps=400, batch_size=50, flip=False, crop_padding=2)))
    attack = CapacityAbuse(num_images=2)
    guess = attack.run(victims.view(attack, "it"), seed=0, device=victims.device)
    found = {m.name: m for m in judge_images(guess, make_truth(victims, pairing)).measurements}
    assert found["trained.mae.attack"].value <= 15
    assert found["trained.ssim.attack"].value > found["trained.ssim.control"].value


def test_training_code_runs_once(scenario):
    view = scenario.view(Sign(), "sign")
    view.train(LeastSignificantBits(num_images=2))
    with pytest.raises(RuntimeError, match="once"):
        view.train(LeastSignificantBits(num_images=2))


def test_one_class_has_no_room_for_labels():
    assert CapacityAbuse().capacity(network(), RGB, 1) == 0


def test_fewer_images_than_asked_for_are_all_hidden(scenario, make_truth):
    few = scenario.release.images.take(torch.arange(5))
    victims = replace(scenario, release=Release(few), trained=trainer(few))
    attack = LeastSignificantBits(num_images=8)
    guess = attack.run(victims.view(attack, "it"), seed=0, device=victims.device)
    assert len(guess.pixels) == 5
    figures = {m.name: m.value for m in judge_images(guess, make_truth(victims, torch.arange(5)[:, None])).measurements}
    assert figures["trained.mae.attack"] == 0
