"""What a cell computes: release, visual privacy, utility, leakage. Each is a function of the context and a cell."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

from leakbench.attacks.attack import Attack, attacks
from leakbench.attacks.guess import Canaries, Reconstructions, Scores
from leakbench.attacks.judging.gallery import save_gallery
from leakbench.attacks.judging.judge import judge_class, judge_images, judge_members, judge_memorization
from leakbench.attacks.judging.truth import Truth, Verdict
from leakbench.attacks.victims.clients import GradientClients, shared_whole
from leakbench.attacks.victims.owner import DataOwner
from leakbench.attacks.victims.scenario import Scenario, idle
from leakbench.attacks.view import Access, HonestEncoder
from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.stages.publish import about, equipped, offered, synthesised, synthesizer
from leakbench.benchmarks.suite.model import Training, parameters, parse, scenario_of
from leakbench.metrics.measurement import Measurement
from leakbench.metrics.neighbours import nearest
from leakbench.metrics.rates import Interval
from leakbench.metrics.utility import accuracy
from leakbench.metrics.visual import compare
from leakbench.reports.records import Cell
from leakbench.synth.defense import Defense, GradientFilter, Release, Synthesizer
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import build
from leakbench.synth.networks.pretrained import PretrainedWeights
from leakbench.synth.networks.training import predict, train
from leakbench.synth.registry import defenses

SHOWN_ROUNDS = 20
"""Of a federation, after which its model is tested."""


@dataclass(frozen=True)
class Outcome:
    """A stage's figures, and what the record says about them."""

    measurements: tuple[Measurement, ...]
    absent: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, str] = field(default_factory=dict)
    roc: tuple[tuple[float, float], ...] = ()


def release_stage(context: RunContext, cell: Cell) -> Outcome:
    """Synthesise a release and save it, if it shows nobody whom it does not mean to show."""
    defense = synthesizer(cell.defense)
    parts = context.parts(cell.seed)
    given = equipped(
        defense,
        seed=context.seed("defense", cell.defense, cell.seed),
        device=context.device,
        teacher=context.teacher(cell.seed) if defense.teacher_based else None,
        public=parts.public,
    )
    release = synthesised(defense, parts.members, given)
    said = about(cell.defense, defense, public=context.public, known_seed=True)
    context.folder.save_release(release, cell.defense, cell.seed, said)
    size = Measurement(name="release.images", value=float(len(release.images)), n=1, better="higher", unit="images")
    return Outcome((size,))


def visual_stage(context: RunContext, cell: Cell) -> Outcome:
    """Compare a release with the private images it came from, the nearest ones, and the nearest strangers'."""
    release, source = context.attacked(cell.defense, cell.seed)
    parts = context.parts(cell.seed)
    images, members = release.images, parts.members
    if source is not None and source.ndim == 1:
        paired, pairing = source, "source"
    else:
        paired = nearest(
            images.pixels, members.pixels, query_labels=images.labels, candidate_labels=members.labels
        ).position
        pairing = "nearest of the class"
    seed = context.seed("visual", cell.id)
    figures, absent = compare("paired", images.pixels, members.pixels[paired], seed=seed)
    for name, candidates in (("nearest", members), ("stranger", parts.holdout)):
        index = nearest(images.pixels, candidates.pixels).position
        more, missing = compare(name, images.pixels, candidates.pixels[index], seed=seed)
        figures, absent = figures + more, absent | missing
    return Outcome(tuple(figures), absent, {"paired with": pairing})


def utility_stage(context: RunContext, cell: Cell) -> Outcome:
    """Train a student on a release from scratch and test it on real images."""
    name, _, labels = cell.method.partition(":")
    student = context.student(cell.defense, cell.seed, name, labels).network
    test = context.parts(cell.seed).test
    return Outcome((_accuracy(predict(student, test.pixels, device=context.device), test, "student.accuracy"),))


def oracle_stage(context: RunContext, cell: Cell) -> Outcome:
    """The oracle's own test accuracy: what its verdicts are worth."""
    return _tested(context, cell, context.oracle(cell.seed))


def teacher_stage(context: RunContext, cell: Cell) -> Outcome:
    """The test accuracy of the network that defenses read."""
    return _tested(context, cell, context.teacher(cell.seed))


def _tested(context: RunContext, cell: Cell, network: nn.Module) -> Outcome:
    test = context.parts(cell.seed).test
    return Outcome((_accuracy(predict(network, test.pixels, device=context.device), test, f"{cell.task}.accuracy"),))


def attack_stage(context: RunContext, cell: Cell) -> Outcome:
    """Run an attack on its view, and have it judged."""
    attack = parse(cell.method, attacks)
    models: list[nn.Module] = []
    rounds: list[nn.Module] = []
    scenario = scenario_for(context, cell, attack, handed_out=models.append, watch=rounds.append)
    seed = context.seed("attack", cell.method, cell.defense, cell.seed)
    guess = attack.run(scenario.view(attack, cell.method), seed=seed, device=context.device)
    conditions: dict[str, str] = {}
    truth = context.truth(cell, scenario, scenario.clients.batch if attack.family == "gradient" else 1)
    if isinstance(guess, Scores | Canaries):
        verdict = judge_members(guess, truth)
    elif attack.goal == "class":
        control = attack.run(scenario.view(attack, cell.method, null=True), seed=seed, device=context.device)
        assert isinstance(control, Reconstructions)
        verdict = judge_class(guess, control, truth)
        conditions = _shared_model(context, cell, scenario, rounds) if Access.FEDERATION in attack.needs else {}
    elif attack.family == "memorization":
        verdict = _memorization(guess, truth, attack, models, scenario)
    else:
        verdict = judge_images(guess, truth)
    if isinstance(guess, Reconstructions):
        save_gallery(context.folder.gallery(cell.id), guess, truth)
    grants = ", ".join(sorted(access.name for access in attack.needs))
    conditions |= {"threat model": grants, "the attacker is given": "; ".join(sorted(attack.needs))}
    conditions |= {"what it does": _story(attack)}
    conditions |= {"parameters": json.dumps(parameters(attack))} | scenario.conditions(attack)
    conditions |= {f"noticed, {name}": f"{value:.3g}" for name, value in guess.notes.items()}
    conditions |= context.suite.sanitizing(cell.method)
    return Outcome(verdict.measurements, verdict.absent, conditions, verdict.roc)


