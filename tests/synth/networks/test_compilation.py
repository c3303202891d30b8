"""Compiled or not, inversion does the same."""

import pytest
import torch
from torch import nn

from leakbench.synth.defenses import inversion
from leakbench.synth.defenses.inversion import Inversion, frozen
from leakbench.synth.defenses.matching import Matching, by_layer, matching
from leakbench.synth.networks import compilation
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.compilation import can_compile, forward
from leakbench.synth.networks.statistics import image_moments, means_and_variances, recorded_moments
from leakbench.synth.seeds import seeded, seeded_rng

needs_compiler = pytest.mark.skipif(not can_compile(torch.device("cpu")), reason="there is no C++ compiler")


@pytest.fixture
def afresh(tmp_path, monkeypatch):
    """Nothing is compiled yet, in this process or on the disk."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compilation, "WORTH", 1)
    torch._dynamo.reset()
    compilation._compiled.cache_clear()
    with (  # and back to what they are now
        torch._dynamo.config.patch(suppress_errors=False, recompile_limit=8),
        torch._functorch.config.patch(force_non_lazy_backward_lowering=False),
    ):
        yield
    torch._dynamo.reset()
    compilation._compiled.cache_clear()


def small(seed=0):
    with seeded(seed, torch.device("cpu")):
        layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(4, 10)).eval()


def answer_and_gradient(answer, network, x):
    logits = answer(network, x)
    return logits, *torch.autograd.grad(logits.square().sum(), x)


def test_where_convolutions_are_looked_at_nothing_is_compiled(cpu, monkeypatch):
    """What is compiled for one set of hooks would be served for another."""
    asked = []
    monkeypatch.setattr(
        inversion, "forward", lambda device, images, side: asked.append((images, side)) or compilation._answer
    )
    with frozen(small(0)) as network:
        for convolutions in (False, True):
            matched = Matching(network, lambda moments: moments[0][0].sum(), convolutions)
            Inversion(steps=2).invert([matched], torch.arange(3), (3, 32, 32), seeded_rng("noise"))
    assert asked == [(6, 32), (0, 32)]


def test_little_work_is_not_compiled(cpu):
    assert forward(cpu, compilation.WORTH - 1, 32) is compilation._answer


@needs_compiler
def test_larger_images_are_more_work(cpu, monkeypatch):
    monkeypatch.setattr(compilation, "_compiled", lambda: "compiled")
    assert forward(cpu, compilation.WORTH // 4, 64) == "compiled"
    assert forward(cpu, compilation.WORTH // 4 - 1, 64) is compilation._answer


def test_without_a_compiler_nothing_is_compiled(cpu, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not can_compile(cpu)
    assert forward(cpu, 10**9, 32) is compilation._answer


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("bf16", [False, True])
def test_gradients_and_moments_are_those_of_plain_torch(cpu, afresh, bf16):
    network = build("resnet20", classes=10, side=32, seed=0).requires_grad_(False).eval()
    found = {}
    for work in (0, 10**9):
        x = torch.rand(8, 3, 32, 32, generator=seeded_rng("x")).requires_grad_()
        with recorded_moments(network) as moments:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = forward(cpu, work)(network, x)
            loss = logits.float().square().mean() + sum(mean.square().sum() + square.sum() for mean, square in moments)
        found[work] = [logits, *(part for pair in moments for part in pair), *torch.autograd.grad(loss, x)]
    assert len(found[0]) == 2 * 19 + 2
    for plain, compiled in zip(*found.values(), strict=True):
        apart = torch.linalg.vector_norm(plain.float() - compiled.float()) / torch.linalg.vector_norm(plain.float())
        assert apart < (0.1 if bf16 else 1e-4)


@pytest.mark.slow
@needs_compiler
def test_other_networks_and_other_numbers_of_images_are_not_compiled_again(cpu, afresh, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch._dynamo.callback.callback_handler, "start_callbacks", [compiled.append])
    how = Inversion(steps=4, jitter=2, flip=True)
    networks = small(0), small(1)
    for which, count in ((0, 8), (1, 8), (1, 5)):
        with frozen(networks[which]) as network:
            pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=seeded_rng("pixels"))
            wanted = by_layer(means_and_variances(image_moments(network, pixels, device=cpu)).float(), network)
            labels = torch.arange(count)
            made = how.invert([matching(network, wanted, torch.eye(count))], labels, (3, 32, 32), seeded_rng("noise"))
        assert made.shape == pixels.shape
    assert len(compiled) == 1


@pytest.mark.slow
@needs_compiler
def test_a_compiler_that_fails_at_the_gradient_alone_is_as_harmless(cpu, afresh, monkeypatch):
    from torch._inductor import compile_fx

    asked = []

    def refuse(*_, **__):
        asked.append(True)
        raise RuntimeError("no backward today")

    monkeypatch.setattr(compile_fx, "compile_fx_backward", refuse)
    network, x = small(), torch.rand(2, 3, 32, 32, generator=seeded_rng("x")).requires_grad_()
    for plain, tried in zip(*(answer_and_gradient(forward(cpu, w), network, x) for w in (0, 10**9)), strict=True):
        assert torch.equal(plain, tried)
    assert asked


@pytest.mark.slow
@needs_compiler
def test_a_compiler_that_fails_costs_nothing_but_the_speed(cpu, afresh, monkeypatch):
    """The last of these tests: torch remembers a compiler that fails for as long as the process lives."""
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("false",))
    network, x = small(), torch.rand(2, 3, 32, 32, generator=seeded_rng("x")).requires_grad_()
    for plain, tried in zip(*(answer_and_gradient(forward(cpu, w), network, x) for w in (0, 10**9)), strict=True):
        assert torch.equal(plain, tried)
