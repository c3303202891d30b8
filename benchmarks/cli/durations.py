"""Times as people give them on the command line."""

import re

from leakbench.benchmarks.suite.problems import RequestProblems

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(option: str, given: str, *, none: bool = False) -> float:
    """Seconds of a time like ``90s``, ``10m`` or ``1h``.

    Args:
        option: what it was given for.
        given: the text.
        none: 0 is allowed.

    Raises:
        RequestProblems: it is none, or 0 where that is not allowed.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", given.strip())
    time = float(found[1]) * UNITS[found[2]] if found else 0.0
    if time or (none and (found or given.strip() == "0")):
        return time
    raise RequestProblems(
        [f"{option} {given}: is not a duration; a number and a unit are: 90s, 10m or 1h{', or 0 for none' * none}"]
    )
