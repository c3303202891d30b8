"""The stage that runs an attack on its view and has it judged."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from leakbench.attacks.attack import Attack
from leakbench.attacks.guess import Canaries, Guess, Reconstructions, Scores
from leakbench.attacks.judging.gallery import save_gallery
from leakbench.attacks.judging.judge import judge_class, judge_images, judge_members, judge_memorization
from leakbench.attacks.judging.truth import Truth
from leakbench.attacks.victims.clients import GradientClients, shared_whole
from leakbench.attacks.victims.owner import DataOwner
from leakbench.attacks.victims.scenario import Scenario, idle
from leakbench.attacks.view import Access, HonestEncoder, PublishedModel, View
from leakbench.benchmarks.stages.context import RunContext
from leakbench.benchmarks.stages.outcome import Outcome
from leakbench.benchmarks.stages.publish import equipped, offered
from leakbench.benchmarks.suite.graph import student_networks
from leakbench.benchmarks.suite.model import Training
from leakbench.benchmarks.suite.spec import attack_of, defense_of, parameters, scenario_of
from leakbench.metrics.measurement import Judgement
from leakbench.reports.records import Attacked, Cell
from leakbench.synth.defense import Defense, GradientFilter, Release, Synthesizer
from leakbench.synth.images import Images
from leakbench.synth.networks.pretrained import PretrainedWeights
from leakbench.synth.networks.training import predict

SHOWN_ROUNDS = 20
"""Rounds of a federation after which its model is tested, at most."""


def attack_stage(context: RunContext, cell: Cell) -> Outcome:
    """Run an attack on its view, and have it judged."""
    attack = attack_of(cell.method)
    models: list[nn.Module] = []
    rounds: list[nn.Module] = []
    scenario = scenario_for(context, cell, attack, handed_out=models.append, watch=rounds.append)
    seed = context.seed("attack", cell.method, cell.defense, cell.seed)

    def attacked_with(view: View) -> Guess:
        try:
            return attack.run(view, seed=seed, device=context.device)
        except ValueError as error:  # a score that is NaN, a parameter that does not fit: say whose
            raise ValueError(f"{cell.method}: {error}") from error

    guess = attacked_with(scenario.view(attack, cell.method))
    details: dict[str, str] = {}
    truth = context.truth(cell, scenario, scenario.clients.batch if attack.family == "gradient" else 1)
    if isinstance(guess, Scores | Canaries):
        judgement = judge_members(guess, truth)
    elif attack.goal == "class":
        control = attacked_with(scenario.view(attack, cell.method, null=True))
        assert isinstance(control, Reconstructions)
        judgement = judge_class(guess, control, truth)
        details = _shared_model(context, cell, scenario, rounds) if Access.FEDERATION in attack.needs else {}
    elif attack.family == "memorization":
        judgement = _memorization(guess, truth, attack, models, scenario)
    else:
        judgement = judge_images(guess, truth)
    if isinstance(guess, Reconstructions):
        save_gallery(context.folder.gallery(cell.id), guess, truth)
    sanitized, without = context.suite.sanitizing(cell.method)
    victim, more = scenario.describe(attack)
    attacked = Attacked(
        family=attack.family,
        goal=attack.goal,
        threat_model=tuple(sorted(access.name for access in attack.needs)),
        given=tuple(sorted(attack.needs)),
        story=_story(attack),
        victim=victim,
        parameters=parameters(attack),
        details=details | more,
        notes=dict(guess.notes),
        sanitized=sanitized,
        scenario_without_sanitizing=without,
    )
    return Outcome(judgement, attacked)


def _story(attack: Attack) -> str:
    """Who the attacker is and what it does: the beginning of the class's documentation."""
    paragraphs = (type(attack).__doc__ or "").partition("Args:")[0].split("\n\n")[:2]
    return " ".join(" ".join(paragraphs).split())


def _memorization(
    guess: Reconstructions, truth: Truth, attack: Attack, models: list[nn.Module], scenario: Scenario
) -> Judgement:
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
    defense = defense_of(cell.defense)

    def student(labels: str) -> PublishedModel:
        return context.student(cell.defense, cell.seed, student_networks(suite, defense)[0], labels)

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
        student=student("hard") if Access.MODEL in attack.needs else None,
        soft_student=student("soft") if Access.SOFT_MODEL in attack.needs else None,
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
        teacher = training.trained(members, init_seed=seed, seed=seed, device=device)
    given = equipped(defense, seed=seed, device=device, teacher=teacher, public=public)
    return defense.release(members, given)


def _published_teacher(context: RunContext, cell: Cell, defense: Defense, released: Images) -> PublishedModel:
    """The teacher where the defense read one; else a network trained alike on the release, as anybody could."""
    training = context.suite.teacher
    if defense.teacher_based:
        network = context.teacher(cell.seed)
    else:
        network = context.trained("network of the release", training, released, cell.seed)
    return PublishedModel(network, training.network, training.recipe)
