"""What a claim rests on: numbers of the right distribution, which nobody can draw again unless a seed says so."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from leakbench.synth import randomness
from leakbench.synth.defense import Resources
from leakbench.synth.defenses.differential_privacy import PrivateTraining, noisy_class_means
from leakbench.synth.networks.architectures import build
from leakbench.synth.randomness import SeededRandomness, SystemRandomness

BOTH = [SystemRandomness(), SeededRandomness("x")]


@pytest.mark.parametrize("source", BOTH)
def test_the_numbers_have_their_distribution(source):
    """Kolmogorov and Smirnov; of chance, one in ten million fails."""
    assert kstest(source.normal(200, 500).flatten(), "norm").pvalue > 1e-7
    assert kstest(source.uniform(200, 500).flatten(), "uniform").pvalue > 1e-7
    assert source.normal(3, 0).shape == (3, 0)
    assert source.normal(2, 3).dtype == torch.float64


@pytest.mark.parametrize(("bits", "farthest"), [(0, -8.29), (2**64 - 1, 0.0)])
def test_the_farthest_bits_are_finite_and_symmetric(bits, farthest, monkeypatch):
    def drawn(low):
        value = np.uint64(bits & ~1 | low)
        monkeypatch.setattr(randomness.os, "urandom", lambda count: np.full(count // 8, value).tobytes())
        return SystemRandomness().normal(1).item(), SystemRandomness().uniform(1).item()

    (below, share), (above, _) = drawn(1), drawn(0)
    assert below == -above == pytest.approx(farthest, abs=0.01)
    assert 0 < share < 1


def test_only_a_seed_draws_the_same_again():
    assert torch.equal(SeededRandomness("a", 1).normal(9), SeededRandomness("a", 1).normal(9))
    assert not torch.equal(SeededRandomness("a", 1).normal(9), SeededRandomness("a", 2).normal(9))
    assert not torch.equal(SystemRandomness().normal(9), SystemRandomness().normal(9))
    assert (SystemRandomness.known, SeededRandomness.known) == (False, True)
    assert Resources(seed=0, device=torch.device("cpu")).randomness.known


class Counted:
    """No noise, everybody is drawn; and how much was asked for."""

    known = False

    def __init__(self):
        self.normals = self.uniforms = 0

    def normal(self, *shape):
        self.normals += int(np.prod(shape))
        return torch.zeros(shape, dtype=torch.float64)

    def uniform(self, *shape):
        self.uniforms += int(np.prod(shape))
        return torch.zeros(shape, dtype=torch.float64)


def test_dp_sgd_draws_its_noise_and_its_batches_from_nowhere_else(digits, cpu):
    training = PrivateTraining(epsilon=5.0, steps=3, batch_size=40)
    given = [Resources(seed=seed, device=cpu, randomness=Counted()) for seed in (1, 2)]
    networks = [training.train(build("lenet", classes=10, side=32, seed=0), digits.members, one) for one in given]
    weights = [torch.cat([p.detach().flatten() for p in network.parameters()]) for network in networks]
    assert torch.equal(*weights), "no seed has a part in it"
    assert given[0].randomness.uniforms == 3 * len(digits.members)
    assert given[0].randomness.normals == 3 * len(weights[0])


def test_a_look_draws_one_number_for_every_sum_and_count():
    source = Counted()
    noisy_class_means(torch.ones(5, 4), torch.zeros(5, dtype=torch.long), 3, clip=1.0, noise=9.0, randomness=source)
    assert source.normals == 3 * (4 + 1)
