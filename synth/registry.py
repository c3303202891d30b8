"""Names to classes: a dict that refuses duplicates."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from synth.types import Defense

T = TypeVar("T")


class Registry(dict[str, type[T]]):
    """Classes of one kind by name.

    Args:
        kind: what is registered, for messages: ``"defense"``.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Decorator that registers a class under a name.

        Raises:
            ValueError: the name is taken.
        """

        def add(cls: type[T]) -> type[T]:
            if name in self:
                raise ValueError(f"the {self.kind} {name!r} is registered already, by {self[name].__qualname__}")
            self[name] = cls
            return cls

        return add

    def __missing__(self, name: str) -> type[T]:
        raise KeyError(f"there is no {self.kind} {name!r}; there are: {', '.join(sorted(self))}")

    def names(self) -> Iterator[str]:
        """The registered names, sorted."""
        return iter(sorted(self))


defenses: Registry[Defense] = Registry("defense")
