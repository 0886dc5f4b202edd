"""Steps in series of measurements: where a level changed, by how much, and how surely.

For each series: logarithms; values clipped to the running median (11 points) +- 2 robust standard deviations, so that a few
outliers cannot make a level; the least-squares partition with a penalty per segment (Yao 1988; Killick, Fearnhead and Eckley
2012 for the recursion), exact up to 512 points and on bins beyond; then levels dropped that last six
runs or fewer and lead back to where they came from; then changes pruned, weakest first, that a t-test on effective sample
sizes does not support, that are too small to matter, or that a straight line explains better than a step.

The recursion runs over many series at once: what it costs is arithmetic, not the interpreter.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from coiled_runtime_cli.core.stats import student_t_cdf, student_t_quantile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Fewest runs of a level, and of a series that is searched at all.
SHORTEST, FEWEST = 4, 8

#: Fewest bins of a level, where runs are averaged.
_SHORTEST_BINS = 2

#: Penalty per change, in variances of the noise, beside ln n and the autocorrelation.
_PENALTY = 4.0

#: Points that the exact recursion takes; longer series are averaged to at most half as many bins first.
_EXACT = 512

#: Series that go through the recursion together: their arrays have to stay in the processor's cache.
_TOGETHER = 64

#: A level that lasts no longer between two that are alike is a burst: five runs, and one that chance has added.
_BURST = 6

#: Noise below this share of a value is taken for it: counts and sizes repeat exactly.
_QUIETEST = 1e-4

#: Share of a series' runs that its noise lends as degrees of freedom to the variance of one segment: what a median absolute
#: deviation is worth beside a standard deviation (Rousseeuw and Croux 1993).
_LENT = 0.37


#: Share of differences that tell noise of modes, the mean of so many of the smallest squares of a standard normal, and how much
#: rougher than its middle a series is that jumps between modes.
_CALM, _CALM_SQUARE, _JUMPY = 0.85, 0.5206, 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A step between two levels. ``before`` and ``after`` are geometric means of the clipped runs, in their unit."""

    index: int  # of the first run after it
    previous: int  # of the last run before it that has a usable value
    before: float
    after: float
    ratio: float  # after / before
    low: float  # of the 95 % interval of the ratio
    high: float
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """The median of the runs ``start`` to ``stop`` (exclusive), with its distribution-free 95 % interval from 6 runs on."""

    start: int
    stop: int
    median: float
    low: float | None
    high: float | None


def find_changes(
    series: Sequence[Floats], *, min_effect: float | Sequence[float] = 0.03, p_value: float = 1e-5
) -> list[tuple[Change, ...]]:
    """The changes of each series, in order of time.

    Each is a 1-d array of measurements by time; what is not finite and positive is left out, and indexes refer to the array
    as it is given. ``min_effect`` is the smallest change that counts, as a fraction: one for all, or one for each. A series
    has the changes that it has alone, whichever others are searched with it.

    Of series of 365 runs without a change at most 0.5 % are alarmed, be the noise normal, lognormal, of two modes 8 % apart,
    with 3 % of outliers, or of autocorrelation 0.7; of autocorrelated ones of 30 to 60 runs, which tell less of their noise,
    4 %; of series of two values only, at random, 1 %. Steps of 10 % in noise of 3 % are found to two runs in 50 % of series
    4 runs later, in 90 % 8 runs later.
    """
    effects = [min_effect] * len(series) if isinstance(min_effect, (int, float)) else list(min_effect)
    found: list[tuple[Change, ...]] = [()] * len(series)
    prepared: list[_Prepared] = []
    for number, (values, effect) in enumerate(zip(series, effects, strict=True)):
        usable = np.flatnonzero(np.isfinite(values) & (values > 0))
        if len(usable) >= FEWEST:
            logs = np.log(values[usable] if len(usable) < len(values) else values)
            if logs.min() < logs.max():
                prepared.append(_prepare(number, usable, logs, effect))
    prepared.sort(key=lambda each: (each.bin > 1, len(each.points)))
    for block in _blocks(prepared):
        for each, breaks in zip(block, _partitions(block), strict=True):
            if breaks:
                found[each.number] = _supported(each, _refined(each, breaks), p_value)
    return found


