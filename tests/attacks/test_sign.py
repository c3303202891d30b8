import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from attacks.judge import judge_images
from attacks.memorization.sign import Sign, SignEncoder, capacity, carrier, from_signs, to_signs
from synth.networks import build
from synth.types import Images


def test_decoder_by_hand():
    """170 is 10101010 and 15 is 00001111, most significant bit first."""
    pixels = torch.tensor([[[[170, 15]]]], dtype=torch.uint8)
    signs = to_signs(pixels)
    assert signs.tolist() == [1, -1, 1, -1, 1, -1, 1, -1, -1, -1, -1, -1, 1, 1, 1, 1]
    weights = signs * torch.tensor([0.001, 3.0] * 8)
    assert torch.equal(from_signs(weights, (1, 1, 2)), pixels)
    weights[0] = -0.2  # one flipped bit, the most significant of the first pixel
    assert from_signs(weights, (1, 1, 2)).flatten().tolist() == [42, 15]


@given(st.lists(st.integers(0, 255), min_size=12, max_size=12))
@settings(max_examples=50, deadline=None)
def test_round_trip(values):
    pixels = torch.tensor(values, dtype=torch.uint8).view(1, 3, 2, 2)
    assert torch.equal(from_signs(to_signs(pixels), (3, 2, 2)), pixels)


def test_capacity_of_resnet20():
    parameters = len(carrier(build("resnet20", classes=10, side=32, seed=0)))
    assert capacity(parameters, (3, 32, 32)) == 10
    assert capacity(parameters, (1, 32, 32)) == 32


def test_penalty_by_hand():
    encoder = SignEncoder(images=1, strength=2.0)
    with torch.random.fork_rng(devices=[]):
        network = torch.nn.Linear(8, 1, bias=False)
    encoder.prepare(network, Images(torch.full((1, 1, 1, 1), 240, dtype=torch.uint8), torch.tensor([0]), ("a",)))
    with torch.no_grad():
        network.weight[:] = torch.tensor([[1.0, -1.0, 1.0, 1.0, -1.0, 3.0, -1.0, -1.0]])  # bits 11110000
    # Wrong are the second (|-1|) and the sixth (|3|): 2 * (1 + 3) / 8.
    assert encoder.penalty(network).item() == pytest.approx(1.0)


def test_asking_for_too_much_says_what_fits(scenario, cpu):
    with pytest.raises(ValueError, match="holds 10 images"):
        Sign(images=11).run(scenario.view(Sign(), "sign"), seed=0, device=cpu)


def test_both_controls(scenario, disjoint, make_truth, pairing, cpu):
    attack = Sign(images=8, strength=1200.0)
    found = {}
    for name, victims, source in (("identity", scenario, pairing), ("disjoint", disjoint, None)):
        guess = attack.run(victims.view(attack, "sign"), seed=0, device=cpu)
        found[name] = {m.name: m for m in judge_images(guess, make_truth(victims, source)).measurements}
    assert found["identity"]["trained.ssim.excess"].low > 0
    assert found["identity"]["private.ssim.excess"].low > 0
    assert found["disjoint"]["trained.ssim.excess"].low > 0, "the attack works on any release"
    assert found["disjoint"]["private.ssim.excess"].low <= 0, "and yet says nothing about members"
