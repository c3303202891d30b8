"""What students are taught of an image: its class, a vector, what a teacher says of it now; and cut-mixed images."""

from dataclasses import replace

import pytest
import torch

from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.lessons import Lessons, cutmix
from leakbench.synth.networks.training import Extra, Recipe, train
from leakbench.synth.seeds import seeded_rng


def plain(*values, side=8):
    pixels = torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1)
    return pixels.expand(-1, 3, side, side).contiguous()


@pytest.mark.parametrize("seed", range(30))
def test_a_rectangle_comes_from_the_partner_and_the_rest_is_ones_own(seed):
    images = plain(*range(10, 90, 10))
    mixed, partner, kept = cutmix(images, seeded_rng("mix", seed))
    theirs = mixed[:, 0] != images[:, 0]
    moved = partner != torch.arange(8)
    assert torch.equal(mixed[partner == torch.arange(8)], images[partner == torch.arange(8)])
    if moved.any():
        assert float(theirs[moved].float().mean()) == pytest.approx(1 - kept)
    where = theirs[moved][0] if moved.any() else torch.zeros(8, 8, dtype=torch.bool)
    rows, columns = where.any(1).nonzero().flatten(), where.any(0).nonzero().flatten()
    assert int(where.sum()) == len(rows) * len(columns), "a rectangle"
    for row, other in enumerate(partner):
        assert set(mixed[row].unique().tolist()) <= {int(images[row, 0, 0, 0]), int(images[other, 0, 0, 0])}


def test_as_much_is_cut_on_average_as_a_uniform_share_says():
    """Half, less what hangs over the edges: between a quarter and a half."""
    kept = [cutmix(plain(1, 2, side=32), seeded_rng("share", seed))[2] for seed in range(400)]
    assert 0.5 < sum(kept) / 400 < 0.75
    assert all(0 <= share <= 1 for share in kept)


LABELS = torch.tensor([0, 1, 2, 1])
SOFT = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.0, 0.0, 1.0], [0.3, 0.3, 0.4]])


def test_without_mixing_a_class_is_a_class_and_a_vector_a_vector():
    index, batch = torch.tensor([2, 0]), plain(1, 2)
    rng = seeded_rng("x")
    shown, wanted = Lessons(labels=LABELS, classes=3).taught(batch, index, rng)
    assert shown is batch
    assert wanted is None
    _, wanted = Lessons(labels=LABELS, soft=SOFT, classes=3).taught(batch, index, rng)
    assert torch.equal(wanted, SOFT[index])


@pytest.mark.parametrize("soft", [None, SOFT])
def test_labels_are_mixed_as_images_are(soft):
    index, batch = torch.tensor([2, 0, 1]), plain(10, 20, 30, side=16)
    lessons = Lessons(labels=LABELS, soft=soft, classes=3, cutmix=1.0)
    for seed in range(20):
        shown, wanted = lessons.taught(batch, index, seeded_rng("x", seed))
        own = torch.eye(3)[LABELS[index]] if soft is None else soft[index]
        share = [(shown[:, 0] == value).flatten(1).float().mean(1) for value in (10, 20, 30)]
        expected = sum(part[:, None] * own[k] for k, part in enumerate(share))
        assert torch.allclose(wanted, expected, atol=1e-6)


def test_a_share_of_batches_is_mixed():
    lessons = Lessons(labels=LABELS, classes=3, cutmix=0.3)
    rng, mixed = seeded_rng("share"), 0
    for _ in range(300):
        mixed += lessons.taught(plain(1, 2), torch.tensor([0, 1]), rng)[1] is not None
    assert 60 < mixed < 120


def test_a_teacher_answers_on_what_is_shown():
    seen = []

    def answer(batch):
        seen.append(batch)
        return torch.zeros(len(batch), 3)

    lessons = Lessons(labels=LABELS, soft=SOFT, answer=answer, classes=3, cutmix=1.0)
    shown, wanted = lessons.taught(plain(10, 20), torch.tensor([0, 1]), seeded_rng("x"))
    assert seen[0] is shown
    assert torch.equal(wanted, torch.full((2, 3), 1 / 3))


QUICK = Recipe(steps=100, batch_size=50, flip=False, crop_padding=2, learning_rate=0.05)


def accuracy(network, images):
    with torch.no_grad():
        return float((network(images.float()).argmax(1) == images.labels).double().mean())


class Stubborn(torch.nn.Module):
    """A teacher that takes everything for class 3."""

    def forward(self, x):
        return 20.0 * torch.eye(10)[torch.full((len(x),), 3)]


def test_a_student_learns_what_its_teacher_says(digits, cpu):
    """Whatever its labels are, soft ones included."""
    soft = torch.eye(10)[digits.members.labels]
    network = build("lenet", classes=10, side=32, seed=2)
    student = train(
        network, digits.members, replace(QUICK, steps=40), seed=2, device=cpu, teacher=Stubborn(), soft_labels=soft
    )
    with torch.no_grad():
        assert (student(digits.test.float()).argmax(1) == 3).all()


@pytest.mark.slow
def test_a_student_learns_from_the_teacher_what_labels_do_not_say(digits, cpu):
    """Its own labels are wrong throughout; the teacher, left as it was, knows better."""
    teacher = train(build("resnet20", classes=10, side=32, seed=1), digits.members, QUICK, seed=1, device=cpu)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    wrong = Images(digits.members.pixels, (digits.members.labels + 3) % 10, digits.members.classes)
    recipe = replace(QUICK, cutmix=0.5)
    students = [
        train(build("resnet20", classes=10, side=32, seed=2), wrong, recipe, seed=2, device=cpu, teacher=published)
        for published in (teacher, None)
    ]
    taught, misled = (accuracy(student, digits.test) for student in students)
    assert taught > 0.6
    assert misled < 0.2
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())


def test_what_is_never_mixed_is_trained_as_before(digits, cpu):
    """The generator of batches and crops knows nothing of mixing."""
    few = digits.members.take(torch.arange(40))
    weights = [
        train(build("lenet", classes=10, side=32, seed=1), few, recipe, seed=1, device=cpu).state_dict()
        for recipe in (replace(QUICK, steps=3), replace(QUICK, steps=3, cutmix=1e-12))
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_an_attackers_images_are_not_mixed_in(digits, cpu):
    extra = Extra(lambda index: digits.members.pixels[index], digits.members.labels, 4)
    with pytest.raises(ValueError, match="cutmix must be 0"):
        train(
            build("lenet", classes=10, side=32, seed=1),
            digits.members,
            replace(QUICK, cutmix=0.5),
            seed=0,
            device=cpu,
            extra=extra,
        )
    with pytest.raises(ValueError, match="cutmix between 0 and 1"):
        Recipe(cutmix=1.5)
