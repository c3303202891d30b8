"""Defenses and attacks made by somebody else: files, modules and installed distributions that register them."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from leakbench.attacks.attack import attacks
from leakbench.benchmarks.suite.problems import RequestProblems
from leakbench.synth.registry import defenses

GROUPS = ("leakbench.defenses", "leakbench.attacks")


class Plugin(NamedTuple):
    """What was imported: a hash of its source, and the names that it registered."""

    digest: str
    defenses: tuple[str, ...]
    attacks: tuple[str, ...]


def load(names: Iterable[str]) -> dict[str, Plugin]:
    """Import plug-ins, which register what they define.

    Args:
        names: files that end in .py, or modules.

    Returns:
        What each is, by name.

    Raises:
        RequestProblems: there is none of this name, it cannot be imported, or it registers nothing; all at once.
    """
    problems, found = [], {}
    for name in names:
        try:
            found[name] = _load(name)
        except RequestProblems as error:
            problems += error.problems
    if problems:
        raise RequestProblems(problems)
    return found


def behind(names: Iterable[str], classes: Iterable[type]) -> tuple[str, ...]:
    """Those of the plug-ins that some classes come from: others are not needed where these are used."""
    modules = [f"{cls.__module__}." for cls in classes]
    return tuple(name for name in names if any(module.startswith(f"{_module(name)}.") for module in modules))


def installed() -> list[str]:
    """Import what installed distributions announce; a sentence for each that cannot be imported."""
    complaints = []
    for entry in (entry for group in GROUPS for entry in entry_points(group=group)):
        try:
            with redirect_stdout(sys.stderr):
                entry.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's distribution must not stop this one
            complaints.append(f"plug-in {entry.name} ({entry.value}) is left out: {type(error).__name__}: {error}")
    return complaints


def versions() -> dict[str, str]:
    """The installed distributions that announce plug-ins, with their versions."""
    found = (entry.dist for group in GROUPS for entry in entry_points(group=group))
    return {dist.name: dist.version for dist in found if dist is not None}


def _load(name: str) -> Plugin:
    try:
        with redirect_stdout(sys.stderr):  # the standard output may be JSON, line by line
            module = _import_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
    except FileNotFoundError:
        raise RequestProblems([f"--plugin {name}: there is no such file"]) from None
    except (Exception, SystemExit) as error:
        raise RequestProblems([f"--plugin {name}: cannot be imported: {type(error).__name__}: {error}"]) from error
    mine = tuple(
        tuple(key for key, cls in registry.items() if f"{cls.__module__}.".startswith(f"{module.__name__}."))
        for registry in (defenses, attacks)
    )
    if not any(mine):
        raise RequestProblems(
            [f"--plugin {name}: registers nothing; put @register_defense('name') from leakbench above a class"]
        )
    return Plugin(_digest(module), *mine)


def _module(name: str) -> str:
    """What a plug-in's module is called; a file's name must not hide a module of ours."""
    if not name.endswith(".py"):
        return name
    return f"leakbench_plugin_{hashlib.sha256(str(Path(name).resolve()).encode()).hexdigest()[:12]}"


def _digest(module: ModuleType) -> str:
    """A hash of a module's source, or of all of a package's."""
    if not module.__file__:
        return ""
    file = Path(module.__file__)
    files = sorted(file.parent.rglob("*.py")) if hasattr(module, "__path__") else [file]
    return hashlib.sha256(b"".join(part.read_bytes() for part in files)).hexdigest()[:12]


def _import_file(file: Path) -> ModuleType:
    """Import a file, once."""
    unique = _module(str(file))
    if unique in sys.modules:
        return sys.modules[unique]
    if not file.is_file():
        raise FileNotFoundError(file)
    spec = importlib.util.spec_from_file_location(unique, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    return module
