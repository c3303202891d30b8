"""Names to classes: a dict that refuses duplicates."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from leakbench.synth.defense import Defense, inspect

T = TypeVar("T")


class Registry(dict[str, type[T]]):
    """Classes of one kind by name.

    Args:
        kind: what is registered, for messages: ``"defense"``.
        inspect: raises a ValueError for a class that cannot be registered.
    """

    def __init__(self, kind: str, inspect: Callable[[type[T]], None] = lambda cls: None) -> None:
        super().__init__()
        self.kind, self.inspect = kind, inspect

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Decorator that registers a class under a name.

        Raises:
            ValueError: the name is taken, or the class is not what it must be.
        """

        def add(cls: type[T]) -> type[T]:
            if name in self:
                raise ValueError(f"the {self.kind} {name!r} is registered already, by {self[name].__qualname__}")
            self.inspect(cls)
            self[name] = cls
            cls.registered = name  # type: ignore[attr-defined]
            return cls

        return add

    def __missing__(self, name: str) -> type[T]:
        raise KeyError(f"there is no {self.kind} {name!r}; there are: {', '.join(sorted(self))}")

    def names(self) -> Iterator[str]:
        """The registered names, sorted."""
        return iter(sorted(self))


defenses: Registry[Defense] = Registry("defense", inspect)
register_defense = defenses.register
