"""What a stage hands to the record."""

from dataclasses import dataclass

from leakbench.metrics.measurement import Judgement
from leakbench.reports.records import Attacked


@dataclass(frozen=True)
class Outcome:
    """A stage's judgement, and what its record says beside.

    Args:
        judgement: what was measured.
        attacked: of an attack, what it was and whom it attacked.
        paired_with: of visual measurements, which private images the released ones stand beside.
    """

    judgement: Judgement
    attacked: Attacked | None = None
    paired_with: str = ""
