"""Releases that know nothing of the private images, beside folders in which more than that differs."""

import pytest
import torch

from leakbench.benchmarks.audit.folders import open_folders, unlabelled, without_twins
from leakbench.benchmarks.audit.verdict import audit
from leakbench.metrics.decision import LEAKS, UNKNOWN
from leakbench.synth.seeds import seeded_rng
from tests.pictures import pictures


def judged(private, holdout, released, seed=0):
    return audit(open_folders(private, released, holdout), seed=seed)


def noisy(images, seed):
    noise = torch.randn(images.shape, generator=seeded_rng("noise", seed)) * 8
    return (images.float() + noise).clamp(0, 255).byte()


@pytest.mark.parametrize("seed", range(2))
def test_exact_duplicates_split_at_random(seed):
    """Holdout images that are private ones are left out of it, and what is left has its twins in the holdout."""
    single = pictures(f"single {seed}", 450)
    pool = torch.cat([single, single[:150]])
    order = torch.randperm(600, generator=seeded_rng("duplicates", seed))
    private, holdout = (pool[part] for part in order.split(300))
    unused = torch.tensor([not (image == private).flatten(1).all(1).any() for image in holdout])
    assert judged(private, holdout[unused], pictures(f"others {seed}", 300), seed).verdict != LEAKS


@pytest.mark.parametrize("seed", range(2))
def test_bursts_that_lie_on_one_side(seed):
    """Two pictures of everybody: who holds half of the holdout has a twin of many who were not in, and of no member."""
    single = pictures(f"single {seed}", 300)
    burst = torch.cat([noisy(single, 2 * seed), noisy(single, 2 * seed + 1)])
    side = torch.arange(300).repeat(2) < 150
    found = judged(burst[side], burst[~side], pictures(f"others {seed}", 300), seed)
    assert found.verdict != LEAKS


def test_twins_are_left_out_on_both_sides():
    own, others = pictures("own", 40), pictures("rest", 40)
    others[:5] = noisy(own[:5], 0)
    assert without_twins(unlabelled(others), unlabelled(own)).tolist() == list(range(5, 40))
    flat = torch.full_like(own, 9)
    assert len(without_twins(unlabelled(flat), unlabelled(flat))) == 40, "where all are alike nobody is left out"


def test_members_are_named_rightly_where_some_are_left_out():
    """The first ten private images have a twin in the holdout; of the others the release shows some."""
    private, holdout = pictures("private", 300), pictures("holdout", 300)
    private[:10] = noisy(holdout[:10], 1)
    private[10:20] = noisy(holdout[290:], 2)
    released = pictures("others", 300)
    seen = private[100:160].float() + torch.randn(60, *private.shape[1:], generator=seeded_rng("seen")) * 18
    released[:60] = seen.clamp(0, 255).byte()
    found = judged(private, holdout, released)
    assert found.verdict == LEAKS
    named = {int(row["private"]) for row in found.risky}
    assert len(named & set(range(100, 160))) >= 50
    assert len(named - set(range(100, 160))) <= 15
    left = next(reason for reason in found.reasons if "attacks leave them out" in reason)
    assert 0 < int(left.split()[0]) <= 20


def test_what_was_not_looked_for_is_said():
    """Blank pages, and the blind control's figure among the others."""
    pages = [torch.cat([pictures(name, 60), torch.full((2, 3, 16, 16), 255, dtype=torch.uint8)]) for name in "phr"]
    found = judged(*pages)
    assert found.verdict != LEAKS
    assert any(reason.startswith("2 private images are blank") for reason in found.reasons)
    assert [one.name for one in found.measured["blind control"]] == ["blind.auc.excess"]
    assert not any("blank" in reason for reason in judged(*(page[:60] for page in pages)).reasons)


@pytest.mark.slow
def test_private_images_that_are_alike_among_themselves_excuse_what_compares():
    """Of few kinds of things private images show some and the holdout others, and the release some of the former."""
    kinds = pictures("kinds", 40)
    shown = [kinds[torch.arange(300) % 20 + start] for start in (0, 20)]
    private, holdout = (
        (part.float() + torch.randn(part.shape, generator=seeded_rng("kind", i)) * 40).clamp(0, 255).byte()
        for i, part in enumerate(shown)
    )
    more = kinds[torch.arange(300) % 20].float()
    released = (more + torch.randn(more.shape, generator=seeded_rng("more")) * 40).clamp(0, 255).byte()
    found = judged(private, holdout, released)
    assert found.verdict == UNKNOWN
    assert "half of the private images in the release's place" in " ".join(found.reasons)
