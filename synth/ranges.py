"""Ranges of hyper-parameters, stated where they are declared and checked in one place.

Pydantic reads the same annotations where a spec is parsed, and tests read bad values from them.
"""

from typing import Annotated, Any, get_args, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Count = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Le(1)]
BelowOne = Annotated[float, Ge(0), Lt(1)]
ProperShare = Annotated[float, Gt(0), Lt(1)]

SIGNS = {Gt: (">", "gt"), Ge: (">=", "ge"), Lt: ("<", "lt"), Le: ("<=", "le")}


def check_ranges(instance: object) -> None:
    """Refuse a value outside the range that its field's annotation states.

    Raises:
        ValueError: names the parameter, what it must be, and the value.
    """
    own = getattr(type(instance), "registered", "")
    prefix = f"{own}." * bool(own)
    for name, bounds in ranges(type(instance)).items():
        value = getattr(instance, name)
        if isinstance(value, int | float) and not all(_meets(value, bound) for bound in bounds):
            wanted = " and ".join(f"{SIGNS[type(b)][0]} {_limit(b)}" for b in bounds)
            raise ValueError(f"{prefix}{name} must be {wanted}, got {value}")


def ranges(cls: type) -> dict[str, list[Any]]:
    """The bounds of each field of a class that has any."""
    found = {}
    for name, hint in get_type_hints(cls, include_extras=True).items():
        parts = [hint, *get_args(hint)]  # a union may hold the annotated type
        bounds = [b for part in parts for b in getattr(part, "__metadata__", ()) if type(b) in SIGNS]
        if bounds:
            found[name] = bounds
    return found


def _limit(bound: Any) -> Any:
    return getattr(bound, SIGNS[type(bound)][1])


def _meets(value: float, bound: Any) -> bool:
    limit = _limit(bound)
    return bool({Gt: value > limit, Ge: value >= limit, Lt: value < limit, Le: value <= limit}[type(bound)])
