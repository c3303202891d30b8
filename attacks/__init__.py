"""Attacks behind a wall: a view in, a guess out, and a judge who alone knows the truth. Importing registers them."""

import importlib
import pkgutil

FAMILIES = ("gradient", "memorization", "gan", "membership")
"""Folders of attacks, one file per method."""

for _family in FAMILIES:
    _package = importlib.import_module(f"{__name__}.{_family}")
    for _found in pkgutil.iter_modules(_package.__path__):
        importlib.import_module(f"{_package.__name__}.{_found.name}")
