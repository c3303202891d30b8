"""A private student on public features: what is learned, what is frozen, and what is promised."""

from types import SimpleNamespace

import pytest
import torch

from leakbench.benchmarks.execution.cell import cell_key
from leakbench.benchmarks.execution.inapplicable import inapplicable
from leakbench.benchmarks.suite.estimate import estimate
from leakbench.benchmarks.suite.graph import plan, student_networks
from leakbench.benchmarks.suite.model import load_suite
from leakbench.benchmarks.suite.spec import defense_of
from leakbench.reports.glance import utility
from leakbench.reports.records import Cell, read_records
from leakbench.reports.verdicts import Results
from leakbench.synth.defense import Resources
from leakbench.synth.defenses import dp_linear_probe
from leakbench.synth.defenses.differential_privacy import epsilon_of
from leakbench.synth.defenses.dp_linear_probe import DPLinearProbe
from leakbench.synth.networks import public
from leakbench.synth.networks.architectures import PROBE, build
from leakbench.synth.networks.linear_probe import PublicFeatures
from leakbench.synth.networks.training import Recipe, predict, train
from leakbench.synth.randomness import SeededRandomness
from tests.benchmarks.conftest import run_tiny, suites

__all__ = ["suites"]

PROBED = "dp-linear-probe:epsilon=50,side=32"


def trained(defense, images, cpu, seed=0):
    given = Resources(seed=0, device=cpu, randomness=SeededRandomness(seed))
    return defense.train(build("lenet", classes=len(images.classes), side=images.side, seed=0), images, given)


def right(network, images, cpu):
    return (predict(network, images.pixels, device=cpu).argmax(1) == images.labels).double().mean()


def test_a_head_learns_with_a_loose_guarantee_and_guesses_with_a_tight_one(digits, cpu):
    assert right(trained(DPLinearProbe(epsilon=500.0, side=32), digits.members, cpu), digits.test, cpu) > 0.7
    assert right(trained(DPLinearProbe(epsilon=0.01, side=32), digits.members, cpu), digits.test, cpu) < 0.4


@pytest.mark.parametrize(("epsilon", "steps"), [(1.0, 20), (8.0, 3)])
def test_all_steps_together_keep_epsilon(epsilon, steps, digits, cpu, monkeypatch):
    """By Opacus's accountant of the very noise that is added to sums that nobody changes by more than one."""
    asked = []

    def looked(seen, labels, classes, **how):
        asked.append((seen, how))
        return torch.zeros(classes, seen.shape[1]).double()

    monkeypatch.setattr(dp_linear_probe, "noisy_softmax_regression", looked)
    few = digits.members.take(torch.arange(20))
    given = Resources(seed=0, device=cpu, randomness=SeededRandomness(3))
    defense = DPLinearProbe(epsilon=epsilon, steps=steps, side=32)
    defense.train(build("lenet", classes=10, side=32, seed=0), few, given)
    ((seen, how),) = asked
    assert 0.95 * epsilon < epsilon_of([(how["noise"], 1.0, how["steps"])], 1e-5) <= epsilon * 1.001
    assert how["steps"] == steps
    assert how["randomness"] is given.randomness
    assert (seen.norm(dim=1) <= 1 + 1e-9).all()
    assert (defense.student_claim.epsilon, defense.student_claim.gaussian) == (epsilon, True)


def test_what_is_published_answers_as_the_weights_that_were_learned(digits, cpu, monkeypatch):
    """Constant and scale are folded into the layer: none is lost between training and publication."""
    kept = []
    regress = dp_linear_probe.noisy_softmax_regression

    def remembered(seen, *rest, **how):
        kept.append((seen, regress(seen, *rest, **how)))
        return kept[-1][1]

    monkeypatch.setattr(dp_linear_probe, "noisy_softmax_regression", remembered)
    few = digits.members.take(torch.arange(40))
    network = trained(DPLinearProbe(epsilon=100.0, side=32), few, cpu)
    ((seen, weights),) = kept
    wanted = (seen @ weights.T).float()
    assert (predict(network, few.pixels, device=cpu) - wanted).abs().max() < 0.02 * wanted.abs().max()


def test_nobody_can_draw_the_noise_again_but_with_the_same_randomness(digits, cpu):
    few, loose = digits.members.take(torch.arange(20)), DPLinearProbe(side=32)
    first, again, other = (trained(loose, few, cpu, seed).head.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_public_weights_and_statistics_stay_as_they_are(digits, cpu):
    """A student from a release moves its own layer alone."""
    network = build(PROBE, classes=10, side=32, seed=0)
    before = {name: tensor.clone() for name, tensor in network.features.state_dict().items()}
    head = network.head.weight.clone()
    train(network, digits.members.take(torch.arange(64)), Recipe(steps=3, batch_size=16), seed=0, device=cpu)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.features.state_dict().items())
    assert not torch.equal(head, network.head.weight)


def test_a_private_head_leaves_what_is_public_as_it_is(digits, cpu):
    network = trained(DPLinearProbe(side=32), digits.members.take(torch.arange(20)), cpu)
    public_network = PublicFeatures(32).state_dict()
    assert all(torch.equal(public_network[name], tensor) for name, tensor in network.features.state_dict().items())


