"""From the text of a spec to a defense or an attack, each built once."""

import math
from dataclasses import asdict, fields
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from leakbench.attacks.attack import Attack, attacks
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.reports.spec import DEFAULT, MethodSpec, parse_spec
from leakbench.synth.defense import Defense
from leakbench.synth.registry import Registry, defenses

T = TypeVar("T")

BOUNDS = {
    "greater_than": (">", "gt"),
    "greater_than_equal": (">=", "ge"),
    "less_than": ("<", "lt"),
    "less_than_equal": ("<=", "le"),
}
"""What pydantic calls a value out of range, with the sign and the key of the limit."""


def defense_of(text: str) -> Defense:
    """The defense that a spec asks for.

    Raises:
        RequestProblems: there is no such name or parameter, or a value is of the wrong kind.
    """
    return build_method(text, defenses)


def attack_of(text: str) -> Attack:
    """The attack that a spec asks for; its scenario is for others to read.

    Raises:
        RequestProblems: there is no such name or parameter, or a value is of the wrong kind.
    """
    return build_method(text, attacks)


def build_method(text: str, registry: Registry[T]) -> T:
    """The method of a registry that a spec asks for.

    Raises:
        RequestProblems: there is no such name or parameter, or a value is of the wrong kind.
    """
    spec = parse_spec(text)
    if "@" in text and registry.kind != "attack":
        raise RequestProblems(
            [f"{text!r}: only attacks have scenarios; leave out what follows {text.partition('@')[0]}"]
        )
    if spec.name not in registry:
        raise RequestProblems([f"there is no {registry.kind} {spec.name!r}; there are: {', '.join(sorted(registry))}"])
    built: T = _build(text, spec, registry[spec.name])  # type: ignore[arg-type]
    return built


@cache
def _build(text: str, spec: MethodSpec, cls: type[Any]) -> Any:
    """Once for each spec, and again where another class has its name."""
    problems = _unknown_parameters(text, spec, cls)
    if problems:
        raise RequestProblems(problems)
    try:
        built = TypeAdapter(cls).validate_python(dict(spec.parameters))
    except ValidationError as error:
        raise RequestProblems([sentence(repr(text), problem) for problem in error.errors()]) from error
    except (Exception, SystemExit) as error:  # a plug-in's own code runs there
        raise RequestProblems([f"{text!r}: cannot be built: {type(error).__name__}: {error}"]) from error
    odd = [key for key, value in vars(built).items() if isinstance(value, float) and not math.isfinite(value)]
    if odd:
        raise RequestProblems([f"{text!r}: {key} must be a finite number" for key in odd])
    return built


def _unknown_parameters(text: str, spec: MethodSpec, cls: type[Any]) -> list[str]:
    known, given = [field.name for field in fields(cls)], [key for key, _ in spec.parameters]
    choices = ", ".join(known) or "none"
    problems = [
        f"{text!r}: {key!r} is not a parameter of {spec.name}; its parameters: {choices}"
        for key in given
        if key not in known
    ]
    problems += [
        f"{text!r}: {key} has no value; say {key}=…" for key, value in spec.parameters if key in known and not value
    ]
    return problems + [f"{text!r}: {key} is given twice" for key in sorted(set(given)) if given.count(key) > 1]


def scenario_of(text: str) -> str:
    """The scenario that an attack's spec asks for."""
    return parse_spec(text).scenario or DEFAULT


def attack_class(text: str) -> type[Attack] | None:
    """The class of the attack that a spec names, or None where there is none of this name."""
    return attacks.get(parse_spec(text).name)


def family_of(text: str) -> str:
    """The family of the attack that a spec names, or nothing where there is none of this name."""
    attack = attack_class(text)
    return attack.family if attack else ""


def parameters(item: Defense | Attack) -> dict[str, Any]:
    """The hyper-parameters of a defense or an attack, JSON-ready."""
    return asdict(item)


def sentence(owner: str, problem: Any) -> str:
    """What pydantic found wrong with somebody's field, as a sentence."""
    where = ".".join(str(part) for part in problem["loc"] if part not in ("int", "literal['class']"))
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] in BOUNDS:
        sign, limit = BOUNDS[problem["type"]]
        return f"{owner}: {where} must be {sign} {problem['ctx'][limit]:g}, got {problem['input']}"
    if problem["type"] == "value_error":  # our own sentences name the parameter and the value already
        return f"{owner}: {message}"
    return f"{owner}: {where}: {message}, got {problem['input']!r}"
