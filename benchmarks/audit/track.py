"""How far an audit is: what shows it goes through the same things that the audit goes through."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Track(Protocol):
    """Shows how many of some things have been gone through."""

    def __call__(self, what: str, things: Iterable[T], total: int) -> Iterable[T]:
        """The same things.

        Args:
            what: is done to them.
            things: to go through.
            total: how many they are.
        """


def unwatched(what: str, things: Iterable[T], total: int) -> Iterable[T]:
    """The same things, where nobody looks."""
    return things
