"""A method as it is asked for, parsed once: ``NAME[:key=value,…][@SCENARIO]``; and short labels among siblings."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

DEFAULT = "default"
"""The scenario of an attack that asks for none."""


@dataclass(frozen=True)
class MethodSpec:
    """A defense or an attack by name, with its parameters as text.

    Args:
        name: as it is registered.
        parameters: pairs of key and value, in the order in which they were given; a value may be missing.
        scenario: of an attack; empty where none was asked for.
    """

    name: str
    parameters: tuple[tuple[str, str], ...] = ()
    scenario: str = ""

    @property
    def body(self) -> "MethodSpec":
        """The same without a scenario."""
        return MethodSpec(self.name, self.parameters)

    def value(self, key: str) -> str | None:
        """What was given for a parameter, or None."""
        return dict(self.parameters).get(key)


@cache
def parse_spec(text: str) -> MethodSpec:
    """The spec of a text; whether there is such a method is for others to say."""
    body, _, scenario = text.partition("@")
    name, _, rest = body.partition(":")
    pairs = (item.partition("=") for item in rest.split(",") if item)
    return MethodSpec(name, tuple((key, value) for key, _, value in pairs), scenario)


def labels(texts: Iterable[str]) -> dict[str, str]:
    """A short label for each spec of a run: its name, and what sets it apart from its siblings of the same name.

    ``bn-matching (class)`` beside ``bn-matching (1)`` where one parameter tells all of them apart, with the parameters'
    names where it takes several. The scenario stands behind, where there is one.
    """
    specs = {text: parse_spec(text) for text in texts}
    found = {}
    for text, spec in specs.items():
        siblings = [other for other in specs.values() if (other.name, other.scenario) == (spec.name, spec.scenario)]
        keys = dict.fromkeys(key for other in siblings for key, _ in other.parameters)
        apart = [key for key in keys if len({other.value(key) for other in siblings}) > 1]
        alone = next((key for key in apart if len({other.value(key) for other in siblings}) == len(siblings)), None)
        apart = apart if alone is None else [alone]
        given = [(key, value) for key, value in spec.parameters if key in apart]
        told = ", ".join(value if len(apart) == 1 else f"{key}={value}" for key, value in given)
        told = told or "as it is" * bool(apart)
        found[text] = spec.name + f" ({told})" * bool(told) + f"@{spec.scenario}" * bool(spec.scenario)
    return found


RUNGS = {
    "hard": "hard labels",
    "soft": "soft labels",
    "views": "labelled views",
    "teacher": "the published teacher answers",
}
"""What students learn of an image, by rung."""
ASKING = frozenset({"views", "teacher"})
"""The rungs of labels at which a teacher is asked, whatever the defense reads."""


@dataclass(frozen=True)
class StudentSpec:
    """A student by its network, and what labels it learned: ``hard``, ``soft``, ``views`` or ``teacher``."""

    network: str
    labels: str


@cache
def parse_student(text: str) -> StudentSpec:
    """The student of a utility cell's method, ``NETWORK:LABELS``."""
    network, _, kind = text.partition(":")
    return StudentSpec(network, kind)


PUBLISHABLE, PRIVATE = "releases", "not-for-publication"
"""Folders of releases: those that may be published, and those that show private images on purpose."""


def slug(spec: str) -> str:
    """A file name for a spec: its harmless characters and a hash, so that no name leaves the folder or collides."""
    plain = re.sub(r"[^A-Za-z0-9=.-]+", "-", spec)[:60].strip(".-")
    return f"{plain}-{hashlib.sha256(spec.encode()).hexdigest()[:6]}"
