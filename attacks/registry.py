"""The attack contract and the registry of attacks."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from attacks.guess import Guess
from attacks.view import Access, View
from synth.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """An attack: what it needs to see, and how it turns that into a guess. It never grades itself.

    Subclasses are frozen, keyword-only dataclasses; their fields are their hyper-parameters, fixed beforehand.
    """

    family: ClassVar[Literal["gradient", "memorization", "gan", "membership"]]
    """Decides the table."""
    needs: ClassVar[frozenset[Access]]
    """Its threat model."""
    goal: ClassVar[Literal["images", "class", "members", "canaries"]]
    """``images``: each reconstruction claims one victim. ``class``: they claim to show a class. ``members``: scores say
    who is a member. ``canaries``: which images of the attacker's the defense was run on."""

    @abstractmethod
    def run(self, view: View, *, seed: int, device: torch.device) -> Guess:
        """Attack.

        Args:
            view: what the threat model grants.
            seed: everything random derives from it.
            device: where to compute.
        """


attacks: Registry[Attack] = Registry("attack")
