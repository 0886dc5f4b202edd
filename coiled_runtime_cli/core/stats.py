"""Small statistics in plain Python: quantiles of Student's t, intervals of means and of ratios of means.

Timings are compared on the logarithmic scale: effects are ratios, and run-to-run noise is closer to a normal distribution there.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SMALLEST_LOG, _LARGEST_LOG = math.log(sys.float_info.min), math.log(sys.float_info.max)


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
    if t * t * (df + 2) < 3 * df:  # near the middle; a tail by this form would subtract from 1/2 what is next to it
        half = 0.5 * _incomplete_beta(t * t / (df + t * t), 0.5, df / 2)
        return 0.5 + half if t > 0 else 0.5 - half
    tail = 0.5 * _incomplete_beta(df / (df + t * t), df / 2, 0.5)
    return 1 - tail if t > 0 else tail


def student_t_quantile(p: float, df: float) -> float:
    """The t with P(T <= t) = p, 0 < p < 1, to about 1e-12 relative, by Newton's method on the tail.

    The tail is convex and heavier than the normal one, so that the steps from the normal quantile never go too far.
    """
    if not 0 < p < 1 or not df > 0:
        raise ValueError(f"needs 0 < p < 1 and df > 0, not p={p}, df={df}")
    tail = min(p, 1 - p)
    t = -NormalDist().inv_cdf(tail)
    scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    for _ in range(200):
        step = (student_t_cdf(-t, df) - tail) * math.exp((df + 1) / 2 * math.log1p(t * t / df) - scale)
        t += step
        if abs(step) <= 1e-13 * t:
            break
    return t if p > 0.5 else -t


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


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two means: ``value`` is the second less the first, ``error`` its standard error, on Welch's degrees of freedom."""

    value: float
    error: float
    degrees_of_freedom: float


def mean_and_variance(values: Sequence[float]) -> tuple[float, float]:
    """Mean and unbiased variance of one value or more; the variance of one is NaN, of equal ones exactly 0."""
    if min(values) == max(values):
        return values[0], math.nan if len(values) < 2 else 0.0
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((each - mean) ** 2 for each in values) / (len(values) - 1)


def welch(first: Sequence[float], second: Sequence[float]) -> Difference:
    """How two means differ where variances may too (Welch 1947; degrees of freedom by Satterthwaite 1946).

    Each side has two values or more; fewer raise ValueError.
    """
    if len(first) < 2 or len(second) < 2:
        raise ValueError("a difference with its error needs two values on either side")
    mean_a, var_a = mean_and_variance(first)
    mean_b, var_b = mean_and_variance(second)
    part_a, part_b = var_a / len(first), var_b / len(second)
    spread = part_a**2 / (len(first) - 1) + part_b**2 / (len(second) - 1)
    freedom = (part_a + part_b) ** 2 / spread if spread > 0 else float(len(first) + len(second) - 2)
    return Difference(mean_b - mean_a, math.sqrt(part_a + part_b), freedom)


def exponential(log: float) -> float:
    """The number whose logarithm it is, or the nearest that there is: neither an overflow nor zero."""
    return math.exp(min(max(log, _SMALLEST_LOG), _LARGEST_LOG))


def ratio_of_means(baseline: Sequence[float], contender: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Geometric mean of ``contender`` over that of ``baseline``, with Welch's interval on logarithms.

    Values are positive; others raise ValueError, as do empty sides. With one value on one side its variance is taken to be the
    other side's (a prediction interval); with fewer than three values in all there is no interval.
    """
    if not baseline or not contender or min(*baseline, *contender, math.inf) <= 0:
        raise ValueError("a ratio needs positive values on both sides")
    logs_a, logs_b = [math.log(each) for each in baseline], [math.log(each) for each in contender]
    n_a, n_b = len(baseline), len(contender)
    if n_a > 1 and n_b > 1:
        difference = welch(logs_a, logs_b)
    else:
        (mean_a, var_a), (mean_b, var_b) = mean_and_variance(logs_a), mean_and_variance(logs_b)
        if n_a + n_b < 3:
            return Interval(exponential(mean_b - mean_a), None, None, 1)
        error = math.sqrt((var_a if n_b == 1 else var_b) * (1 / n_a + 1 / n_b))
        difference = Difference(mean_b - mean_a, error, float(max(n_a, n_b) - 1))
    return interval_of_ratio(difference, min(n_a, n_b), confidence=confidence)


def interval_of_ratio(difference: Difference, n: int, *, confidence: float = 0.95) -> Interval:
    """A difference of logarithms as a ratio with its interval."""
    half = student_t_quantile(0.5 + confidence / 2, difference.degrees_of_freedom) * difference.error
    low, high = exponential(difference.value - half), exponential(difference.value + half)
    return Interval(exponential(difference.value), low, high, n)


def relative_half_width(values: Sequence[float], *, confidence: float = 0.95) -> float:
    """Half the width of the interval of the geometric mean, relative to it (0.05: plus or minus 5 %); infinite below two values.

    Values are positive; others raise ValueError.
    """
    if any(each <= 0 for each in values):
        raise ValueError("needs positive values")
    if len(values) < 2:
        return math.inf
    _, variance = mean_and_variance([math.log(each) for each in values])
    half = student_t_quantile(0.5 + confidence / 2, len(values) - 1) * math.sqrt(variance / len(values))
    return math.expm1(half)
