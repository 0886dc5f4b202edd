"""By how much levels of two sides differ: in logarithms, in standard errors, and as an effect. Outliers count for nothing.

Values are logarithms; ``noise`` is their standard deviation around a level.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from coiled_runtime_cli.core.bisection import Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def rise(before: Sequence[float], after: Sequence[float], noise: float) -> float:
    """By how much the level after is above that before."""
    return _rise(_sides(before, after, noise))


def apart(before: Sequence[float], after: Sequence[float], noise: float) -> float:
    """By how many standard errors they differ."""
    sides = _sides(before, after, noise)
    return abs(_rise(sides)) / (noise * math.sqrt(sum(1 / len(each) for each in sides)))


def effect(before: Sequence[float], after: Sequence[float], noise: float) -> Effect | None:
    """From a normal approximation on logarithms; None where one side has no values."""
    if not before or not after:
        return None
    sides = _sides(before, after, noise)
    shift = _rise(sides)
    error = 1.96 * noise * math.sqrt(sum(1 / len(each) for each in sides))
    return Effect(ratio=math.exp(shift), low=math.exp(shift - error), high=math.exp(shift + error))


def _sides(before: Sequence[float], after: Sequence[float], noise: float) -> list[Floats]:
    return [_without_outliers(each, noise) for each in (before, after)]


def _rise(sides: Sequence[Floats]) -> float:
    return float(sides[1].mean() - sides[0].mean())


def _without_outliers(logs: Sequence[float], noise: float) -> Floats:
    values = np.array(logs)
    kept: Floats = values[np.abs(values - np.median(values)) <= 3.5 * noise]
    return kept if len(kept) else values
