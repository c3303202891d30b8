"""Times as people give them on the command line."""

import re

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(option: str, given: str) -> float:
    """Seconds of a time like ``90s``, ``10m`` or ``1h``, or of ``0``.

    Raises:
        ValueError: it is none; the sentence names the option.
    """
    if given.strip() == "0":
        return 0.0
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", given.strip())
    if not found:
        raise ValueError(f"{option} {given}: is no time; give 90s, 10m or 1h")
    return float(found[1]) * UNITS[found[2]]
