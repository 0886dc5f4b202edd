"""Is a suspected change real? Fresh runs of before and after, interleaved, decide it as they come in.

After 3, 5, 8 and 12 pairs the two are compared (Welch on logarithms), each look with its share of the error rate (Bonferroni),
so that the verdict may be taken as soon as it is clear:

    confirmed     the difference is sure, has the direction that was suspected, and at least half of its size
    noise         the interval ends below half of what was suspected
    inconclusive  neither, after the last look
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.compare import Comparison, comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Pairs after which is looked, and the error rate of all looks together.
LOOKS, RATE = (3, 5, 8, 12), 0.002

VERDICTS = ("confirmed", "noise", "inconclusive")


@dataclass(frozen=True, slots=True)
class Confirmation:
    """``word`` is one of VERDICTS, or None as long as more runs may decide."""

    word: str | None
    compared: Comparison


def confirm(
    before: Sequence[float], after: Sequence[float], suspected: float, *, looks: Sequence[int] = LOOKS
) -> Confirmation:
    """What fresh runs say of a suspected ratio (after over before: 1.1 for 10 % more). Call it at each of the ``looks``.

    Raises ValueError for a ratio that is not positive, or is 1.
    """
    if not suspected > 0 or suspected == 1:
        raise ValueError(f"a suspected change is a ratio above 0 that is not 1, not {suspected}")
    compared = comparison(before, after, confidence=1 - RATE / len(looks))
    last = min(len(before), len(after)) >= looks[-1]
    rest = Confirmation("inconclusive" if last else None, compared)
    if compared.ratio is None or compared.low is None or compared.high is None or compared.p_value is None:
        return rest
    side = 1 if suspected > 1 else -1
    half = side * math.log(suspected) / 2
    shift = side * math.log(compared.ratio)
    nearest, farthest = sorted((side * math.log(compared.low), side * math.log(compared.high)))
    if compared.p_value <= RATE / len(looks) and nearest > 0 and shift >= half:
        return Confirmation("confirmed", compared)
    if farthest < half:
        return Confirmation("noise", compared)
    return rest