def _story(attack: Attack) -> str:
    """Who the attacker is and what it does: the beginning of the class's documentation."""
    paragraphs = (type(attack).__doc__ or "").partition("Args:")[0].split("\n\n")[:2]
    return " ".join(" ".join(paragraphs).split())


def _memorization(
    guess: Reconstructions, truth: Truth, attack: Attack, models: list[nn.Module], scenario: Scenario
) -> Verdict:
    if not models:
        raise RuntimeError("the attack returned without having its model trained")
    honest = scenario.data_owner()(HonestEncoder())
    return judge_memorization(guess, truth, model=models[0], honest=honest, bits=getattr(attack, "stores_bits", False))


def _shared_model(context: RunContext, cell: Cell, scenario: Scenario, attacked: list[nn.Module]) -> dict[str, str]:
    """The shared model's test accuracy over the rounds, with the attacker and with an honest client in its seat."""
    honest: list[nn.Module] = []
    replace(scenario, watch=honest.append).honest_federation()
    test = context.parts(cell.seed).test

    def percent(network: nn.Module) -> str:
        right = predict(network, test.pixels, device=context.device).argmax(1) == test.labels
        return f"{100 * right.double().mean().item():.0f}"

    every = max(1, len(honest) // SHOWN_ROUNDS)
    return {
        f"shared model's accuracy every {every} rounds, {who}": " ".join(map(percent, rounds[every - 1 :: every]))
        for who, rounds in (("with the attacker", attacked), ("without", honest))
    }


def scenario_for(
    context: RunContext,
    cell: Cell,
    attack: Attack,
    *,
    handed_out: Callable[[nn.Module], None] = idle,
    watch: Callable[[nn.Module], None] = idle,
) -> Scenario:
    """The victims of an attack's cell; see `scenario.Scenario` for the two listeners."""
    release, _ = context.attacked(cell.defense, cell.seed)
    suite, name, family = context.suite, scenario_of(cell.method), attack.family
    defense = parse(cell.defense, defenses)
    return Scenario(
        release=release,
        split=context.parts(cell.seed),
        clients=suite.gradient[name] if family == "gradient" else GradientClients(),
        federation=suite.federation,
        owner=suite.memorization[name] if family == "memorization" else DataOwner(),
        share=defense.share if isinstance(defense, GradientFilter) else shared_whole,
        rerun=partial(_rerun, suite.teacher, context.weights, defense, context.device),
        offered=offered(defense),
        teacher=_published_teacher(context, cell, defense, release.images) if Access.TEACHER in attack.needs else None,
        student=context.student(cell.defense, cell.seed, suite.student.networks[0], "hard")
        if Access.MODEL in attack.needs
        else None,
        trained=context.victims(cell.defense, cell.seed).trained,
        train_on_auxiliary=context.train_on_auxiliary(cell.seed),
        train_on_candidates=context.train_on_candidates(cell.seed),
        candidate_order=context.candidate_order(cell.seed),
        handed_out=handed_out,
        watch=watch,
        seed=context.seed("victims", cell.defense, cell.seed),
        device=context.device,
    )


def _rerun(
    training: Training,
    weights: PretrainedWeights | None,
    defense: Defense,
    device: torch.device,
    members: Images,
    teacher: nn.Module | None,
    public: Images,
    seed: int,
) -> Release:
    """Hangs on views, so it gets nothing of the context."""
    assert isinstance(defense, Synthesizer)  # RERUN is offered of no other
    if defense.teacher_based and teacher is None and weights is not None:
        teacher = weights.load(members.side).to(device)
    elif defense.teacher_based and teacher is None:
        network = build(training.network, classes=len(members.classes), side=members.side, seed=seed)
        teacher = train(network, members, training.recipe, seed=seed, device=device)
    given = equipped(defense, seed=seed, device=device, teacher=teacher, public=public)
    return defense.release(members, given)


def _published_teacher(context: RunContext, cell: Cell, defense: Defense, released: Images) -> nn.Module:
    """The teacher where the defense read one; else a network trained alike on the release, as anybody could."""
    if defense.teacher_based:
        return context.teacher(cell.seed)
    return context.trained("network of the release", context.suite.teacher, released, cell.seed)


STAGES: dict[str, Callable[[RunContext, Cell], Outcome]] = {
    "release": release_stage,
    "visual": visual_stage,
    "utility": utility_stage,
    "oracle": oracle_stage,
    "teacher": teacher_stage,
    "attack": attack_stage,
}


def _accuracy(logits: Tensor, test: Images, name: str) -> Measurement:
    interval: Interval = accuracy(logits, test.labels)
    value, low, high = (None if part is None else 100 * part for part in interval)
    assert value is not None
    variant = "on real test images, Wilson over images"
    return Measurement(
        name=name, value=value, low=low, high=high, n=len(test), unit="%", better="higher", variant=variant
    )
