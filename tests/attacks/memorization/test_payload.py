import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from leakbench.attacks.memorization import payload
from leakbench.synth.networks.architectures import build

BYTES = st.lists(st.integers(0, 255), min_size=12, max_size=12)
law = settings(max_examples=50, deadline=None)


def image(values):
    return torch.tensor(values, dtype=torch.uint8).view(1, 3, 2, 2)


def test_bits_by_hand():
    """170 is 10101010 and 15 is 00001111, most significant bit first."""
    pixels = torch.tensor([[[[170, 15]]]], dtype=torch.uint8)
    assert payload.to_bits(pixels).tolist() == [1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    signs = payload.to_signs(pixels)
    weights = signs * torch.tensor([0.001, 3.0] * 8)
    assert torch.equal(payload.from_signs(weights, (1, 1, 2)), pixels)
    weights[0] = -0.2  # one flipped bit, the most significant of the first pixel
    assert payload.from_signs(weights, (1, 1, 2)).flatten().tolist() == [42, 15]
    weights[0] = 0  # pruned: half of 128
    assert payload.from_signs(weights, (1, 1, 2)).flatten().tolist() == [106, 15]


@given(BYTES)
@law
def test_bits_signs_and_packing_round_trip(values):
    pixels = image(values)
    assert torch.equal(payload.from_bits(payload.to_bits(pixels), (3, 2, 2)), pixels)
    assert torch.equal(payload.from_signs(payload.to_signs(pixels), (3, 2, 2)), pixels)
    noise = torch.ones(40, dtype=torch.uint8)  # what stands behind does not matter
    assert torch.equal(payload.unpack(torch.cat([payload.pack(pixels), noise])), pixels)


@given(BYTES, st.integers(0, 8 * (payload.HEADER.size + 12) - 1))
@law
def test_one_flipped_bit_is_noticed(values, position):
    bits = payload.pack(image(values))
    bits[position] ^= 1
    with pytest.raises(payload.Damaged):
        payload.unpack(bits)


@pytest.mark.parametrize("length", [0, 7, 8 * payload.HEADER.size])
def test_too_few_bits_are_damage(length):
    with pytest.raises(payload.Damaged):
        payload.unpack(payload.pack(image(range(12)))[:length])


@given(st.lists(st.integers(0, 1), min_size=1, max_size=60), st.integers(1, 23), st.integers(0, 22))
@law
def test_low_bits_round_trip_and_leave_the_rest(bits, width, skip):
    skip = min(skip, 23 - width)
    values = torch.randn(60, generator=torch.Generator().manual_seed(1))
    bits = torch.tensor(bits, dtype=torch.uint8)
    written = payload.to_low_bits(values, bits, width, skip)
    assert torch.equal(payload.from_low_bits(written, width, skip)[: len(bits)], bits)
    reach = 2.0 ** (skip + width - 23)
    assert ((written - values).abs() <= values.abs() * reach).all(), "sign, exponent and high bits stay"
    assert not (written.view(torch.int32)[: -(-len(bits) // width)] & ((1 << skip) - 1)).any(), "nothing to round up"
    used = -(-len(bits) // width)
    assert torch.equal(written[used:], values[used:])


def test_low_bits_say_when_they_do_not_suffice():
    with pytest.raises(ValueError, match="9 bits do not fit"):
        payload.to_low_bits(torch.ones(2), torch.ones(9, dtype=torch.uint8), 4)


@given(BYTES, st.integers(2, 100))
@law
def test_labels_round_trip_up_to_half_a_level(values, classes):
    labels = payload.to_labels(image(values), classes)
    assert len(labels) == 24
    assert 0 <= int(labels.min()) <= int(labels.max()) < classes
    read = payload.from_labels(labels, classes, (3, 2, 2))
    half = 255 / (payload.levels(classes) - 1) / 2 + 0.5
    assert (read.int() - image(values).int()).abs().max() <= half


def test_labels_by_hand():
    """With ten classes a level is 17 of 255: 255 is level 15, two labels 7 and 8; 40 is level 2; 0 is 0."""
    pixels = torch.tensor([[[[255, 40, 0]]]], dtype=torch.uint8)
    assert payload.to_labels(pixels, 10).tolist() == [7, 8, 1, 1, 0, 0]
    assert payload.from_labels(torch.tensor([7, 8, 1, 1, 0, 0]), 10, (1, 1, 3)).flatten().tolist() == [255, 34, 0]
    assert payload.levels(2) == 3
    assert payload.to_labels(pixels, 2).tolist() == [1, 1, 0, 0, 0, 0]


def test_carrier_reads_what_overwrite_wrote_and_nothing_else():
    network = build("resnet20", classes=10, side=32, seed=0).to(memory_format=torch.channels_last)
    values = torch.arange(len(payload.carrier(network))).float()
    thin = [p.clone() for p in network.parameters() if p.ndim == 1]
    payload.overwrite(network, values)
    assert torch.equal(payload.carrier(network), values)
    assert all(torch.equal(a, b) for a, b in zip(thin, (p for p in network.parameters() if p.ndim == 1), strict=True))
    tensors = payload.tensor_of(network)
    assert len(tensors) == len(values)
    assert tensors[432 - 1 : 432 + 1].tolist() == [0, 1], "the first layer has 432 weights"
