"""Suites: named grids, read from TOML and checked before anything runs."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from leakbench.attacks.attack import attacks as attack_registry
from leakbench.attacks.victims.clients import GradientClients
from leakbench.attacks.victims.federation import Federation
from leakbench.attacks.victims.owner import DataOwner
from leakbench.attacks.view import STUDENTS
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.benchmarks.suite.spec import attack_class, build_method, family_of, scenario_of, sentence
from leakbench.synth.data.datasets import DATASETS
from leakbench.synth.data.split import Sizes
from leakbench.synth.images import Images
from leakbench.synth.networks.architectures import NETWORKS, PROBE, build
from leakbench.synth.networks.public import missing
from leakbench.synth.networks.training import Recipe, train
from leakbench.synth.ranges import Count
from leakbench.synth.registry import Registry
from leakbench.synth.registry import defenses as defense_registry

T = TypeVar("T")

FOLDER = Path(__file__).parent
"""Where the suites lie, one TOML file each."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Training(_Strict):
    """A network and how it is trained."""

    network: str
    recipe: Recipe

    def trained(self, images: Images, *, init_seed: int, seed: int, device: torch.device) -> nn.Module:
        """Such a network, trained on images from scratch."""
        network = build(self.network, classes=len(images.classes), side=images.side, seed=init_seed)
        return train(network, images, self.recipe, seed=seed, device=device)


class Teacher(Training):
    """The network that defenses read: trained on the members by the recipe, or with weights that somebody published.

    Args:
        network: name of the architecture.
        recipe: of its training, and of the oracle's.
        weights: ``torchvision``, or a .safetensors file; none by default.
        published: whether attackers that ask for it get it, beside the release.
        examines: whether it looks at every release, and says how many of the images it takes for what they are
            labelled: what a release is worth where there are too few images to train students from scratch.
    """

    weights: str | None = None
    published: bool = True
    examines: bool = False


class Students(_Strict):
    """The networks that a release is tested with, and how they are trained.

    Args:
        networks: names of the architectures.
        recipe: the same for every release.
        labels: the rungs of labels that they learn: ``hard``; ``soft``, one vector an image, where a release has them;
            ``views``: what the teacher says of some augmented views of every image, published as a file;
            ``teacher``: what the teacher, published beside the release, answers on every augmented image.
        views: of every image in that file, at most.
    """

    networks: tuple[str, ...] = ()
    recipe: Recipe
    labels: tuple[Literal["hard", "soft", "views", "teacher"], ...] = ("hard", "soft")
    views: Count = 20


class Suite(_Strict):
    """A named grid.

    Args:
        name: what it is called.
        dataset: one of the datasets.
        image_size: side to resize and crop folders' images to.
        seeds: repetitions, each with its own split.
        defenses: specs ``NAME[:key=value,…]``.
        attacks: specs, likewise, of gradient and memorization attacks with ``@SCENARIO`` behind.
        sizes: images of each part.
        teacher: the network that defenses read; the oracle is trained by its recipe, on the holdout.
        classes: of the dataset, that are kept; all by default.
        student: see :class:`Students`.
        memorization: the scenarios of memorization attacks, by name; ``ATTACK@NAME`` asks for one, ``ATTACK`` for
            ``default``.
        gradient: those of gradient attacks, likewise.
        federation: the federation that GAN attacks join.
    """

    name: str
    dataset: str
    image_size: int | None = Field(default=None, ge=11)
    seeds: int = Field(default=1, ge=1)
    defenses: tuple[str, ...] = Field(min_length=1)
    attacks: tuple[str, ...]
    sizes: Sizes
    teacher: Teacher
    classes: tuple[str, ...] = ()
    student: Students
    memorization: dict[str, DataOwner] = {}
    gradient: dict[str, GradientClients] = {}
    federation: Federation

    def scenarios(self, family: str) -> Mapping[str, GradientClients | DataOwner]:
        """The scenarios of a family of attacks; none where it has only one."""
        if family == "gradient":
            return self.gradient
        return self.memorization if family == "memorization" else {}

    def sanitizing(self, spec: str) -> tuple[bool | None, str]:
        """Whether what a memorization attack's model is handed out as was sanitized, and a name for the rest of it."""
        owner = self.memorization.get(scenario_of(spec))
        if owner is None or family_of(spec) != "memorization":
            return None, ""
        plain = replace(owner, fine_tuning=None, pruning=0.0, rounding="none")
        rest = hashlib.sha256(json.dumps(asdict(plain), sort_keys=True).encode()).hexdigest()[:12]
        return owner.sanitizes, rest

    @property
    def hash(self) -> str:
        """Hash of everything that bears on a cell's result; adding a defense, an attack or a seed keeps it."""
        bearing = self.model_dump(mode="json", exclude={"name", "defenses", "attacks", "seeds"})
        bearing["teacher"]["weights"] = self.teacher.weights is not None  # the content counts, not where it lies
        _leave_out_news(bearing)
        return hashlib.sha256(json.dumps(bearing, sort_keys=True).encode()).hexdigest()[:12]


