"""One measured number, and the target it is held against."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """A median of several runs; `spread` is their distance from lowest to highest, the machine's noise."""

    what: str
    value: float
    unit: str
    target: float | None = None
    higher_is_better: bool = False
    runs: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, what: str, runs: Sequence[float], unit: str, **named: Any) -> "Row":
        """The median of the runs."""
        return cls(what, statistics.median(runs), unit, runs=[round(run, 4) for run in runs], **named)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.higher_is_better else self.value <= self.target

    @property
    def spread(self) -> float:
        """The distance from the lowest run to the highest."""
        return max(self.runs) - min(self.runs) if self.runs else 0.0

    def as_json(self) -> dict[str, Any]:
        """The row for bench-results.json."""
        return {**asdict(self), "met": self.met, "spread": round(self.spread, 4)}
