"""The attack contract and the registry of attacks."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch

from leakbench.attacks.guess import Guess
from leakbench.attacks.view import Access, View
from leakbench.synth.ranges import check_ranges
from leakbench.synth.registry import Registry

Family = Literal["gradient", "memorization", "gan", "membership"]
Goal = Literal["images", "class", "members", "canaries"]


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """An attack: what it needs to see, and how it turns that into a guess. It never grades itself.

    Subclasses are frozen, keyword-only dataclasses; their fields are their hyper-parameters, fixed beforehand.
    """

    family: ClassVar[Family]
    """Decides the table."""
    needs: ClassVar[frozenset[Access]]
    """Its threat model."""
    goal: ClassVar[Goal]
    """``images``: each reconstruction claims one victim. ``class``: they claim to show a class. ``members``: scores say
    who is a member. ``canaries``: which images of the attacker's the defense was run on."""

    def __post_init__(self) -> None:
        """Check that every parameter is in the range that its annotation states."""
        check_ranges(self)

    def missing(self) -> str:
        """What this machine lacks that the attack needs, and how to get it; empty where nothing is missing."""
        return ""

    def reads(self) -> tuple[str, ...]:
        """Digests of what it reads beside its view and its parameters: results are kept under them."""
        return ()

    @abstractmethod
    def run(self, view: View, *, seed: int, device: torch.device) -> Guess:
        """Attack.

        Args:
            view: what the threat model grants.
            seed: everything random derives from it.
            device: where to compute.
        """


def _stated(cls: type[Attack]) -> None:
    """Raise a ValueError if a class does not say what decides its tables and its threat model."""
    for name, known in (("family", get_args(Family)), ("goal", get_args(Goal))):
        if getattr(cls, name, None) not in known:
            raise ValueError(f"{cls.__qualname__}.{name} must be one of {', '.join(known)}")
    if not all(isinstance(access, Access) for access in getattr(cls, "needs", (None,))):
        raise ValueError(f"{cls.__qualname__}.needs must be a frozenset of leakbench.Access")


attacks: Registry[Attack] = Registry("attack", _stated)
register_attack = attacks.register
