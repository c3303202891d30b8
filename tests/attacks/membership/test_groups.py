"""Which released images share their private images, and how candidates are ranked by them."""

import pytest
import torch

from leakbench.attacks.membership.groups import groups_of, images_behind, ranked, whole_groups
from leakbench.synth.defense import Release
from leakbench.synth.images import Images
from leakbench.synth.seeds import seeded_rng


def released(labels, about):
    pixels = torch.zeros(len(labels), 3, 16, 16, dtype=torch.uint8)
    return Release(Images(pixels, torch.tensor(labels), ("a", "b")), about=about)


@pytest.mark.parametrize(
    ("told", "unsaid", "size", "groups"),
    [
        ({}, 1, 1, [[0], [1], [2], [3], [4]]),
        ({}, None, None, [[0, 1, 2], [3, 4]]),
        ({"parameters": {"components": 64}}, None, None, [[0, 1, 2], [3, 4]]),
        ({"parameters": {"sigma": 0.2}}, 1, 1, [[0], [1], [2], [3], [4]]),
        ({"parameters": {"images_per_statistic": 1}}, None, 1, [[0], [1], [2], [3], [4]]),
        ({"parameters": {"images_per_statistic": 2}}, 1, 2, [[0, 1], [3, 4]]),
        ({"parameters": {"images_per_statistic": "class"}}, 1, None, [[0, 1, 2], [3, 4]]),
    ],
)
def test_groups_are_read_from_what_is_published(told, unsaid, size, groups):
    release = released([0, 0, 0, 1, 1], told)
    assert images_behind(release, unsaid=unsaid) == size
    assert [positions.tolist() for positions, _ in groups_of(release, size)] == groups


@pytest.mark.parametrize(("size", "each"), [(1, 10), (4, 8), (10, 10), (25, 25), (None, 10)])
def test_shadows_are_whole_groups(size, each):
    """Of 100 shadows of ten classes of 40 images, every class gives whole groups, one at least."""
    labels = torch.arange(10).repeat(40)
    chosen = whole_groups(labels, 100, size, seeded_rng("groups"))
    assert torch.bincount(labels[chosen]).tolist() == [each] * 10
    assert len(chosen.unique()) == len(chosen)


@pytest.mark.parametrize(("size", "told"), [(2, [2, 2]), (None, [1, 1])])
def test_ranks_by_hand(size, told):
    """Two groups of the first class and one of the second, for two candidates and one."""
    groups = [(torch.tensor([0, 1]), 0), (torch.tensor([2, 3]), 0), (torch.tensor([4, 5]), 1)]
    given = torch.tensor([[1.0, -2.0, 9.0], [3.0, 0.0, 9.0], [9.0, 9.0, -5.0]], dtype=torch.float64)
    sizes = []

    def evidence(these, who, label, count):
        sizes.append(count)
        return given[these[:, None], who]

    values, links = ranked(groups, torch.tensor([0, 0, 1]), size, evidence, count=3, seed=0)
    own = given[:2, :2]
    assert sizes == told
    assert values.tolist() == pytest.approx([*own.exp().mean(0).log().tolist(), -5])
    drawn = torch.randperm(3, generator=seeded_rng("links", 0))
    assert links.released.tolist() == [[0, 2, 4][group] for group in drawn]
    expected = {0: [1, -2, -3], 1: [3, 0, -3], 2: [-6, -6, -5]}
    assert links.scores.tolist() == [expected[group] for group in drawn.tolist()]
    _, few = ranked(groups, torch.tensor([0, 0, 1]), size, evidence, count=1, seed=0)
    assert few.released.tolist() == links.released[:1].tolist()
