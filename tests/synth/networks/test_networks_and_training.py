import pytest
import torch
from torch import nn

from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import NETWORKS, build
from leakbench.synth.networks.training import Recipe, augment, batches, penultimate, predict, train
from leakbench.synth.seeds import derive_seed, seeded, seeded_rng


@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize("side", [32, 96])
def test_every_network_takes_small_and_large_images(name, side):
    network = build(name, classes=7, side=side, seed=0).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, side, side, generator=seeded_rng("x"))).shape == (2, 7)
    twin = build(name, classes=7, side=side, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), twin.parameters(), strict=True))


def test_resnet20_is_the_cifar_one():
    network = build("resnet20", classes=10, side=32, seed=0)
    assert sum(p.numel() for p in network.parameters()) == 269_722
    assert sum(m.num_features for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)) == 688


def test_small_images_keep_their_resolution():
    for name in ("resnet18", "mobilenet-v2"):
        network = build(name, classes=2, side=32, seed=0)
        strides = [m.stride[0] for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
        assert strides[0] == 1


def test_unknown_network():
    with pytest.raises(KeyError, match="there is no network"):
        build("resnet21", classes=2, side=32, seed=0)


@pytest.mark.slow
def test_training_learns_and_is_deterministic(digits, cpu):
    recipe = Recipe(steps=100, batch_size=50, flip=False, crop_padding=2, learning_rate=0.1)
    logits = []
    for _ in range(2):
        network = train(build("resnet20", classes=10, side=32, seed=0), digits.members, recipe, seed=0, device=cpu)
        logits.append(predict(network, digits.test.pixels, device=cpu))
    assert torch.equal(*logits)
    assert (logits[0].argmax(1) == digits.test.labels).float().mean() > 0.6


@pytest.mark.parametrize("name", ["mobilenet-v2", "vgg11-bn"])
def test_dropout_is_seeded_and_leaves_the_global_generator(name, digits, cpu):
    found = []
    for state in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(state)
            network = build(name, classes=10, side=32, seed=0)
            train(network, digits.members, Recipe(steps=2, batch_size=8), seed=5, device=cpu)
            found.append(torch.cat([p.flatten() for p in network.parameters()]))
    assert torch.equal(*found)


def test_soft_labels_are_learnt(digits, cpu):
    soft = torch.full((len(digits.members), 10), 0.01)
    soft[torch.arange(len(soft)), (digits.members.labels + 1) % 10] = 0.91
    recipe = Recipe(steps=60, batch_size=50, flip=False)
    network = build("resnet20", classes=10, side=32, seed=0)
    train(network, digits.members, recipe, seed=0, device=cpu, soft_labels=soft)
    guess = predict(network, digits.members.pixels, device=cpu).argmax(1)
    assert (guess == (digits.members.labels + 1) % 10).float().mean() > 0.6


def test_a_diverging_training_is_an_error(digits, cpu):
    with pytest.raises(FloatingPointError, match="training loss"):
        train(
            build("dcgan", classes=10, side=32, seed=0),
            digits.members,
            Recipe(steps=40, learning_rate=1e6),
            seed=0,
            device=cpu,
        )


def test_augmentation_moves_whole_pixels():
    ramp = torch.arange(8 * 8, dtype=torch.uint8).view(1, 1, 8, 8).repeat(1000, 1, 1, 1)
    moved = augment(ramp, Recipe(crop_padding=2, flip=True), seeded_rng("augment"))
    assert moved.dtype == torch.uint8
    assert moved.shape == ramp.shape
    # The middle is never padding: a row there steps by 1, to the right or (flipped) to the left, a column by 8.
    middle = moved[:, 0, 2:6, 2:6].int()
    assert set(middle.diff(dim=2).flatten().tolist()) == {1, -1}
    assert set(middle.diff(dim=1).flatten().tolist()) == {8}
    assert len(moved.flatten(1).unique(dim=0)) == 2 * 5 * 5
    assert torch.equal(augment(ramp, Recipe(crop_padding=0, flip=False), seeded_rng("augment")), ramp)


def test_an_epoch_sees_every_image_once():
    stream = batches(10, 3, seeded_rng("batches"))
    epoch = torch.cat([next(stream) for _ in range(3)])
    assert len(epoch.unique()) == 9


def test_seeds_depend_on_every_name():
    assert derive_seed("a", "b") != derive_seed("ab") != derive_seed("b", "a")
    assert 0 <= derive_seed("x") < 2**63


def test_images_check_themselves():
    pixels, labels = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="uint8"):
        Images(pixels.float(), labels, ("a", "b"))
    with pytest.raises(ValueError, match=r"in 0\.\.0"):
        Images(pixels, labels, ("a",))
    with pytest.raises(ValueError, match="int64"):
        Images(pixels, labels.int(), ("a", "b"))


class Greedy(nn.Module):
    """Has memory for three images."""

    def forward(self, x):
        if len(x) > 3:
            raise torch.OutOfMemoryError
        return x


def test_features_are_each_images_own_where_memory_runs_out(cpu):
    """Memory runs out behind the layer that is looked at, so its input has been seen before the batch is halved."""
    pixels = torch.arange(10, dtype=torch.uint8).view(-1, 1, 1, 1)
    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(1, 2), Greedy())
    features = penultimate(network, pixels, device=cpu, chunk=10)
    torch.testing.assert_close(features.squeeze(1) * 255, torch.arange(10.0))
    assert predict(network, pixels, device=cpu, chunk=10).shape == (10, 2)
