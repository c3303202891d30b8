"""What a synthetic image dataset gives away about the private photographs behind it, and what it is still good for.

The names below are all that a notebook or a plug-in needs. Each is imported when it is first asked for: `import
leakbench` alone takes no time, and reports need no torch.
"""

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leakbench.attacks.attack import Attack, register_attack
    from leakbench.attacks.guess import Canaries, Links, Reconstructions, Scores
    from leakbench.attacks.view import Access, View
    from leakbench.benchmarks.api import audit, compare, load, run
    from leakbench.benchmarks.suite.problems import RequestProblems
    from leakbench.metrics.measurement import Measurement
    from leakbench.metrics.metric import Metric, register_metric
    from leakbench.reports.table import Table
    from leakbench.reports.verdicts import Results
    from leakbench.reports.write import ReportProblem
    from leakbench.synth.data.image_files import DataProblems
    from leakbench.synth.defense import (
        Claim,
        Defense,
        GradientFilter,
        PrivateTrainer,
        Release,
        Resources,
        Synthesizer,
    )
    from leakbench.synth.images import Images
    from leakbench.synth.registry import register_defense
    from leakbench.synth.seeds import seeded_rng

_HOMES = {
    "attacks.attack": ("Attack", "register_attack"),
    "attacks.guess": ("Canaries", "Links", "Reconstructions", "Scores"),
    "attacks.view": ("Access", "View"),
    "benchmarks.api": ("audit", "compare", "load", "run"),
    "metrics.measurement": ("Measurement",),
    "benchmarks.suite.problems": ("RequestProblems",),
    "metrics.metric": ("Metric", "register_metric"),
    "reports.table": ("Table",),
    "reports.verdicts": ("Results",),
    "reports.write": ("ReportProblem",),
    "synth.data.image_files": ("DataProblems",),
    "synth.defense": (
        "Claim",
        "Defense",
        "GradientFilter",
        "PrivateTrainer",
        "Release",
        "Resources",
        "Synthesizer",
    ),
    "synth.images": ("Images",),
    "synth.registry": ("register_defense",),
    "synth.seeds": ("seeded_rng",),
}
"""Where each public name lives."""

__all__ = [
    "Access",
    "Attack",
    "Canaries",
    "Claim",
    "DataProblems",
    "Defense",
    "GradientFilter",
    "Images",
    "Links",
    "Measurement",
    "Metric",
    "PrivateTrainer",
    "Reconstructions",
    "Release",
    "ReportProblem",
    "RequestProblems",
    "Resources",
    "Results",
    "Scores",
    "Synthesizer",
    "Table",
    "View",
    "audit",
    "compare",
    "load",
    "register_attack",
    "register_defense",
    "register_metric",
    "run",
    "seeded_rng",
]
__version__ = version("leakbench")


def __getattr__(name: str) -> Any:
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'leakbench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"leakbench.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
