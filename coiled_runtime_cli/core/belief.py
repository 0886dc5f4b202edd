"""Where in a line of candidates a change is, given noisy measurements of some of them.

Candidates are 0 to N; candidate 0 is before the change and N after it, which came with one candidate c of 1 to N that nobody
knows. The logarithm y of the t-th measurement, of candidate k, lies around one of two levels, and is now and then an outlier:

    y - b t ~ 0.93 Normal(m, s) + 0.07 Normal(m, max(0.6, 8 s)),  m = m0 for k < c, m1 for k >= c
    ln s ~ Normal(ln 0.05, 0.9), m0 and m1 flat; the drift b is 0 with probability 0.8, else up to 1 % a run either way

Levels, noise and drift are never estimated and put in: they are summed over on a grid, which is what keeps the stated
probability honest where runs are few. For a given c everything left of it tells of m0 and everything right of it of m1, so that
the two sums are independent; and between two measured candidates the measurements favour no c, so that an update costs what
the runs cost, however many candidates there are. (Bayesian search with noisy answers: Waeber, Frazier and Henderson 2013.)
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Share of outliers, and how far they spread: at least so much, or so many times the noise.
_OUTLIERS, _WIDE, _WIDER = 0.07, 0.6, 8.0

#: Prior of ln s: centre and standard deviation.
_USUAL, _USUAL_SPREAD = math.log(0.05), 0.9

#: Points of the grid: for either level, within so many standard errors of its centre; and for the noise.
_LEVELS, _REACH, _SCALES = 21, 4.5, 9

#: Drifts that are tried, in ln units a run, and their prior weights.
DRIFTS = (0.0, -0.01, -0.005, -0.0025, 0.0025, 0.005, 0.01)
_DRIFT_WEIGHTS = (0.8, *(0.2 / 6,) * 6)

#: Probability from which on the level of a candidate is beyond doubt.
_SURE = 1e-3

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


class Belief:
    """``prior`` are weights of c = 1 to N, in any scale; by default all are alike. Raises ValueError where they are none."""

    def __init__(self, last: int, prior: Sequence[float] | None = None) -> None:
        if last < 1:
            raise ValueError("a change needs a candidate before it and one after it")
        weights = np.ones(last) if prior is None else np.array(prior, float)
        if len(weights) != last or not np.all(np.isfinite(weights)) or np.any(weights < 0) or not weights.sum() > 0:
            raise ValueError(f"{last} weights are wanted, none of them negative, and not all of them 0")
        self.last = last
        self._prior = weights / weights.sum()
        self._logs: list[float] = []
        self._places: list[int] = []
        self._after: Floats | None = (
            None  # P(c <= k) as it was at the last update: it says where grids have their centres
        )
        self._posterior: Floats | None = None
        self._levels = (math.nan, math.nan)
        self._noise = math.exp(_USUAL)
        self._drift = 0.0

    def add(self, candidate: int, logs: Sequence[float]) -> None:
        """Measurements of a candidate (0 to N) as logarithms, in the order in which they were made."""
        if not 0 <= candidate <= self.last:
            raise ValueError(f"candidate {candidate} of 0 to {self.last}")
        self._logs += logs
        self._places += [candidate] * len(logs)
        self._posterior = None

    @property
    def runs(self) -> int:
        return len(self._logs)

    def count(self, candidate: int) -> int:
        return self._places.count(candidate)

    def values(self, candidate: int) -> list[float]:
        return [log for log, place in zip(self._logs, self._places, strict=True) if place == candidate]

    def posterior(self) -> Floats:
        """P(c = k) for k = 1 to N, an array of length N. Raises ValueError before both ends have been measured."""
        if self._posterior is None:
            self._posterior = self._updated()
            self._after = np.minimum(np.concatenate(([0.0], np.cumsum(self._posterior))), 1.0)
        return self._posterior

    def after(self) -> Floats:
        """P(c <= k), that a candidate is after the change, for k = 0 to N."""
        self.posterior()
        assert self._after is not None
        return self._after

    @property
    def levels(self) -> tuple[float, float]:
        """The levels before and after, as logarithms at the middle of all runs."""
        self.posterior()
        return self._levels

    @property
    def noise(self) -> float:
        """Standard deviation of a logarithm around its level."""
        self.posterior()
        return self._noise

    @property
    def drift(self) -> float:
        """By how much a logarithm grows from one run to the next."""
        self.posterior()
        return self._drift

    def sure(self) -> tuple[list[int], list[int]]:
        """Measured candidates that are beyond doubt before the change, and after it: the ends at least."""
        places = sorted(set(self._places))
        known = self._after
        before = [each for each in places if each == 0 or (known is not None and known[each] < _SURE)]
        after = [each for each in places if each == self.last or (known is not None and known[each] > 1 - _SURE)]
        return [each for each in before if each != self.last], [each for each in after if each != 0]

    def _updated(self) -> Floats:
        places = np.array(self._places)
        if not (places == 0).any() or not (places == self.last).any():
            raise ValueError("both ends have to be measured first")
        distinct = sorted(set(self._places))
        # relative to the middle of all runs: a drift that is tried moves the levels little
        time = np.arange(len(places)) - (len(places) - 1) / 2
        logs = np.array(self._logs)
        sides = [np.isin(places, side) for side in self.sure()]
        gap_prior = np.array([float(self._prior[start:stop].sum()) for start, stop in itertools.pairwise(distinct)])
        with np.errstate(divide="ignore"):
            log_gap_prior, log_prior = np.log(gap_prior), np.log(self._prior)
        by_drift, scales_of, tables, levels = [], [], [], []
        for drift, weight in zip(DRIFTS, _DRIFT_WEIGHTS, strict=True):
            table, scales, middles = self._by_gap(logs - drift * time, places, distinct, sides)
            tables.append(table + math.log(weight))
            scales_of.append(scales)
            levels.append(middles)
            by_drift.append(_log_sum((tables[-1] + log_gap_prior[:, None]).ravel(), axis=0))
        every = np.array(by_drift)
        share = np.exp(every - every.max())
        share /= share.sum()
        best = int(share.argmax())
        by_gap = _log_sum(np.concatenate(tables, axis=1), axis=1)
        posterior = np.empty(self.last)
        for gap, (start, stop) in enumerate(itertools.pairwise(distinct)):
            posterior[start:stop] = log_prior[start:stop] + by_gap[gap]
        posterior = np.exp(posterior - posterior.max())
        by_scale = _log_sum(tables[best] + log_gap_prior[:, None], axis=0)
        weights = np.exp(by_scale - by_scale.max())
        self._noise = float((weights * scales_of[best]).sum() / weights.sum())
        self._levels = levels[best]
        self._drift = float((share * np.array(DRIFTS)).sum())
        normalised: Floats = posterior / posterior.sum()
        return normalised

    def _by_gap(
        self, logs: Floats, places: NDArray[np.int64], distinct: Sequence[int], sides: Sequence[NDArray[np.bool_]]
    ) -> tuple[Floats, Floats, tuple[float, float]]:
        """Log-likelihoods by gap between measured candidates and by scale of the noise; the scales; the centres."""
        centres = [float(np.median(logs[side])) for side in sides]
        scales, weights = _scales(logs, places, sides, centres)
        steps = np.linspace(-_REACH, _REACH, _LEVELS)
        sums = []
        for centre, side in zip(centres, sides, strict=True):
            grid = centre + steps * (scales[:, None] / math.sqrt(int(side.sum())))
            each = _log_likelihood(logs, grid, scales)
            sums.append(np.array([each[places == place].sum(axis=0) for place in distinct]))
        left, right = np.cumsum(sums[0], axis=0), np.cumsum(sums[1][::-1], axis=0)[::-1]
        # the steps of a grid are as wide as its scale: a flat prior of a level weighs them by it, for either level
        table = _log_sum(left[:-1], axis=2) + _log_sum(right[1:], axis=2) + weights + 2 * np.log(scales)
        return table, scales, (centres[0], centres[1])


def _scales(
    logs: Floats, places: NDArray[np.int64], sides: Sequence[NDArray[np.bool_]], centres: Sequence[float]
) -> tuple[Floats, Floats]:
    """Points of the noise around what was seen of it, and the logarithms of their prior weights."""
    parts = [logs[side] - centre for side, centre in zip(sides, centres, strict=True)]
    rest = ~(sides[0] | sides[1])
    groups = 2
    for place in np.unique(places[rest]):
        mine = logs[places == place]
        if len(mine) > 1:
            parts.append(mine - np.median(mine))
            groups += 1
    residuals = np.concatenate(parts)
    freedom = max(1, len(residuals) - groups)
    spread = 1.4826 * float(np.median(np.abs(residuals))) * math.sqrt(len(residuals) / freedom)
    trust = freedom / (freedom + 2.0)  # few residuals: the centre of the grid is nearer to what is usual
    centre = trust * math.log(max(spread, 1e-4)) + (1 - trust) * _USUAL
    reach = min(2.5 * _USUAL_SPREAD, 4.0 / math.sqrt(2.0 * freedom) + 0.3)
    scales = np.exp(np.linspace(centre - reach, centre + reach, _SCALES))
    return scales, -0.5 * ((np.log(scales) - _USUAL) / _USUAL_SPREAD) ** 2


def _log_likelihood(logs: Floats, grid: Floats, scales: Floats) -> Floats:
    """Of each value, at each scale and level: shape (values, scales, levels)."""
    gap = np.abs(logs[:, None, None] - grid[None, :, :])
    narrow = scales[None, :, None]
    wide = np.maximum(_WIDE, _WIDER * scales)[None, :, None]
    inside = math.log(1 - _OUTLIERS) - np.log(narrow) - _HALF_LOG_2_PI - 0.5 * (gap / narrow) ** 2
    outside = math.log(_OUTLIERS) - np.log(wide) - _HALF_LOG_2_PI - 0.5 * (gap / wide) ** 2
    found: Floats = np.logaddexp(inside, outside)
    return found


def _log_sum(values: Floats, axis: int) -> Floats:
    """The logarithm of a sum of exponentials along an axis."""
    top = values.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        found: Floats = np.squeeze(top, axis=axis) + np.log(np.exp(values - top).sum(axis=axis))
    return found