def test_a_release_of_one_image_is_learned_as_well(digits, cpu):
    one = digits.members.take(torch.tensor([0]))
    network = train(build(PROBE, classes=10, side=32, seed=0), one, Recipe(steps=2, batch_size=16), seed=0, device=cpu)
    assert torch.isfinite(predict(network, one.pixels, device=cpu)).all()


def test_it_is_deterministic_in_the_seed():
    first, again, other = (build(PROBE, classes=3, side=32, seed=seed).head.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_small_images_are_scaled_up_to_the_side_that_is_asked_for():
    seen = []
    for side in (32, 96):
        features = public.at_hand(side)
        features[2].register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
        features(torch.zeros(1, 3, 32, 32))
    assert seen == [(1, 3, 32, 32), (1, 3, 96, 96)]


def test_its_students_are_its_own(suites):
    suite = load_suite("tiny", defenses=(PROBED, "identity", "dp-sgd:steps=2"), attacks=("loss-threshold",))
    found = {spec: student_networks(suite, defense_of(spec)) for spec in suite.defenses}
    asked = suite.student.networks
    assert found == {PROBED: (PROBE,), "identity": (*asked, PROBE), "dp-sgd:steps=2": asked}
    without = load_suite("tiny", defenses=("identity",), attacks=())
    assert student_networks(without, defense_of("identity")) == asked


def test_its_student_is_tested_and_attacked(tmp_path, suites):
    """Under a name of its own, with the claim of a student, and never as the suite's network."""
    chosen = ("--defense", PROBED, "--defense", "identity", "--attack", "loss-threshold", "--attack", "rmia:shadows=2")
    assert run_tiny(tmp_path, *chosen) == 0
    everything = read_records(tmp_path / "run" / "records.jsonl").values()
    records = [r for r in everything if r.cell.defense == PROBED]
    done = {(r.cell.task, r.cell.method): r for r in records if r.status == "ok"}
    assert set(done) == {("utility", f"{PROBE}:hard"), ("attack", "loss-threshold")}
    assert {r.claim["epsilon"] for r in done.values()} == {50.0}
    assert all("known seed" in r.claim["void"] for r in done.values())
    assert {r.status for r in records if r.cell.task in ("release", "visual")} == {"not_applicable"}
    (shadows,) = [r for r in records if r.cell.method == "rmia:shadows=2"]
    assert (shadows.status, "unlike it" in shadows.reason) == ("not_applicable", True)
    results = Results(tuple(everything))
    own, share = utility(results, PROBED)
    assert own == done["utility", f"{PROBE}:hard"].get("student.accuracy")
    base = results.measurement("identity", "utility", f"{PROBE}:hard", "student.accuracy")
    assert share == pytest.approx(own.value / base.value), "of what the same network reaches without a guarantee"
    assert results.hard_student("identity") == "lenet:hard", "whoever comes first in the suite"


def test_without_a_network_its_row_is_not_applicable(tmp_path, suites, monkeypatch):
    monkeypatch.setattr(public, "SOURCES", ())
    assert DPLinearProbe().reads() == ()
    assert run_tiny(tmp_path, "--defense", PROBED, "--defense", "disjoint", "--attack", "loss-threshold") == 0
    records = [r for r in read_records(tmp_path / "run" / "records.jsonl").values() if r.cell.defense == PROBED]
    assert {r.status for r in records} == {"not_applicable"}
    asked = [r for r in records if r.cell.task in ("utility", "attack")]
    assert all("pip install 'leakbench[pretrained]'" in r.reason for r in asked)


def test_what_a_run_costs_is_said_without_a_network_too(suites, monkeypatch):
    inverted = "dp-bn-matching:teacher=public,num_images=50,steps=100"
    suite = load_suite("tiny", defenses=(PROBED, inverted), attacks=("loss-threshold",))
    with_one = {(c.defense, c.task): s for c, s in estimate(suite, plan(suite), "cpu")}
    assert with_one[inverted, "release"] > with_one[PROBED, "utility"] > 0
    monkeypatch.setattr(public, "SOURCES", ())
    without = {(c.defense, c.task): s for c, s in estimate(suite, plan(suite), "cpu")}
    assert without[inverted, "release"] == without[PROBED, "utility"] == without[PROBED, "attack"] == 0


@pytest.mark.parametrize(
    ("defense", "task", "method"),
    [
        ("identity", "utility", f"{PROBE}:hard"),
        (PROBED, "attack", "loss-threshold"),
        ("identity", "attack", f"qmia:network={PROBE}"),
    ],
)
def test_what_a_cell_finds_is_kept_by_the_network_below_its_students(defense, task, method, suites, monkeypatch):
    suite = load_suite("tiny", defenses=(PROBED, "identity"), attacks=("loss-threshold",))
    cell = Cell(suite="s", dataset="d", defense=defense, task=task, method=method)
    context = SimpleNamespace(
        suite=suite,
        release_digest=lambda spec, seed: "release",
        data_digest=lambda seed: "data",
        weights=None,
        public=None,
        device=torch.device("cpu"),
    )
    keys = set()
    for network in ("one", "two"):
        monkeypatch.setattr(public, "public_network", lambda network=network: SimpleNamespace(digest=network))
        keys.add(cell_key(context, cell))
    assert len(keys) == 2
    monkeypatch.setattr(public, "SOURCES", ())
    monkeypatch.setattr(public, "public_network", lambda: None)
    assert "pip install" in inapplicable(suite, False, cell)
