"""How many runs it takes to see an effect, and what so many runs can see.

For two arms of n runs each, with run-to-run noise s (standard deviation of logarithms), the ratio of geometric means has the
standard error s sqrt(2 / n). An effect e is seen with probability ``power`` at the two-sided level ``rate`` where
ln(1 + e) >= (t(1 - rate / 2) + t(power)) s sqrt(2 / n), t being Student's quantiles at 2 n - 2 degrees of freedom
(Cohen 1988, section 2). It is the same formula as ``detectable`` of ``compare.py``, the other way round.
"""

from __future__ import annotations

import math

from coiled_runtime_cli.core.stats import student_t_quantile

#: More runs than anybody will make, and the fewest that are advised: of two, a t-test knows next to nothing of the noise.
MOST, LEAST = 10_000, 3


def detectable(noise: float, runs: int, *, rate: float = 0.05, power: float = 0.8) -> float:
    """The smallest relative change that ``runs`` an arm show with probability ``power``; infinite below LEAST.

    ``noise`` is the standard deviation of logarithms from run to run.
    """
    if runs < LEAST:
        return math.inf
    freedom = 2.0 * runs - 2
    quantiles = student_t_quantile(1 - rate / 2, freedom) + student_t_quantile(power, freedom)
    return math.expm1(min(quantiles * noise * math.sqrt(2 / runs), 700.0))


def runs_per_arm(noise: float, effect: float, *, rate: float = 0.05, power: float = 0.8) -> int | None:
    """Fewest runs an arm (LEAST or more) that show ``effect`` with probability ``power``; None where it is more than MOST."""
    if detectable(noise, MOST, rate=rate, power=power) > effect:
        return None
    low, high = LEAST - 1, LEAST  # the first does not suffice, the second may
    while detectable(noise, high, rate=rate, power=power) > effect:
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        if detectable(noise, middle, rate=rate, power=power) > effect:
            low = middle
        else:
            high = middle
    return high
