"""One measured number with everything needed to read it. Standard library only: reports import it without torch."""

import math
from dataclasses import dataclass, field
from typing import Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A value with its interval, its sample size, its unit and its good direction.

    Args:
        name: what was measured, e.g. ``"private.ssim.excess"``.
        value: the point estimate.
        low: lower end of the interval, or None where no interval can be given (n < 2).
        high: upper end, likewise.
        n: how many independent things stand behind the value (images, trials, students).
        unit: ``"%"``, ``"dB"``, ``"s"``, … or ``""`` for a pure number.
        better: which direction is good *for the data owner*: utility higher, leakage lower.
        variant: the exact variant measured (window, padding, backbone, hash of weights, interval method).
        level: confidence level of the interval.
        p: of an excess that may decide: the largest confidence level at which it would is 1 - p; None where unknown.

    Raises:
        ValueError: the value or a bound is NaN or infinite, the interval is reversed, n < 0, or p no probability.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int
    unit: str = ""
    better: Better
    variant: str = ""
    level: float = 0.95
    p: float | None = None

    @classmethod
    def percent(
        cls, name: str, rate: tuple[float, float | None, float | None], *, n: int, better: Better, variant: str
    ) -> "Measurement":
        """A rate in 0..1 with the ends of its interval, in %."""
        value, *ends = rate
        low, high = (None if end is None else 100 * end for end in ends)
        return cls(name=name, value=100 * value, low=low, high=high, n=n, unit="%", better=better, variant=variant)

    def __post_init__(self) -> None:
        for end in ("value", "low", "high"):
            number = getattr(self, end)
            if number is not None and not math.isfinite(number):
                raise ValueError(f"Measurement {self.name}: {end} must be finite, got {number}")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"Measurement {self.name}: low {self.low} is above high {self.high}")
        if self.n < 0:
            raise ValueError(f"Measurement {self.name}: n must be >= 0, got {self.n}")
        if self.p is not None and not 0 <= self.p <= 1:
            raise ValueError(f"Measurement {self.name}: p must be in 0..1, got {self.p}")


@dataclass(frozen=True)
class Judgement:
    """What was measured, what could not be, and why.

    Args:
        measurements: in the order of tables.
        absent: measurements that could not be had, with the reason.
        roc: false and true positive rates of scores, where there are scores.
    """

    measurements: tuple[Measurement, ...]
    absent: dict[str, str] = field(default_factory=dict)
    roc: tuple[tuple[float, float], ...] = ()
