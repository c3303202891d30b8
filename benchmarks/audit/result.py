"""What an audit found, as frames and files, and what may be published after all."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from leakbench.benchmarks.audit.files import save
from leakbench.benchmarks.audit.folders import Folders
from leakbench.benchmarks.audit.members import Measured
from leakbench.benchmarks.audit.risky import COLUMNS, COPY, Row
from leakbench.metrics.copies import find_copies

NOT_ASKED = "not asked"
"""Of students that were not trained."""


@dataclass(frozen=True)
class Part:
    """The answer to one question: are there copies, is membership told, do students tell it?

    Args:
        question: ``copies``, ``membership`` or ``students``.
        verdict: a word of `metrics.decision`, or ``not asked``.
        reasons: in words.
    """

    question: str
    verdict: str
    reasons: list[str]


@dataclass(frozen=True)
class Audit:
    """What was found.

    Args:
        verdict: ``leaks``, ``no leak found at this power`` or ``cannot tell``; never safe.
        parts: of which it is made.
        notes: on how pictures were read and what was left out.
        risky: rows of `COLUMNS`; the worst first.
        measured: by each attack.
        folders: what was audited.
    """

    verdict: str
    parts: tuple[Part, ...]
    notes: list[str]
    risky: list[Row]
    measured: dict[str, Measured]
    folders: Folders = field(repr=False, compare=False)

    @property
    def reasons(self) -> list[str]:
        """All that was said, in words; what copies say is the first."""
        copies, *rest = self.parts
        return [*copies.reasons, *self.notes, *(reason for part in rest for reason in part.reasons)]

    @property
    def copies(self) -> pd.DataFrame:
        """Private pictures that the release shows, each beside what shows it, the most obvious first."""
        rows = [row for row in self.risky if row["kind"] == COPY]
        return pd.DataFrame(rows, columns=list(COLUMNS)).drop(columns="kind")

    @property
    def figures(self) -> pd.DataFrame:
        """What each attack measured: a row for each figure, with its interval."""
        rows = [{"attack": attack, **asdict(one)} for attack, found in self.measured.items() for one in found]
        return pd.DataFrame(rows)

    def as_json(self) -> dict[str, Any]:
        """What audit.json holds."""
        told = {attack: [asdict(one) for one in found] for attack, found in self.measured.items()}
        parts = {part.question: part.verdict for part in self.parts}
        found = {"verdict": self.verdict, "parts": parts, "reasons": self.reasons, "risky": self.risky}
        return found | {"figures": told}

    def save(self, file: Path | str) -> Path:
        """Write the report, as PDF or HTML by the file's ending, for nobody else to read: it shows private pictures.

        Raises:
            ValueError: it ends in neither, is a folder, or lies in none or in one that is audited.
        """
        file = Path(file).expanduser()
        save(self, file)
        return file

    def without_copies(self) -> list[str]:
        """Names of the released pictures that show no private one: the release less what gives somebody away.

        Of each private picture the search names the released one that shows it best, so it is repeated until nobody is
        found. What is left may still tell who was used: audit it again.
        """
        released = self.folders.released
        kept = torch.arange(len(released))
        while len(kept):
            found = find_copies(self.folders.private.described, released.described.take(kept))
            if not found:
                break
            shown = torch.tensor([copy.released for copy in found])
            kept = kept[~torch.isin(torch.arange(len(kept)), shown)]
        return [released.pictures.names[i] for i in kept.tolist()]
