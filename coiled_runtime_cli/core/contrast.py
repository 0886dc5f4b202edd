"""Two selections of a history side by side: each test of one against the same test of the other, in the same circumstances.

Runs are paired where benchmark, epoch, scale, cluster, Python and host (where the work ran on it) agree; what is compared, the
label and the packages, may differ. A run that both selections have counts for neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from coiled_runtime_cli.core import compare
from coiled_runtime_cli.core.grouping import rows_by_series, series_of
from coiled_runtime_cli.core.record import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History, HistoryMetric
    from coiled_runtime_cli.core.series import SeriesKey

_PASSED, _SKIPPED = OUTCOMES.index("passed"), OUTCOMES.index("skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """One test and metric in one set of circumstances. ``key`` has no label: that is what is compared."""

    key: SeriesKey
    metric: HistoryMetric
    compared: compare.Comparison
    verdict: compare.Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """``paired`` has the worst first; ``alone`` are the benchmarks that only one side has, ``elsewhere`` those that both have,
    but in no circumstances that agree; ``shared`` counts the runs that both selections have.

    ``incomparable`` are benchmark and metric of those that both have measured, but with no two values to compare: one side has
    none above 0, or they never have one in the same block.
    """

    paired: tuple[Paired, ...]
    failures: tuple[tuple[SeriesKey, compare.FailureFinding], ...]
    alone: tuple[tuple[str, ...], tuple[str, ...]]
    elsewhere: tuple[str, ...]
    incomparable: tuple[tuple[str, str], ...]
    shared: int


def contrast(
    history: History,
    baseline: NDArray[np.bool_],
    contender: NDArray[np.bool_],
    metrics: Sequence[HistoryMetric],
    *,
    smallest: float = 0.05,
    rate: float = 0.05,
    confidence: float = 0.95,
    across: Collection[str] = (),
    in_blocks: bool = False,
) -> Contrast:
    """Compare all that can be compared. ``baseline`` and ``contender`` are masks of the runs.

    ``across`` names circumstances that may differ (of CIRCUMSTANCES): where the cluster, say, is what is compared.
    ``in_blocks``: runs of one repeat were made beside each other, and are compared within it.
    ``smallest`` is the smallest effect of interest and ``rate`` the false discovery rate: see :func:`compare.verdicts`.
    """
    both = baseline & contender
    arms = _arms(history, (baseline & ~both, contender & ~both), across)
    common = [key for key in arms[0] if key in arms[1]]
    pairs: list[tuple[SeriesKey, HistoryMetric, compare.Comparison]] = []
    failed = []
    incomparable = set()
    for key in common:
        rows = [arm[key] for arm in arms]
        attempts = [_attempts(history, each) for each in rows]
        finding = compare.failures(*attempts)
        if finding is not None:
            failed.append((key, finding))
        passed = [each[history.runs.outcome[each] == _PASSED] for each in rows]
        for metric in metrics:
            compared = _compared(history, passed, metric, confidence=confidence, in_blocks=in_blocks)
            if compared is not None and compared.ratio is not None:
                pairs.append((key, metric, compared))
            elif compared is not None:
                incomparable.add((key.benchmark, metric.key))
    words = compare.verdicts(
        [each for _, _, each in pairs], better=[metric.better for _, metric, _ in pairs], smallest=smallest, rate=rate
    )
    paired = [
        Paired(key=key, metric=metric, compared=compared, verdict=word)
        for (key, metric, compared), word in zip(pairs, words, strict=True)
    ]
    names = [{key.benchmark for key in arm} for arm in arms]
    met = {key.benchmark for key in common}
    return Contrast(
        paired=tuple(sorted(paired, key=_worst_first)),
        failures=tuple(
            sorted(failed, key=lambda each: (each[1].finding != "broken", each[1].p_value, each[0].benchmark))
        ),
        alone=(tuple(sorted(names[0] - names[1])), tuple(sorted(names[1] - names[0]))),
        elsewhere=tuple(sorted((names[0] & names[1]) - met)),
        incomparable=tuple(sorted(incomparable)),
        shared=int(both.sum()),
    )


def _arms(
    history: History, masks: Sequence[NDArray[np.bool_]], across: Collection[str]
) -> list[dict[SeriesKey, NDArray[np.int64]]]:
    """The runs of each side (rows of the history) by their circumstances, but for those that may differ."""
    keys, of = series_of(history, labels=False)
    if across:
        alike: dict[SeriesKey, int] = {}
        nothing: dict[str, Any] = dict.fromkeys(across)
        blind = [replace(each, **nothing) for each in keys]
        of = np.array([alike.setdefault(each, len(alike)) for each in blind], np.int64)[of]
        keys = list(alike)
    return [
        {
            keys[number]: rows
            for number, rows in rows_by_series(of, np.flatnonzero(each & ~history.runs.profiled)).items()
        }
        for each in masks
    ]


def _compared(
    history: History,
    passed: Sequence[NDArray[np.int64]],
    metric: HistoryMetric,
    *,
    confidence: float,
    in_blocks: bool,
) -> compare.Comparison | None:
    """The passed runs of both sides compared; None where one of them has not measured the metric."""
    values = [history.runs.values[metric.key][each] for each in passed]
    known = [each[np.isfinite(each)].tolist() for each in values]
    if not known[0] or not known[1]:
        return None
    if in_blocks:
        blocks = [_by_block(history, each, value) for each, value in zip(passed, values, strict=True)]
        return compare.comparison_in_blocks(*blocks, confidence=confidence)
    return compare.comparison(known[0], known[1], confidence=confidence)


def _worst_first(each: Paired) -> tuple[int, float, str, str]:
    order = compare.VERDICTS.index(each.verdict.word)
    ratio = each.compared.ratio or 1.0
    size = max(ratio, 1 / ratio)
    return order, -size, each.key.benchmark, each.metric.key


def _by_block(history: History, rows: NDArray[np.int64], values: NDArray[np.float64]) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for block, value in zip(history.runs.repeat[rows].tolist(), values.tolist(), strict=True):
        if math.isfinite(value):
            found.setdefault(block, []).append(value)
    return found


def _attempts(history: History, rows: NDArray[np.int64]) -> compare.Attempts:
    outcome = history.runs.outcome[rows]
    tried = outcome != _SKIPPED
    return compare.Attempts(runs=int(tried.sum()), failed=int((outcome[tried] != _PASSED).sum()))


def circumstances(keys: Sequence[SeriesKey]) -> dict[SeriesKey, str]:
    """What tells series of one benchmark apart, where there are several: scale, Python, cluster, host."""
    names = ("scale", "python", "cluster", "host", "epoch")
    varies = [name for name in names if len({getattr(replace(key, benchmark=""), name) for key in keys}) > 1]
    told = {
        "scale": "{} scale",
        "python": "Python {}",
        "cluster": "cluster {:.6}",
        "host": "host {:.6}",
        "epoch": "epoch {}",
    }
    return {
        key: ", ".join(told[name].format(getattr(key, name)) for name in varies if getattr(key, name) is not None)
        for key in keys
    }
