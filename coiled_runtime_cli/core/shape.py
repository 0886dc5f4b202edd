"""Changes of a series that are none of its level: noisier or calmer runs, outliers that come or go, a second mode.

What is looked at are deviations from the running median (21 runs), so that neither steps nor drift count. Where their size
changes is found by the t-test for two means that is largest over all places (Levene 1960, with medians: Brown and Forsythe
1974), on deviations that are clipped to 4 robust standard deviations; its p-value is multiplied by the number of places. Then
the change is named:

    bimodal   runs of one side jump between two groups, those of the other do not (Otsu 1979: two means explain 88 % of the
              variance; of normal noise they explain 64 %, of uniform noise 75 %)
    variance  they do not, and the spreads differ by a factor of 1.6 or more
    tail      spreads are alike, and the share of runs beyond 4 standard deviations is not (Fisher's exact test)

These findings are stricter than those of levels: a noisier test is worth knowing of, but accuses no commit by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from coiled_runtime_cli.core.compare import Attempts, failures
from coiled_runtime_cli.core.stats import student_t_cdf

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

KINDS = ("variance", "tail", "bimodal")

#: Runs that either side needs, the p-value it takes, and by which factor spreads have to differ.
SHORTEST, P_VALUE, FACTOR = 20, 1e-5, 1.6

#: Runs of the running median, standard deviations of an outlier, what two means explain of two modes, and the smaller of them.
_WINDOW, _OUTLIER, _TWO_MODES, _SMALLER = 21, 4.0, 0.88, 0.1

#: How far apart two modes are, in standard deviations of the broader one: what is broader is a tail.
_COMPACT = 4.0

#: Fewest outliers of a tail: five runs may be a burst.
_OUTLIERS = 6

#: Spreads that differ by less than this factor are alike.
_ALIKE = 1.4

#: Deviations below this share of a value are none: counts and sizes repeat exactly.
_QUIETEST = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeChange:
    """``before`` and ``after`` are relative spreads (robust standard deviations of logarithms), of a tail shares of outliers."""

    kind: str  # one of KINDS
    index: int  # of the first run after it
    previous: int
    before: float
    after: float
    p_value: float


def find_shape_change(values: Floats) -> ShapeChange | None:
    """The last change of shape in a series, or None.

    What is not finite and positive is left out; indexes refer to the array as it is given.
    """
    usable = np.flatnonzero(np.isfinite(values) & (values > 0))
    start = 0
    last: ShapeChange | None = None
    # the strongest first, then whether anything has changed again after it
    while len(usable) - start >= 2 * SHORTEST:
        found = _strongest(np.log(values[usable[start:]]))
        if found is None:
            return last
        place, kind, before, after, p_value = found
        start += place
        index, previous = int(usable[start]), int(usable[start - 1])
        last = ShapeChange(kind=kind, index=index, previous=previous, before=before, after=after, p_value=p_value)
    return last


def _strongest(logs: Floats) -> tuple[int, str, float, float, float] | None:
    """Place, kind, before, after and p-value."""
    deviations = logs - _running_median(logs)
    size = np.abs(deviations)
    bulk = max(1.4826 * float(np.median(size)), _QUIETEST)
    scale = max(bulk, float(size.mean()) / 4)
    split = _split(np.minimum(size, _OUTLIER * scale))
    if split is not None:
        calm = 1.4826 * min(float(np.median(each)) for each in np.split(size, [split[0]]))
        alike = _bulk_is_alike(size, size > _OUTLIER * max(calm, _QUIETEST), split[0])
        named = _named(logs, deviations, split[0], alike=alike)
        if named is not None:
            return split[0], *named, split[1]
    outlier = size > _OUTLIER * bulk
    tail = _tail(outlier)
    if tail is None:
        return None
    place, p_value = tail
    if not _bulk_is_alike(size, outlier, place):
        return None
    return place, "tail", float(outlier[:place].mean()), float(outlier[place:].mean()), p_value


def _bulk_is_alike(size: Floats, outlier: NDArray[np.bool_], place: int) -> bool:
    """Whether the runs that are no outliers vary as much on both sides."""
    sides = [each[~those] for each, those in zip(np.split(size, [place]), np.split(outlier, [place]), strict=True)]
    spreads = [max(float(np.median(each)), _QUIETEST) if len(each) else _QUIETEST for each in sides]
    return max(spreads) <= _ALIKE * min(spreads)


def _tail(outlier: NDArray[np.bool_]) -> tuple[int, float] | None:
    """Where the share of outliers changes most surely, and its p-value for all places that could be it."""
    n, all_of_them = len(outlier), np.flatnonzero(outlier)
    if not _OUTLIERS <= len(all_of_them) <= n // 3:
        return None
    best: tuple[int, float] | None = None
    places = {int(place) for each in all_of_them for place in (each, each + 1) if SHORTEST <= place <= n - SHORTEST}
    for place in sorted(places):
        before = int(outlier[:place].sum())
        sides = Attempts(runs=place, failed=before), Attempts(runs=n - place, failed=len(all_of_them) - before)
        told = failures(*sides)
        if told is not None and (best is None or told.p_value < best[1]):
            best = place, told.p_value
    if best is None or best[1] * len(places) > P_VALUE:
        return None
    return best[0], best[1] * len(places)


def _split(size: Floats) -> tuple[int, float] | None:
    """Where the mean changes most surely, and its p-value for all places together; None where it is not sure enough."""
    n = len(size)
    places = np.arange(SHORTEST, n - SHORTEST + 1)
    if not len(places):
        return None
    total, squares = np.cumsum(size), np.cumsum(size * size)
    left, right = places, n - places
    mean_left, mean_right = total[places - 1] / left, (total[-1] - total[places - 1]) / right
    var_left = squares[places - 1] / left - mean_left**2
    var_right = (squares[-1] - squares[places - 1]) / right - mean_right**2
    error = np.sqrt(np.maximum(var_left, 1e-18) / (left - 1) + np.maximum(var_right, 1e-18) / (right - 1))
    t = np.abs(mean_right - mean_left) / error
    best = int(t.argmax())
    # the calmer side has the fewer degrees of freedom that count
    freedom = float(min(left[best], right[best]) - 1)
    p_value = min(1.0, 2 * student_t_cdf(-float(t[best]), freedom) * len(places))
    return (int(places[best]), p_value) if p_value <= P_VALUE else None


def _named(logs: Floats, deviations: Floats, place: int, *, alike: bool) -> tuple[str, float, float] | None:
    """Kind, spread before and spread after."""
    modes = [_has_two_modes(each) for each in (logs[:place], logs[place:])]
    if modes[0] != modes[1]:
        spreads = [max(float(each.std()), _QUIETEST) for each in (deviations[:place], deviations[place:])]
        return "bimodal", spreads[0], spreads[1]
    spreads = [
        max(1.4826 * float(np.median(np.abs(each))), _QUIETEST) for each in (deviations[:place], deviations[place:])
    ]
    return None if alike or max(spreads) < FACTOR * min(spreads) else ("variance", spreads[0], spreads[1])


def _has_two_modes(values: Floats) -> bool:
    """Whether runs jump between two groups that explain nearly all of the variance, neither of them a few outliers.

    Levels explain as much, but runs of a level stay together: of modes, one run says little of the next.
    """
    if len(values) < SHORTEST:
        return False
    cut = max(1, len(values) // 50)  # outliers beyond the groups would explain everything
    trimmed = np.sort(values)[cut:-cut]
    n = len(trimmed)
    least = max(2, math.ceil(_SMALLER * n))
    places = np.arange(least, n - least + 1)
    variance = float(trimmed.var())
    if not len(places) or variance <= _QUIETEST**2:
        return False
    total = np.cumsum(trimmed)
    left, right = total[places - 1] / places, (total[-1] - total[places - 1]) / (n - places)
    between = places * (n - places) / n**2 * (left - right) ** 2
    best = int(between.argmax())
    if float(between[best]) / variance < _TWO_MODES:
        return False
    split = int(places[best])
    gap = float(right[best] - left[best])
    if max(float(trimmed[:split].std()), float(trimmed[split:].std())) > gap / _COMPACT:
        return False
    upper = values > (left[best] + right[best]) / 2
    share = float(upper.mean())
    jumps = int((upper[1:] != upper[:-1]).sum())
    return jumps >= share * (1 - share) * len(values)  # half of what independent runs would do


def _running_median(logs: Floats) -> Floats:
    half = _WINDOW // 2
    padded = np.concatenate((logs[half - 1 :: -1], logs, logs[: -half - 1 : -1]))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)
    found: Floats = np.median(windows, axis=1)
    return found
