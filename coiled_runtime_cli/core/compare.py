"""Two sets of runs of one test, and many such pairs: by how much they differ, how surely, and what could not be seen.

Everything happens on logarithms, where an effect is a factor and noise is nearly normal. With a and b the logarithms of the
two sets, means m, variances v and counts n:

    ratio               exp(m_b - m_a), the ratio of geometric means
    error               sqrt(v_a / n_a + v_b / n_b), the standard error of m_b - m_a
    degrees of freedom  (v_a/n_a + v_b/n_b)^2 / ((v_a/n_a)^2 / (n_a - 1) + (v_b/n_b)^2 / (n_b - 1))
    interval            exp(m_b - m_a -+ t(0.975) error), t being Student's quantile at these degrees of freedom
    p-value             2 P(T <= -|m_b - m_a| / error)
    detectable          exp((t(0.975) + t(0.8)) error) - 1, the change that so many runs show four times in five

(Welch 1947; Satterthwaite 1946; for the last, Cohen 1988, section 2.) Where runs were made in blocks, each arm once in each, what
a block has of its own (the hour, a neighbour's load) falls on both arms: then d, the differences of logarithms within blocks,
take the place of the two sets, with error sd(d) / sqrt(n) on n - 1 degrees of freedom (Student 1908).

Verdicts are adjusted for the number of tests by Benjamini and Hochberg (1995). ``report/static/stats.js`` computes the same, but
for blocks, in the browser.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.detect import q_values
from coiled_runtime_cli.core.stats import (
    Difference,
    Interval,
    exponential,
    interval_of_ratio,
    mean_and_variance,
    student_t_cdf,
    student_t_quantile,
    welch,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: How two sets are compared, and how measurements in blocks are.
WELCH, IN_BLOCKS = "Welch's t on logarithms", "Student's t on logarithms within blocks"

#: Sizes of effect that a heat map of confidence asks about, on either side: 0, 5 %, ... 80 %.
THRESHOLDS = tuple(percent / 100 for percent in range(0, 85, 5))

#: "worse" and "better" by the direction of the metric; "same": the whole interval is within the smallest effect of interest;
#: "inconclusive": neither; "few": fewer than two runs on a side.
VERDICTS = ("worse", "better", "same", "inconclusive", "few")

#: Each of VERDICTS as a person reads it.
VERDICT_WORDS = {
    "worse": "worse",
    "better": "better",
    "same": "same",
    "inconclusive": "cannot tell",
    "few": "too few runs",
}


#: How often a detectable change is seen.
_POWER = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A contender against its baseline. What too few runs cannot tell is None."""

    n: tuple[int, int]  # values that were compared
    left_out: tuple[int, int]  # values that are missing, infinite, zero or negative: they have no logarithm
    before: float | None = None  # geometric mean of the baseline
    after: float | None = None
    ratio: float | None = None  # after / before
    low: float | None = None  # of its interval, 95 % unless asked otherwise
    high: float | None = None
    error: float | None = None  # standard error of ln(ratio)
    degrees_of_freedom: float | None = None
    p_value: float | None = None  # two-sided, of no difference; not adjusted
    detectable: float | None = None  # the smallest change that would be seen four times in five: 0.12 is 12 %
    method: str = WELCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a comparison says as one of a family: one of VERDICTS, at a false discovery rate of ``q``."""

    word: str
    q: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Executions of a test in one arm, and how many of them failed, in whichever way. Skipped ones are no executions."""

    runs: int
    failed: int

    def __post_init__(self) -> None:
        if not 0 <= self.failed <= self.runs:
            raise ValueError(f"{self.failed} failures in {self.runs} runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureFinding:
    """A test that fails in one arm only, or in both.

    ``finding`` is "broken" (fails in the contender only), "mended" (in the baseline only) or "both". ``p_value``: how often
    chance alone parts as many failures so unevenly; one failure of one run says little.
    """

    finding: str
    baseline: Attempts
    contender: Attempts
    p_value: float


def comparison(baseline: Sequence[float], contender: Sequence[float], *, confidence: float = 0.95) -> Comparison:
    """Compare two sets of measurements. Any numbers may come: what is not finite and positive is counted and left out."""
    a, b = _logs(baseline), _logs(contender)
    nothing = Comparison(n=(len(a), len(b)), left_out=(len(baseline) - len(a), len(contender) - len(b)))
    if not a or not b:
        return nothing
    mean_a, mean_b = mean_and_variance(a)[0], mean_and_variance(b)[0]
    known = replace(nothing, before=exponential(mean_a), after=exponential(mean_b), ratio=exponential(mean_b - mean_a))
    if len(a) < 2 or len(b) < 2:
        return known
    return _told(known, welch(a, b), confidence)


def _told(known: Comparison, difference: Difference, confidence: float) -> Comparison:
    """With what the difference and its error say."""
    freedom = difference.degrees_of_freedom
    interval = interval_of_ratio(difference, min(known.n), confidence=confidence)
    shown = student_t_quantile(0.5 + confidence / 2, freedom) + student_t_quantile(_POWER, freedom)
    return replace(
        known,
        low=interval.low,
        high=interval.high,
        error=difference.error,
        degrees_of_freedom=freedom,
        p_value=_two_sided(difference),
        detectable=exponential(shown * difference.error) - 1,
    )


def comparison_in_blocks(
    baseline: Mapping[int, Sequence[float]], contender: Mapping[int, Sequence[float]], *, confidence: float = 0.95
) -> Comparison:
    """Compare measurements by block: the values of each block, by its number. Blocks that only one side has are left out.

    Several values of one side in a block count as their geometric mean. Any numbers may come: what is not finite and positive
    is counted and left out.
    """
    a, b = (
        {block: logs for block, values in side.items() if (logs := _logs(values))} for side in (baseline, contender)
    )
    blocks = sorted(a.keys() & b.keys())
    count = len(blocks)
    out = [
        sum(map(len, given.values())) - sum(len(known[block]) for block in blocks)
        for given, known in ((baseline, a), (contender, b))
    ]
    nothing = Comparison(n=(count, count), left_out=(out[0], out[1]), method=IN_BLOCKS)
    if not blocks:
        return nothing
    first, second = ([mean_and_variance(side[block])[0] for block in blocks] for side in (a, b))
    mean_a, mean_b = mean_and_variance(first)[0], mean_and_variance(second)[0]
    gaps = [late - early for early, late in zip(first, second, strict=True)]
    mean, variance = mean_and_variance(gaps)
    known = replace(nothing, before=exponential(mean_a), after=exponential(mean_b), ratio=exponential(mean))
    if count < 2:
        return known
    return _told(known, Difference(mean, math.sqrt(variance / count), float(count - 1)), confidence)


def confidence_beyond(compared: Comparison, threshold: float, *, up: bool) -> float | None:
    """How sure it is (0 to 1, one-sided) that the ratio is above 1 + threshold or, not ``up``, below 1 - threshold.

    None without an interval. Raises ValueError unless 0 <= threshold < 1.
    """
    if not 0 <= threshold < 1:
        raise ValueError(f"a threshold is a fraction from 0 to below 1, not {threshold}")
    if compared.ratio is None or compared.error is None or compared.degrees_of_freedom is None:
        return None
    side = 1 if up else -1
    beyond = side * (math.log(compared.ratio) - math.log1p(side * threshold))
    if compared.error == 0:
        return 1.0 if beyond > 0 else 0.0
    return student_t_cdf(beyond / compared.error, compared.degrees_of_freedom)


def verdicts(
    comparisons: Sequence[Comparison],
    *,
    better: str | Sequence[str] = "lower",
    smallest: float = 0.05,
    rate: float = 0.05,
) -> tuple[Verdict, ...]:
    """Judge a family of comparisons together: of what is called worse or better, a share of at most ``rate`` is chance.

    ``better`` is "lower" or "higher": one for all, or one for each. ``smallest`` is the smallest effect of interest, as a
    fraction: an interval from 1 - smallest to 1 + smallest is "same", however sure it is that the ratio is not exactly 1.
    """
    directions = [better] * len(comparisons) if isinstance(better, str) else list(better)
    known = [each.p_value for each in comparisons if each.p_value is not None]
    adjusted = iter(q_values(known, len(known)))
    found = []
    for each, direction in zip(comparisons, directions, strict=True):
        q = None if each.p_value is None else next(adjusted)
        found.append(Verdict(word=_word(each, q, direction, smallest, rate), q=q))
    return tuple(found)


def overall(comparisons: Sequence[Comparison], *, confidence: float = 0.95) -> Interval | None:
    """The geometric mean of the ratios with Student's interval over tests, each test counting alike; None without any.

    Where no test has an interval of its own there is none of them all: one run of each on each side tells what differs between
    two moments of a machine, and tests that agree on that agree on nothing else.
    """
    logs = [math.log(each.ratio) for each in comparisons if each.ratio is not None]
    if not logs:
        return None
    mean, variance = mean_and_variance(logs)
    if len(logs) < 2 or all(each.low is None for each in comparisons):
        return Interval(exponential(mean), None, None, len(logs))
    return interval_of_ratio(
        Difference(mean, math.sqrt(variance / len(logs)), float(len(logs) - 1)), len(logs), confidence=confidence
    )


def failures(baseline: Attempts, contender: Attempts) -> FailureFinding | None:
    """What failed where, or None if nothing did or one arm did not run at all. The p-value is Fisher's exact, two-sided."""
    failed = baseline.failed + contender.failed
    if not failed or not baseline.runs or not contender.runs:
        return None
    finding = "broken" if not baseline.failed else "mended" if not contender.failed else "both"
    ways = [
        math.comb(baseline.runs, failed - share) * math.comb(contender.runs, share)
        for share in range(max(0, failed - baseline.runs), min(failed, contender.runs) + 1)
    ]
    seen = ways[contender.failed - max(0, failed - baseline.runs)]
    p_value = sum(each for each in ways if each <= seen) / sum(ways)
    return FailureFinding(finding=finding, baseline=baseline, contender=contender, p_value=p_value)


def _logs(values: Sequence[float]) -> list[float]:
    return [math.log(each) for each in values if math.isfinite(each) and each > 0]


def _two_sided(difference: Difference) -> float:
    if difference.error == 0:
        return 1.0 if difference.value == 0 else 0.0
    return 2 * student_t_cdf(-abs(difference.value) / difference.error, difference.degrees_of_freedom)


def _word(compared: Comparison, q: float | None, better: str, smallest: float, rate: float) -> str:
    if compared.low is None or compared.high is None or compared.ratio is None or q is None:
        return "few"
    if compared.low > 1 - smallest and compared.high < 1 + smallest:
        return "same"
    if q <= rate:
        return "worse" if (compared.ratio > 1) == (better != "higher") else "better"
    return "inconclusive"
