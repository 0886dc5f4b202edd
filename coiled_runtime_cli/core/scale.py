"""How large a benchmark is: the one place that turns ``--scale`` into counts and bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass

NAMES = ("smoke", "laptop", "full")


@dataclass(frozen=True, slots=True)
class Scale:
    """A named scale, or (``name`` is then the number as text) a multiple of ``laptop``.

    ``smoke`` proves that a suite runs; ``laptop`` takes seconds a test on a laptop; ``full`` is the predecessor's size on its
    clusters.
    """

    name: str
    factor: float  # relative to laptop; for a named scale only a hint, as each size is named where it is used

    @classmethod
    def parse(cls, text: str) -> Scale:
        """Read ``smoke``, ``laptop``, ``full`` or a positive number. Raises ValueError on anything else."""
        if text in NAMES:
            return cls(text, {"smoke": 0.02, "laptop": 1.0, "full": 100.0}[text])
        try:
            factor = float(text)
        except ValueError:
            factor = math.nan
        if not (math.isfinite(factor) and factor > 0):
            raise ValueError(f"unknown scale {text!r}: one of {', '.join(NAMES)}, or a positive number (1 is laptop)")
        return cls(f"{factor:g}", factor)

    def pick(self, *, smoke: float, laptop: float, full: float) -> float:
        """The size at this scale: the named one, or ``laptop`` times the number."""
        named = {"smoke": smoke, "laptop": laptop, "full": full}
        return named.get(self.name, laptop * self.factor)

    def count(self, *, smoke: int, laptop: int, full: int) -> int:
        """As :meth:`pick`, for things that are counted: a whole number, at least 1."""
        return max(1, round(self.pick(smoke=smoke, laptop=laptop, full=full)))