def _blocks(prepared: Sequence[_Prepared]) -> Iterator[list[_Prepared]]:
    """Neighbours of nearly one length. What is binned stays apart: its shortest level is another."""
    for _, alike in itertools.groupby(prepared, key=lambda each: each.bin > 1):
        while block := list(itertools.islice(alike, _TOGETHER)):
            yield block


def levels(values: Floats, changes: Sequence[Change]) -> tuple[Level, ...]:
    """The levels between the changes of a series; not finite values are left out, an empty level is absent."""
    edges = [0, *(change.index for change in changes), len(values)]
    found = []
    for start, stop in itertools.pairwise(edges):
        part = values[start:stop]
        part = np.sort(part[np.isfinite(part)])
        if len(part):
            low, high = _median_ranks(len(part))
            found.append(
                Level(
                    start=start,
                    stop=stop,
                    median=float((part[(len(part) - 1) // 2] + part[len(part) // 2]) / 2),
                    low=None if low is None else float(part[low]),
                    high=None if high is None else float(part[high]),
                )
            )
    return tuple(found)


@lru_cache(maxsize=4096)
def _median_ranks(n: int) -> tuple[int | None, int | None]:
    """Places (from 0) of the order statistics that hold the median with at least 95 % (Conover 1999, section 3.2)."""
    if n < 6:
        return None, None
    if n > 200:  # the normal approximation of the binomial is exact to a place
        low = math.floor(n / 2 - 1.96 * math.sqrt(n) / 2)
        return max(0, low - 1), min(n - 1, n - low)
    total, low = 0.0, -1
    for k in range(n):
        total += math.comb(n, k) / 2.0**n
        if total > 0.025:
            break
        low = k
    return low, n - 1 - low


@dataclass(slots=True)
class _Prepared:
    """A series on its way: ``clipped`` logs by run, and the ``points`` of the recursion: the same, or means of ``bin`` runs."""

    number: int
    usable: NDArray[np.int64]
    clipped: Floats
    noise: float
    persistence: float  # lag-1 autocorrelation of the noise
    effect: float
    points: Floats
    bin: int
    penalty: float


def _prepare(number: int, usable: NDArray[np.int64], logs: Floats, effect: float) -> _Prepared:
    n = len(logs)
    running = _running_median(logs)
    grain = _grain(logs, running)
    clipped = _clipped(logs, running, grain)
    noise, persistence = _noise(logs, grain)
    size = 1 if n <= _EXACT else -(-2 * n // _EXACT)
    points, point_noise, point_persistence = clipped, noise, persistence
    if size > 1:
        first = n % size  # the oldest runs that fill no bin are left to the refinement
        points = np.add.reduce(clipped[first:].reshape(-1, size), axis=1) / size
        point_noise, point_persistence = _noise(points, _grain(points, _running_median(points)))
    return _Prepared(
        number=number,
        usable=usable,
        clipped=clipped,
        noise=noise,
        persistence=persistence,
        effect=effect,
        points=points - np.add.reduce(points) / len(points),  # sums of squares near zero keep their digits
        bin=size,
        penalty=_penalty(len(points), point_noise, point_persistence),
    )


def _penalty(n: int, noise: float, persistence: float) -> float:
    return _PENALTY * math.log(n) * (1 + persistence) / (1 - persistence) * noise**2


def _grain(logs: Floats, running: Floats) -> float:
    """Noise that a median absolute deviation does not see: of values that often repeat exactly, or jump between modes; else 0.

    More than half of all values can be equal (counts, sizes, ticks of a clock), or of one mode, and their deviation says
    nothing of the rest. So noise is what neighbours differ by (von Neumann 1941): of what repeats, without the largest 2 % of
    differences, which may be steps; of what jumps, without the largest 15 %, which may be outliers, and only where it is far
    more than the median absolute deviation from the running median says.
    """
    differences = np.abs(logs[1:] - logs[:-1])
    ordered = np.sort(differences)
    if np.count_nonzero(differences) <= 0.75 * len(differences):
        kept = ordered[: len(differences) - 1 - len(differences) // 50]
        return math.sqrt(float(kept @ kept) / len(kept) / 2)
    kept = ordered[: math.ceil(_CALM * len(differences))]
    rough = math.sqrt(float(kept @ kept) / len(kept) / 2 / _CALM_SQUARE)
    return rough if rough > _JUMPY * _robust_sd(logs - running) else 0.0


def _running_median(logs: Floats) -> Floats:
    """Over 11 runs, the ends mirrored."""
    padded = np.concatenate((logs[4::-1], logs, logs[:-6:-1]))
    windows = np.ndarray((len(logs), 11), padded.dtype, padded, strides=padded.strides * 2).copy()
    windows.partition(5, axis=1)
    running: Floats = windows[:, 5]
    return running


def _clipped(logs: Floats, running: Floats, grain: float) -> Floats:
    spread = 2 * max(_robust_sd(logs - running), grain)
    clipped: Floats = np.minimum(np.maximum(logs, running - spread), running + spread)
    return clipped


def _robust_sd(residuals: Floats) -> float:
    size = np.abs(residuals)
    middle = len(size) // 2
    size.partition(middle)
    return 1.4826 * float(size[middle])


def noise_of(logs: Floats) -> tuple[float, float]:
    """Standard deviation and lag-1 autocorrelation (0 to 0.9) of the noise in logarithms, steps among them or not.

    The autocorrelation of fewer than 10 values is 0.
    """
    return _noise(logs, _grain(logs, _running_median(logs)))


def _noise(logs: Floats, grain: float) -> tuple[float, float]:
    """Standard deviation and lag-1 autocorrelation of the noise, within blocks: the few that hold a step do not count.

    The autocorrelation is the median over blocks, corrected for its bias in short ones (Marriott and Pope 1954), and taken
    only as far as it exceeds its own standard error.
    """
    n = len(logs)
    size = min(n, max(10, min(40, n // 4)))
    blocks = logs[n % size :].reshape(-1, size)
    middle = size // 2
    ordered = blocks.copy()
    ordered.partition(middle, axis=1)
    residuals = blocks - ordered[:, middle : middle + 1]
    within = max(_robust_sd(residuals.ravel()), grain)
    if within <= _QUIETEST:
        return max(within, _QUIETEST), 0.0
    np.maximum(residuals, -3 * within, out=residuals)
    np.minimum(residuals, 3 * within, out=residuals)
    residuals -= np.add.reduce(residuals, axis=1, keepdims=True) / size
    total = np.add.reduce(residuals * residuals, axis=1)
    total[total == 0] = 1.0
    alike = np.sort(np.add.reduce(residuals[:, 1:] * residuals[:, :-1], axis=1) / total)
    median = float(alike[(len(alike) - 1) // 2] + alike[len(alike) // 2]) / 2
    rho = (median + 1 / size) / (1 - 3 / size) - 1 / math.sqrt(n)
    return within, min(max(rho, 0.0), 0.9)


def _partitions(block: Sequence[_Prepared]) -> list[list[int]]:
    """The breaks of each series: indexes of first points, by the recursion over all of them at once.

    F(t) = min over s of F(s) + cost(s, t) + penalty, where cost is the sum of squares about the mean of points s to t.
    """
    rows, longest = len(block), max(len(each.points) for each in block)
    least = SHORTEST if block[0].bin == 1 else _SHORTEST_BINS
    sums = np.zeros((rows, longest + 1))
    best = np.full((rows, longest + 1), np.inf)  # F less the sum of squares up to there
    squares = np.zeros((rows, longest + 1))
    penalties = np.array([each.penalty for each in block])
    for row, each in enumerate(block):
        n = len(each.points)
        np.cumsum(each.points, out=sums[row, 1 : n + 1])
        np.cumsum(each.points**2, out=squares[row, 1 : n + 1])
    best[:, 0] = -penalties
    origin = np.zeros((rows, longest + 1), np.int32)
    scratch = np.empty(rows * (longest + 1))
    inverse = 1.0 / np.arange(longest + 1, 0, -1)  # 1 / (t - s) for s = 0, 1, ... is its tail
    every = np.arange(rows)
    for t in range(least, longest + 1):
        stop = t - least + 1
        gap = scratch[: rows * stop].reshape(rows, stop)  # without gaps between rows argmin copies nothing
        np.subtract(sums[:, t, None], sums[:, :stop], out=gap)
        np.multiply(gap, gap, out=gap)
        np.multiply(gap, inverse[longest + 1 - t : longest + 1 - t + stop], out=gap)
        np.subtract(best[:, :stop], gap, out=gap)
        start = gap.argmin(axis=1)
        origin[:, t] = start
        best[:, t] = gap[every, start] + penalties
    breaks: list[list[int]] = []
    for row, each in enumerate(block):
        t, found = len(each.points), []
        while t > 0:
            t = int(origin[row, t])
            if t > 0:
                found.append(t)
        breaks.append(found[::-1])
    return breaks


def _refined(each: _Prepared, breaks: list[int]) -> list[int]:
    """Breaks as indexes of runs; those of binned series at the run where both sides fit best."""
    if each.bin == 1:
        return breaks
    n = len(each.clipped)
    sums = np.concatenate(([0.0], np.cumsum(each.clipped - each.clipped.mean())))
    rough = [0, *(n % each.bin + place * each.bin for place in breaks), n]
    exact = [0]
    for place, right in itertools.pairwise(rough[1:]):
        found = _best_split(sums, exact[-1], right, place - 2 * each.bin, place + 2 * each.bin)
        if found is not None:
            exact.append(found[0])
    # a step within a bin can look like two, with a level of a few bins between
    penalty = _penalty(n, each.noise, each.persistence)
    kept = [0]
    for place, right in itertools.pairwise([*exact[1:], n]):
        if len(kept) > 1 and place - kept[-1] <= 3 * each.bin:
            left, middle = kept[-2:]
            one = _best_split(sums, left, right, middle - each.bin, place + each.bin)
            two = sum(_explained(sums, *span) for span in ((left, middle), (middle, place), (place, right)))
            if one is not None and two - one[1] < penalty:
                kept[-1] = one[0]
                continue
        kept.append(place)
    return kept[1:]


def _explained(sums: Floats, start: int, stop: int) -> float:
    """How much of the sum of squares a level from ``start`` to ``stop`` accounts for."""
    return float(sums[stop] - sums[start]) ** 2 / (stop - start)


def _best_split(sums: Floats, left: int, right: int, first: int, last: int) -> tuple[int, float] | None:
    """Where between ``first`` and ``last`` two levels fit best, and what they explain; None where there is no room."""
    splits = np.arange(max(left + SHORTEST, first), min(right - SHORTEST, last) + 1)
    if not len(splits):
        return None
    gains = (sums[splits] - sums[left]) ** 2 / (splits - left) + (sums[right] - sums[splits]) ** 2 / (right - splits)
    best = int(gains.argmax())
    return int(splits[best]), float(gains[best])


def _supported(each: _Prepared, breaks: list[int], p_value: float) -> tuple[Change, ...]:
    """Prune bursts, then the weakest change until all that are left are sure, large enough and steps."""
    known: dict[tuple[int, int, int], _Step] = {}
    breaks = list(breaks)
    while breaks:
        edges = [0, *breaks, len(each.clipped)]
        burst = _burst(each, edges)
        if burst is not None:
            del breaks[burst : burst + 2]
            continue
        spans = list(zip(edges[:-2], edges[1:-1], edges[2:], strict=True))
        for span in spans:
            if span not in known:
                known[span] = _step(each, *span, p_value)
        weakest = min(range(len(spans)), key=lambda place: known[spans[place]].weight)
        if known[spans[weakest]].weight > 0:
            return tuple(_change(each, known[span]) for span in spans)
        del breaks[weakest]
    return ()


def _burst(each: _Prepared, edges: list[int]) -> int | None:
    """The number of the first break of a short level between two that are alike, as far as noise lets one tell."""
    for place, (start, first, second, stop) in enumerate(zip(edges, edges[1:], edges[2:], edges[3:], strict=False)):
        if second - first <= _BURST:
            shift = float(each.clipped[second:stop].mean() - each.clipped[start:first].mean())
            error = each.noise * math.sqrt((1 / (first - start) + 1 / (stop - second)) / _worth(each))
            if abs(shift) < max(math.log1p(each.effect), 2 * error):
                return place
    return None


def _worth(each: _Prepared) -> float:
    """What a run tells, of one that does not resemble the run before it."""
    return (1 - each.persistence) / (1 + each.persistence)


@dataclass(slots=True)
class _Step:
    middle: int
    before: float  # means of logs
    after: float
    spread: float  # standard error of their difference
    freedom: float
    p_value: float
    weight: float  # how many standard errors it is worth; not above zero: not to be kept


def _step(each: _Prepared, start: int, middle: int, stop: int, p_value: float) -> _Step:
    left, right = each.clipped[start:middle], each.clipped[middle:stop]
    worth = _worth(each)
    lent = _LENT * len(each.clipped) * worth
    parts = []
    for part in (left, right):
        freedom = max(len(part) * worth - 1, 0.0)
        variance = max(float(part.var(ddof=1)), _QUIETEST**2)
        shared = (freedom * variance + lent * each.noise**2) / (freedom + lent)
        parts.append((shared / max(len(part) * worth, 1.0), freedom + lent))
    spread = math.sqrt(parts[0][0] + parts[1][0])
    freedom = spread**4 / sum(share**2 / df for share, df in parts)
    before, after = float(left.mean()), float(right.mean())
    size = abs(after - before) / spread
    # no number of degrees of freedom makes less than this many standard errors sure enough; the tail costs time
    p = 1.0 if size < _normal_quantile(p_value) else 2 * student_t_cdf(-size, freedom)
    small = abs(after - before) < math.log1p(each.effect)  # by the same factor up and down: 1.03, 1 / 1.03
    kept = p <= p_value and not small and not _is_drift(left, right)
    weight = size if kept else size - 1e9 if p > p_value else -1 / (1 + size)
    return _Step(middle, before, after, spread, freedom, p, weight)


def _change(each: _Prepared, step: _Step) -> Change:
    shift = step.after - step.before
    half = _quantile(round(step.freedom, 1) if step.freedom < 50 else float(round(step.freedom))) * step.spread
    return Change(
        index=int(each.usable[step.middle]),
        previous=int(each.usable[step.middle - 1]),
        before=math.exp(step.before),
        after=math.exp(step.after),
        ratio=math.exp(shift),
        low=math.exp(shift - half),
        high=math.exp(shift + half),
        p_value=step.p_value,
    )


@lru_cache(maxsize=16)
def _normal_quantile(p_value: float) -> float:
    """The z that a standard normal exceeds on either side with probability ``p_value``."""
    return NormalDist().inv_cdf(1 - p_value / 2)


@lru_cache(maxsize=4096)
def _quantile(freedom: float) -> float:
    return student_t_quantile(0.975, freedom)


def _is_drift(left: Floats, right: Floats) -> bool:
    """Whether a straight line through both levels leaves less than the step does."""
    both = np.concatenate((left, right))
    time = np.arange(len(both)) - (len(both) - 1) / 2
    slope = float(time @ both) / float(time @ time)
    line = both - both.mean() - slope * time
    step = float(((left - left.mean()) ** 2).sum() + ((right - right.mean()) ** 2).sum())
    return float(line @ line) < step
