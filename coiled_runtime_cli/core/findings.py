"""The changes of a whole history as findings: which way, how surely, since when, and what moved in between.

Every metric of every series is searched (``changepoint.py``); of all that was searched, the false discovery rate is
controlled (``detect.py``). What happened in one stretch of time, in one direction, is one cause.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from coiled_runtime_cli.core import changepoint, detect, forge
from coiled_runtime_cli.core.grouping import rows_by_series, series_of
from coiled_runtime_cli.core.history import NO_TIME
from coiled_runtime_cli.core.record import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History, HistoryMetric
    from coiled_runtime_cli.core.series import SeriesKey

_PASSED = OUTCOMES.index("passed")

#: How far (microseconds) from its true place noise may move a change: a run or two of a nightly history.
_BLUR = 3 * 86_400_000_000 // 2

#: Runs by which a change may move as more of them come, and still be the same one.
_NEAR = 8


@dataclass(frozen=True, slots=True)
class RunAt:
    """A run at an edge of a change."""

    uuid: str
    start: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What is not the same before and after: a package, Python, or the host. ``url`` shows the commits between."""

    name: str
    before: str | None
    after: str | None
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A change. ``cause`` numbers those that share a stretch of time; ``state`` is new, confirmed, fixed or accepted."""

    id: str
    key: SeriesKey
    metric: HistoryMetric
    kind: str  # regression or improvement
    before: float
    after: float
    ratio: float
    low: float
    high: float
    p_value: float
    q: float
    state: str
    held: int  # runs since, up to the next change
    last_good: RunAt
    first_bad: RunAt
    moved: tuple[Moved, ...]
    cause: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A finding that was reported before, and what a person has said of it."""

    id: str
    key: SeriesKey
    metric: str
    kind: str
    first_bad: str  # UUID of the run
    since: datetime
    accepted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """``searched`` series and metrics were long enough to be searched, ``short`` ones were not."""

    findings: tuple[Finding, ...]
    searched: int
    short: int


def find(
    history: History,
    metrics: Sequence[HistoryMetric],
    *,
    known: Sequence[Known] = (),
    min_effect: float = 0.05,
    rate: float = 0.05,
    since: datetime | None = None,
) -> Detected:
    """All changes of the metrics, the newest cause first, in each the largest effect first.

    ``min_effect`` is the smallest change that counts, ``rate`` the false discovery rate; ``since`` leaves out what began
    before it. A change that is one of the ``known`` keeps its id.
    """
    runs = history.runs
    keys, of = series_of(history)
    usable = np.flatnonzero((runs.outcome == _PASSED) & ~runs.profiled & (runs.start != NO_TIME))
    searched: list[tuple[int, HistoryMetric, NDArray[np.int64]]] = []
    arrays: list[NDArray[np.float64]] = []
    short = 0
    for number, rows in sorted(rows_by_series(of, usable).items()):
        for metric in metrics:
            values = runs.values[metric.key][rows]
            fit = np.isfinite(values) & (values > 0)
            if np.count_nonzero(fit) < changepoint.FEWEST:
                short += bool(fit.any())
                continue
            searched.append((number, metric, rows[fit]))
            arrays.append(values[fit])
    found = changepoint.find_changes(arrays, min_effect=min_effect)
    candidates = [(place, index) for place, changes in enumerate(found) for index in range(len(changes))]
    # each change is a test, beside the series that were searched and had none
    tested = sum(max(1, len(each)) for each in found)
    sure = detect.q_values([found[place][index].p_value for place, index in candidates], tested)
    remembered: dict[tuple[SeriesKey, str, str], list[Known]] = {}
    for each in known:
        remembered.setdefault((each.key, each.metric, each.kind), []).append(each)
    teller = _Teller(history, min_effect)
    findings = []
    for (place, index), q in zip(candidates, sure, strict=True):
        if q <= rate:
            number, metric, rows = searched[place]
            finding = teller.finding(keys[number], metric, rows, found[place], index, q, remembered)
            if since is None or finding.first_bad.start >= since:
                findings.append(finding)
    return Detected(findings=tuple(_by_cause(findings)), searched=len(searched), short=short)


