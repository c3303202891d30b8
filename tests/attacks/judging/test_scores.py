"""Both controls of the attacks that score candidates by the release alone, and what a leaky release must show them."""

from dataclasses import replace

import pytest
import torch

from leakbench.attacks.judging.judge import judge_members
from leakbench.attacks.judging.truth import Truth
from leakbench.attacks.membership.copies import Copies
from leakbench.attacks.membership.density_ratio import DensityRatio
from leakbench.attacks.membership.gan_leaks import GanLeaks
from leakbench.attacks.membership.nearest import Nearest
from leakbench.attacks.view import Access, View
from leakbench.synth.defense import Release, Resources
from leakbench.synth.images import Images, Split, concatenate
from leakbench.synth.seeds import seeded_rng
from tests.attacks.conftest import make

ATTACKS = {
    "gan-leaks": GanLeaks(),
    "pixels": Nearest(),
    "ssim": Nearest(space="ssim"),
    "features": Nearest(space="features", steps=60),
    "density-ratio": DensityRatio(),
    "copies": Copies(),
}
DECIDING = ("members.auc", "members.tpr-at-1", "members.tp-at-0-fpr")


def judged(attack, scenario, make_truth, cpu):
    guess = attack.run(scenario.view(attack, "attack"), seed=0, device=cpu)
    truth = replace(make_truth(scenario), candidates=scenario.candidate_order)
    return {m.name: m for m in judge_members(guess, truth).measurements}


@pytest.mark.parametrize("name", ATTACKS)
def test_members_leak_from_identity(name, scenario, make_truth, cpu):
    found = judged(ATTACKS[name], scenario, make_truth, cpu)
    assert found["members.auc.excess"].low > 0
    assert found["members.epsilon"].value > 0


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_is_found_on_disjoint(name, disjoint, make_truth, cpu):
    found = judged(ATTACKS[name], disjoint, make_truth, cpu)
    assert all(found[f"{figure}.excess"].low <= 0 for figure in DECIDING)


@pytest.fixture(scope="module")
def pool():
    """Smooth random pictures: a thousand members, others and public ones each."""

    def pictures(name):
        coarse = torch.rand(1000, 3, 4, 4, generator=seeded_rng(name))
        fine = torch.nn.functional.interpolate(coarse, size=16, mode="bicubic").clamp(0, 1)
        return Images((fine * 255).round().to(torch.uint8), torch.arange(1000) % 2, ("a", "b"))

    names = ("members", "holdout", "auxiliary", "public", "test")
    return Split(**{name: pictures(name) for name in names})


def audited(release, attack, pool, cpu):
    order = torch.randperm(2000, generator=seeded_rng("order"))
    candidates = concatenate(pool.members, pool.holdout).take(order)
    shown = {Access.CANDIDATES: candidates, Access.RELEASE: release, Access.AUXILIARY: pool.auxiliary}
    grants = {access: lambda item=item: item for access, item in shown.items()}
    guess = attack.run(View(threat_model="audit", grants=grants), seed=0, device=cpu)
    truth = Truth(
        released=release.images,
        victims=torch.arange(0),
        sources=None,
        split=pool,
        seed=0,
        device=cpu,
        candidates=order,
    )
    return {m.name: m for m in judge_members(guess, truth).measurements}


def leaky(pool, cpu, **parameters):
    return make("leaky", **parameters).release(
        pool.members, Resources(teacher=None, public=pool.public, seed=0, device=cpu)
    )


@pytest.mark.parametrize("copies", ["noise", "flip", "jpeg"])
def test_one_copy_in_a_hundred_is_found(copies, pool, cpu):
    """Ten of 1,000 members were copied: the area under the curve sees nothing, the ten come before everybody."""
    found = audited(leaky(pool, cpu, leaked=0.01, copies=copies), Nearest(), pool, cpu)
    assert found["members.tp-at-0-fpr.attack"].value >= 10
    assert found["members.tp-at-0-fpr.excess"].low > 0
    assert found["members.auc.excess"].low <= 0


def test_a_mirror_hides_copies_from_gan_leaks(pool, cpu):
    found = audited(leaky(pool, cpu, leaked=0.01, copies="flip"), GanLeaks(), pool, cpu)
    assert found["members.tp-at-0-fpr.excess"].low <= 0


def test_detection_grows_with_the_share(pool, cpu):
    areas = [
        audited(leaky(pool, cpu, leaked=share), Nearest(), pool, cpu)["members.auc.attack"].value
        for share in (0.01, 0.1, 0.5, 1.0)
    ]
    assert areas == sorted(areas)
    assert areas[-1] == 1


def test_leaky_copies_what_it_says(pool, cpu):
    release = leaky(pool, cpu, leaked=0.2)
    flat = pool.members.pixels.flatten(1).int()
    near = torch.stack([(flat - image.flatten().int()).abs().amax(1).amin() for image in release.images.pixels])
    assert len(release.images) == 1000
    assert (near <= 1).sum() == 200
    assert isinstance(release, Release)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: make("leaky", leaked=0), "leaky.leaked must be > 0 and <= 1"),
        (lambda: DensityRatio(components=0), "density-ratio.components must be >= 1"),
        (lambda: DensityRatio(bandwidth=0), "density-ratio.bandwidth must be > 0"),
        (lambda: Nearest(steps=0), "nearest.steps must be >= 1"),
    ],
)
def test_parameters_out_of_range(build, message):
    with pytest.raises(ValueError, match=message):
        build()