def _leave_out_news(bearing: dict[str, Any]) -> None:
    """Take out of what a hash is of everything that leaves a suite as it was before anybody could say otherwise.

    Seeds follow from the hash: without this the commands of committed results would make other figures.
    """
    if bearing["teacher"]["published"]:
        del bearing["teacher"]["published"]
    if not bearing["teacher"]["examines"]:
        del bearing["teacher"]["examines"]
    if "views" not in bearing["student"]["labels"]:
        del bearing["student"]["views"]
    if bearing["student"]["labels"] == ["hard", "soft"]:
        del bearing["student"]["labels"]
    for clients in bearing["gradient"].values():
        if clients["statistics"] != "running":
            clients["statistics_sent"] = clients.pop("statistics") == "sent"
    having = (*bearing["gradient"].values(), *bearing["memorization"].values(), bearing["teacher"], bearing["student"])
    for recipe in (owner.get(name) for owner in having for name in ("recipe", "fine_tuning")):
        for name in ("cutmix", "schedule", "ema") if recipe else ():
            if recipe[name] in (0, "one-cycle"):
                del recipe[name]


def available() -> list[str]:
    """The names of the suites that come with leakbench."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def load_suite(name: str, **overrides: Any) -> Suite:
    """Read a suite and check all of it.

    Args:
        name: of a built-in suite.
        overrides: fields that the command line replaces, and `teacher_weights`; None leaves a field as it is.

    Raises:
        RequestProblems: everything that is wrong.
    """
    if name not in available():
        raise RequestProblems([f"there is no suite {name!r}; there are: {', '.join(available())}"])
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    weights = overrides.pop("teacher_weights", None)
    raw = tomllib.loads(text) | {key: value for key, value in overrides.items() if value is not None}
    if weights:
        raw["teacher"] |= {"weights": weights}
    try:
        suite = Suite.model_validate(raw)
    except ValidationError as error:
        raise RequestProblems([sentence(f"suite {name}", problem) for problem in error.errors()]) from error
    problems = _unknown_names(suite)
    problems += _bad_specs(suite.defenses, defense_registry) + _bad_specs(suite.attacks, attack_registry)
    problems += _unknown_scenarios(suite) + _without_student(suite) + _bad_labels(suite)
    if problems:
        raise RequestProblems(problems)
    return suite


def _unknown_scenarios(suite: Suite) -> list[str]:
    problems = []
    for spec in suite.attacks:
        family, wanted = family_of(spec), scenario_of(spec)
        if family not in ("gradient", "memorization"):
            if family and "@" in spec:
                problems.append(f"{spec!r}: {family} attacks have no scenarios; leave what follows @ out")
        elif wanted not in suite.scenarios(family):
            known = ", ".join(suite.scenarios(family)) or "none; take another suite"
            problems.append(f"{spec!r}: suite {suite.name} has no {family} scenario {wanted!r}; those it has: {known}")
    return problems


def _without_student(suite: Suite) -> list[str]:
    if suite.student.networks:
        return []
    needy = [spec for spec in suite.attacks if STUDENTS & getattr(attack_class(spec), "needs", frozenset())]
    return [f"{spec!r} attacks a student, but suite {suite.name} trains none; take another suite" for spec in needy]


def _bad_labels(suite: Suite) -> list[str]:
    rungs = suite.student.labels
    problems = []
    if "hard" not in rungs or len(set(rungs)) < len(rungs):
        problems.append("[student] labels must name each rung once, and hard, which attacks on students ask for")
    mixed = [name for name, owner in suite.memorization.items() if owner.recipe.cutmix]
    problems += [
        f"[memorization.{name}] recipe: cutmix must be 0, or attackers' images would be mixed in" for name in mixed
    ]
    if "teacher" in rungs and not suite.teacher.published:
        problems.append("[student] labels has teacher, which does not count as published here; set published = true")
    return problems


def _unknown_names(suite: Suite) -> list[str]:
    problems = []
    if suite.dataset not in DATASETS:
        problems.append(f"there is no dataset {suite.dataset!r}; there are: {', '.join(DATASETS)}")
    for name, scenario in suite.gradient.items():
        problems += _without_batch_norm(name, scenario)
    victims = {scenario.network for scenario in suite.gradient.values()}
    victims |= {owner.network for owner in suite.memorization.values()}
    named = victims | {suite.teacher.network, suite.federation.network, *suite.student.networks}
    for network in sorted(named - {*NETWORKS, PROBE}):
        problems.append(f"there is no network {network!r}; there are: {', '.join(sorted(NETWORKS))}")
    if PROBE in victims | {suite.federation.network}:
        problems.append(f"{PROBE} is for the teacher and for students alone; give one of {', '.join(sorted(NETWORKS))}")
    if suite.teacher.network == PROBE and suite.teacher.weights:
        problems.append(f"[teacher] {PROBE} brings a public network's weights with it; leave teacher weights out")
    if suite.teacher.network == PROBE and missing():
        problems.append(f"[teacher] {PROBE}: {missing()}")
    return problems


def _without_batch_norm(name: str, scenario: GradientClients) -> list[str]:
    if scenario.mode == "eval" or scenario.network not in NETWORKS:
        return []
    layers = build(scenario.network, classes=2, side=32, seed=0).modules()
    if any(isinstance(layer, nn.BatchNorm2d) for layer in layers):
        return []
    return [f"gradient scenario {name}: {scenario.network} has no batch norm, so it has no train mode; use eval"]


def _bad_specs(specs: tuple[str, ...], registry: Registry[T]) -> list[str]:
    problems = [f"{spec!r} is asked for twice" for spec in sorted(set(specs)) if specs.count(spec) > 1]
    for spec in specs:
        try:
            build_method(spec, registry)
        except RequestProblems as error:
            problems += error.problems
    return problems