class _Teller:
    def __init__(self, history: History, min_effect: float) -> None:
        self._history = history
        self._min_effect = min_effect
        self._diffs: dict[tuple[int, int], tuple[Moved, ...]] = {}

    def finding(
        self,
        key: SeriesKey,
        metric: HistoryMetric,
        rows: NDArray[np.int64],
        changes: Sequence[changepoint.Change],
        index: int,
        q: float,
        remembered: Mapping[tuple[SeriesKey, str, str], Sequence[Known]],
    ) -> Finding:
        change = changes[index]
        kind = "regression" if (change.ratio > 1) == (metric.better != "higher") else "improvement"
        stop = changes[index + 1].index if index + 1 < len(changes) else len(rows)
        good, bad = int(rows[change.previous]), int(rows[change.index])
        first_bad = self._run(bad)
        same = self._remembered(remembered.get((key, metric.key, kind), ()), rows, change.index)
        state = detect.state(
            change.before,
            [each.after for each in changes[index + 1 :]],
            stop - change.index,
            min_effect=self._min_effect,
        )
        return Finding(
            id=same.id if same is not None else _id(key, metric.key, kind, first_bad.uuid),
            key=key,
            metric=metric,
            kind=kind,
            before=change.before,
            after=change.after,
            ratio=change.ratio,
            low=change.low,
            high=change.high,
            p_value=change.p_value,
            q=q,
            state="accepted" if same is not None and same.accepted and state != "fixed" else state,
            held=stop - change.index,
            last_good=self._run(good),
            first_bad=first_bad,
            moved=self._moved(good, bad),
        )

    def _run(self, row: int) -> RunAt:
        runs = self._history.runs
        text = runs.uuid[row].tobytes().hex()
        uuid = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        return RunAt(uuid, datetime.fromtimestamp(int(runs.start[row]) / 1e6, timezone.utc))

    def _remembered(self, known: Sequence[Known], rows: NDArray[np.int64], index: int) -> Known | None:
        """The known finding that this change is: the nearest one that is no more than a few runs away."""
        best: tuple[int, Known] | None = None
        for each in known:
            moment = round(each.since.timestamp() * 1e6)
            place = int(np.searchsorted(self._history.runs.start[rows], moment))
            away = abs(place - index)
            if away <= _NEAR and (best is None or away < best[0]):
                best = away, each
        return None if best is None else best[1]

    def _moved(self, good: int, bad: int) -> tuple[Moved, ...]:
        runs, history = self._history.runs, self._history
        hosts = [history.sessions[runs.session[row]].host_fingerprint for row in (good, bad)]
        moved = []
        if None not in hosts and hosts[0] != hosts[1]:
            moved.append(Moved(name="host", before=hosts[0], after=hosts[1]))
        pair = int(runs.environment[good]), int(runs.environment[bad])
        if min(pair) < 0 or pair[0] == pair[1]:
            return tuple(moved)
        if pair not in self._diffs:
            self._diffs[pair] = tuple(self._between(*pair))
        return (*moved, *self._diffs[pair])

    def _between(self, before: int, after: int) -> Iterator[Moved]:
        old, new = self._history.environments[before], self._history.environments[after]
        if old.python != new.python:
            yield Moved(name="python", before=old.python, after=new.python)
        for each in forge.package_changes(old.packages, new.packages):
            yield Moved(name=each.name, before=_version(each.before), after=_version(each.after), url=each.url)


def _version(package: Any) -> str | None:
    if package is None:
        return None
    version = package.version or "of no version"
    if package.commit and package.commit[:7] not in version:
        version = f"{version} ({package.commit[:8]})"
    return f"{version}, changed" if package.dirty else version


def _id(key: SeriesKey, metric: str, kind: str, first_bad: str) -> str:
    return hashlib.sha256(repr((key, metric, kind, first_bad)).encode("utf-8", "backslashreplace")).hexdigest()[:12]


def _by_cause(findings: Sequence[Finding]) -> list[Finding]:
    """Number the causes: one direction, one stretch of time. The newest first, in each the largest effect first."""
    groups: dict[tuple[str, int], list[Finding]] = {}
    for kind in ("regression", "improvement"):
        mine = [each for each in findings if each.kind == kind]
        spans = [(_moment(each.last_good) - _BLUR, _moment(each.first_bad) + _BLUR) for each in mine]
        for each, number in zip(mine, detect.ranges(spans), strict=True):
            groups.setdefault((kind, number), []).append(each)
    ordered = sorted(
        groups.values(), key=lambda members: (-max(_moment(each.first_bad) for each in members), members[0].kind)
    )
    return [
        replace(each, cause=number)
        for number, members in enumerate(ordered, 1)
        for each in sorted(members, key=lambda one: (-max(one.ratio, 1 / one.ratio), one.id))
    ]


def _moment(run: RunAt) -> int:
    return round(run.start.timestamp() * 1e6)
