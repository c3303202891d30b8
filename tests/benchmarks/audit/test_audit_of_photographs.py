"""`leakbench audit` on four releases of photographs: LEAKBENCH_CIFAR=DIR names class folders of CIFAR-10."""

import os
from pathlib import Path

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import affine, crop, gaussian_blur, pad, resize

from leakbench.benchmarks.audit.folders import open_folders
from leakbench.benchmarks.audit.verdict import SILENCE, Limits, audit
from leakbench.metrics.copies import find_copies
from leakbench.metrics.decision import LEAKS, UNKNOWN
from leakbench.metrics.described import described
from leakbench.synth.data.datasets import open_pool
from leakbench.synth.data.split import Sizes, split
from leakbench.synth.defense import Resources
from leakbench.synth.defenses.bn_matching import BNMatching
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.training import Recipe, train
from tests.metrics.test_copies import CHANGES
from tests.pictures import jpeg

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("LEAKBENCH_CIFAR" not in os.environ, reason="LEAKBENCH_CIFAR names no folder"),
]
COUNT, HIDDEN = 5000, 100


@pytest.fixture(scope="module")
def parts():
    pool = open_pool("imagefolder", Path(os.environ["LEAKBENCH_CIFAR"]), None)
    return split(pool, Sizes(members=COUNT, auxiliary=100, test=100), seed=0)


def audited(parts, released, **limits):
    found = audit(open_folders(parts.members.pixels, released.pixels, parts.holdout.pixels), Limits(**limits))
    print(f"\nverdict: {found.verdict}", *found.reasons, f"{len(found.risky)} risky", sep="\n  ")
    return found


@pytest.fixture(scope="module")
def others(parts):
    """What is found in photographs of other people: one in a hundred of CIFAR-10 has a twin."""
    return audited(parts, parts.public)


def test_copies_hidden_among_others_images(parts, others):
    pixels = parts.public.pixels.clone()
    for k, change in enumerate(CHANGES.values()):
        where = torch.arange(k, HIDDEN, len(CHANGES))
        pixels[where] = change(parts.members.pixels[where])
    found = audited(parts, type(parts.public)(pixels, parts.public.labels, parts.public.classes))
    assert found.verdict == LEAKS
    named = {int(row["private"]) for row in found.risky}
    for k, change in enumerate(CHANGES):
        where = set(range(k, HIDDEN, len(CHANGES)))
        print(f"  {change}: {len(named & where)} of {len(where)}")
        assert len(named & where) >= 0.7 * len(where)
    assert named - set(range(HIDDEN)) <= {int(row["private"]) for row in others.risky}


def test_other_peoples_images(others):
    assert others.verdict == UNKNOWN
    assert any("they show the same things" in reason for reason in others.reasons)
    assert len(others.risky) <= 0.02 * COUNT


def test_blurred_members(parts):
    blurred = type(parts.members)(
        gaussian_blur(parts.members.pixels, [5, 5]), parts.members.labels, parts.members.classes
    )
    assert audited(parts, blurred).verdict == LEAKS


def test_class_wise_statistics(parts, cpu):
    network = build("resnet20", classes=10, side=32, seed=0)
    train(network, parts.members, Recipe(steps=400), seed=0, device=cpu)
    defense = BNMatching(images_per_statistic="class", num_images=500, steps=100, learning_rate=0.3, tv_weight=0.03)
    made = defense.release(parts.members, Resources(teacher=network, public=parts.public, seed=0, device=cpu)).images
    assert audited(parts, made).verdict == SILENCE


@pytest.mark.parametrize(("pixels", "fewest"), [(2, 95), (4, 95), (6, 50)])
def test_moved_members_are_found(parts, pixels, fewest):
    moved = pad(parts.members.pixels[:100], [pixels, pixels, 0, 0], padding_mode="reflect")[:, :, :-pixels, :-pixels]
    copies = find_copies(
        described(parts.members.pixels[:700]), described(torch.cat([parts.public.pixels[:600], moved]))
    )
    right = [copy for copy in copies if copy.released == 600 + copy.private]
    print(f"\nmoved by {pixels} pixels: {len(right)} of 100 found, {len(copies) - len(right)} others")
    assert len(right) >= fewest
    assert len(copies) - len(right) <= 2


def cut(images, share):
    side = round(images.shape[-1] * share)
    left = images.shape[-1] - side
    part = crop(images, left // 3, left // 2, side, side)
    return resize(part, images.shape[-2:], InterpolationMode.BICUBIC, antialias=True)


def stamped(images):
    changed = images.clone()
    changed[:, :, 27:31, 1:13] = 255
    return changed


RECALL = {
    "crop of 70 %": (lambda x: cut(x, 0.7), 0.9),
    "crop of 50 %": (lambda x: cut(x, 0.5), 0.3),
    "crop of 30 %": (lambda x: cut(x, 0.3), 0.0),
    "3 degrees": (lambda x: affine(x, 3, [0, 0], 1.0, [0.0, 0.0]), 0.95),
    "15 degrees": (lambda x: affine(x, 15, [0, 0], 1.0, [0.0, 0.0]), 0.9),
    "JPEG 30": (lambda x: torch.stack([jpeg(image, 30) for image in x]), 0.95),
    "gray": (lambda x: x.float().mean(1, keepdim=True).round().byte().expand_as(x), 0.95),
    "stamped": (stamped, 0.95),
    "squeezed": (lambda x: resize(resize(x, [32, 24], antialias=True), [32, 32], antialias=True), 0.95),
}


@pytest.mark.parametrize("change", RECALL)
def test_recall_of_copies(parts, change):
    """200 photographs, changed, among 200 of other people; nobody else's may be named."""
    apply, least = RECALL[change]
    private, others = parts.members.pixels[:200], parts.public.pixels[:200]
    found = find_copies(described(private), described(torch.cat([others, apply(private)])))
    right = sum(copy.released == 200 + copy.private for copy in found)
    print(f"\n{change}: {right / 200:.2f} of 200 found, {len(found) - right} others")
    assert right >= least * 200
    assert len(found) == right
