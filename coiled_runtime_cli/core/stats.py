"""Small statistics in plain Python: quantiles of Student's t, intervals of means and of ratios of means.

Timings are compared on the logarithmic scale: effects are ratios, and run-to-run noise is closer to a normal distribution there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval; ``low`` and ``high`` are None where there is too little data for one."""

    value: float
    low: float | None
    high: float | None
    n: int  # values behind the estimate: the smaller side of a comparison that has two


def student_t_cdf(t: float, df: float) -> float:
    """P(T <= t) for Student's t with ``df`` > 0 degrees of freedom, by the incomplete beta function (DLMF 8.17.2)."""
    if math.isinf(t):
        return 1.0 if t > 0 else 0.0
    part = t * t / (df + t * t)
    if part < 0.5:  # the other form would subtract from 1 what is next to 1
        half = 0.5 * _incomplete_beta(part, 0.5, df / 2)
        return 0.5 + half if t > 0 else 0.5 - half
    tail = 0.5 * _incomplete_beta(df / (df + t * t), df / 2, 0.5)
    return 1 - tail if t > 0 else tail


def student_t_quantile(p: float, df: float) -> float:
    """The t with P(T <= t) = p, 0 < p < 1, to about 1e-10 relative, by bisection of the distribution function."""
    if not 0 < p < 1 or df <= 0:
        raise ValueError(f"needs 0 < p < 1 and df > 0, not p={p}, df={df}")
    if p < 0.5:
        return -student_t_quantile(1 - p, df)
    low, high = 0.0, 1.0
    while student_t_cdf(high, df) < p:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if high - low <= 1e-12 * max(1.0, high):
            break
        if student_t_cdf(middle, df) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22), modified Lentz method."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges quickly below this point only (DLMF 8.17.22, 8.17.4)
        return 1 - _incomplete_beta(1 - x, b, a)
    tiny = 1e-300
    front = math.exp(a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)) / a
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1), tiny)
    fraction = d
    for m in range(1, 500):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_zero(1 + numerator * d, tiny)
            c = _away_from_zero(1 + numerator / c, tiny)
            step = c * d
            fraction *= step
        if abs(step - 1) < 1e-15:
            break
    return front * fraction


def _away_from_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny


def _mean_and_variance(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, math.nan
    return mean, math.fsum((each - mean) ** 2 for each in values) / (len(values) - 1)


def ratio_of_means(baseline: Sequence[float], contender: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Geometric mean of ``contender`` over that of ``baseline``, with Welch's interval on logarithms (Welch 1947).

    Values are positive; others raise ValueError, as do empty sides. With one value on one side its variance is taken to be the
    other side's (a prediction interval); with fewer than three values in all there is no interval.
    """
    if not baseline or not contender or min(*baseline, *contender, math.inf) <= 0:
        raise ValueError("a ratio needs positive values on both sides")
    mean_a, var_a = _mean_and_variance([math.log(each) for each in baseline])
    mean_b, var_b = _mean_and_variance([math.log(each) for each in contender])
    n_a, n_b = len(baseline), len(contender)
    difference, n = mean_b - mean_a, min(n_a, n_b)
    if n_a + n_b < 3:
        return Interval(math.exp(difference), None, None, n)
    if n_a == 1 or n_b == 1:
        variance = var_a if n_b == 1 else var_b
        error, df = math.sqrt(variance * (1 / n_a + 1 / n_b)), float(max(n_a, n_b) - 1)
    else:
        part_a, part_b = var_a / n_a, var_b / n_b
        error = math.sqrt(part_a + part_b)
        # Satterthwaite's approximation of the degrees of freedom
        spread = part_a**2 / (n_a - 1) + part_b**2 / (n_b - 1)
        df = (part_a + part_b) ** 2 / spread if spread > 0 else float(n_a + n_b - 2)
    half = student_t_quantile(0.5 + confidence / 2, df) * error
    return Interval(math.exp(difference), math.exp(difference - half), math.exp(difference + half), n)


def relative_half_width(values: Sequence[float], *, confidence: float = 0.95) -> float:
    """Half the width of the interval of the geometric mean, relative to it (0.05: plus or minus 5 %); infinite below two values.

    Values are positive; others raise ValueError.
    """
    if any(each <= 0 for each in values):
        raise ValueError("needs positive values")
    if len(values) < 2:
        return math.inf
    _, variance = _mean_and_variance([math.log(each) for each in values])
    half = student_t_quantile(0.5 + confidence / 2, len(values) - 1) * math.sqrt(variance / len(values))
    return math.expm1(half)
