"""The changes of a whole history as findings: which way, how surely, since when, and what moved in between.

Every metric of every series is searched for changes of its level (``changepoint.py``) and of its shape (``shape.py``); of all
that was searched, the false discovery rate is controlled (``detect.py``). What happened in one stretch of time, in one
direction, is one cause. What looks off in the newest runs alone (``suspicion.py``) is a suspect: fresh runs decide.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from coiled_runtime_cli.core import changepoint, detect, forge
from coiled_runtime_cli.core.grouping import rows_by_series, series_of
from coiled_runtime_cli.core.history import NO_TIME, uuid_text
from coiled_runtime_cli.core.matching import NEAR, matched
from coiled_runtime_cli.core.record import OUTCOMES
from coiled_runtime_cli.core.series import EXPERIMENTS
from coiled_runtime_cli.core.shape import KINDS as SHAPES
from coiled_runtime_cli.core.shape import find_shape_change
from coiled_runtime_cli.core.suspicion import suspicion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History, HistoryMetric
    from coiled_runtime_cli.core.series import SeriesKey
    from coiled_runtime_cli.core.shape import ShapeChange
    from coiled_runtime_cli.core.suspicion import Suspicion

    #: A change of a history: its series, metric and kind, and the index of its first run in the series.
    _Place = tuple[SeriesKey, str, str, int]

#: Ways a level changes; the other findings are of SHAPES.
LEVELS = ("regression", "improvement")

_PASSED = OUTCOMES.index("passed")

#: How far from its true place a change may seem to be, in microseconds.
_BLUR = detect.BLUR * 1_000_000


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
    """A change. ``cause`` numbers those that share a stretch of time.

    ``kind`` is regression or improvement, and then ``before`` and ``after`` are levels; or variance, tail or bimodal, and
    they are relative spreads (of a tail: shares of outliers). ``state`` is new, confirmed, fixed or accepted, of what rests on
    too little suspect, and of a suspect that fresh runs have cleared noise.
    """

    id: str
    key: SeriesKey
    metric: HistoryMetric
    kind: str
    before: float
    after: float
    ratio: float
    low: float | None  # of its 95 % interval; None for suspects and shapes
    high: float | None
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
    """A finding that was reported before, and what a person, or fresh runs, have said of it."""

    id: str
    key: SeriesKey
    metric: str
    kind: str
    first_bad: str  # UUID of the run
    since: datetime
    accepted: bool = False
    verdict: str | None = None  # confirmed or noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """``searched`` series and metrics were long enough to be searched, ``short`` ones were not.

    ``findings`` include the suspects.
    """

    findings: tuple[Finding, ...]
    searched: int
    short: int


@dataclass(frozen=True, slots=True)
class Searched:
    """One metric of one series: its runs (rows of the history), their values, and what was found in them."""

    key: SeriesKey
    metric: HistoryMetric
    rows: NDArray[np.int64]
    values: NDArray[np.float64]
    changes: tuple[changepoint.Change, ...] = ()
    shape: ShapeChange | None = None


def find(
    history: History,
    metrics: Sequence[HistoryMetric],
    *,
    known: Sequence[Known] = (),
    min_effect: float = detect.MIN_EFFECT,
    rate: float = 0.05,
    threshold: float = detect.ALERT,
    since: datetime | None = None,
    experiments: bool = False,
) -> Detected:
    """All changes of the metrics, the newest cause first, in each the largest effect first.

    ``min_effect`` is the smallest change that counts, ``rate`` the false discovery rate, ``threshold`` the p-value that a change
    needs to be more than a suspect; ``since`` leaves out what began before it. A change that is one of the ``known`` keeps its
    id. See :func:`search` for ``experiments``.
    """
    series, short = search(history, metrics, min_effect=min_effect, experiments=experiments)
    # each change is a test, beside the series that were searched and had none
    tested = sum(max(1, len(each.changes) + (each.shape is not None)) for each in series)
    candidates: list[tuple[Searched, int | ShapeChange, float]] = [
        (each, index, change.p_value) for each in series for index, change in enumerate(each.changes)
    ]
    candidates += [(each, each.shape, each.shape.p_value) for each in series if each.shape is not None]
    sure = detect.q_values([p_value for _, _, p_value in candidates], tested)
    suspicions = [suspicion(each.values, each.changes, min_effect=min_effect) for each in series]
    teller = _Teller(history, _remembered(history, series, suspicions, known), min_effect, threshold)
    findings = [
        teller.change(each, what, q) if isinstance(what, int) else teller.shape(each, what, q)
        for (each, what, _), q in zip(candidates, sure, strict=True)
        if q <= rate
    ]
    findings += [teller.suspect(each, off) for each, off in zip(series, suspicions, strict=True) if off is not None]
    kept = [each for each in findings if since is None or each.first_bad.start >= since]
    return Detected(findings=tuple(_by_cause(kept)), searched=len(series), short=short)


def search(
    history: History,
    metrics: Sequence[HistoryMetric],
    *,
    min_effect: float = detect.MIN_EFFECT,
    experiments: bool = False,
) -> tuple[list[Searched], int]:
    """Every metric of every series that is long enough, with its changes; and how many were too short.

    Runs of ``experiments`` (labels that begin with one of EXPERIMENTS: arms of an A/B, probes of a bisection) are left out unless
    asked for: their environments change on purpose.
    """
    runs = history.runs
    keys, of = series_of(history)
    usable = np.flatnonzero((runs.outcome == _PASSED) & ~runs.profiled & (runs.start != NO_TIME))
    series: list[Searched] = []
    short = 0
    for number, rows in sorted(rows_by_series(of, usable).items()):
        if not experiments and (keys[number].label or "").startswith(EXPERIMENTS):
            continue
        for metric in metrics:
            values = runs.values[metric.key][rows]
            fit = np.isfinite(values) & (values > 0)
            if np.count_nonzero(fit) < changepoint.FEWEST:
                short += bool(fit.any())
                continue
            series.append(Searched(keys[number], metric, rows[fit], values[fit]))
    found = search_values([each.values for each in series], min_effect=min_effect)
    return [
        replace(each, changes=changes, shape=shape) for each, (changes, shape) in zip(series, found, strict=True)
    ], short


def search_values(
    arrays: Sequence[NDArray[np.float64]], *, min_effect: float = detect.MIN_EFFECT
) -> list[tuple[tuple[changepoint.Change, ...], ShapeChange | None]]:
    """The changes of level of each series, and of its shape.

    Where a series becomes noisier, the noise of the whole is too little for what follows: a change of level counts there
    only if the part alone has it too. Where runs begin to jump between two modes, or outliers to come, that is the change,
    and not their mean.
    """
    found = changepoint.find_changes(arrays, min_effect=min_effect)
    shapes = [find_shape_change(each) for each in arrays]
    doubtful = [
        place for place, (changes, shape) in enumerate(zip(found, shapes, strict=True)) if changes and shape is not None
    ]
    parts = []
    for place in doubtful:
        shape = shapes[place]
        assert shape is not None
        parts += [arrays[place][: shape.index], arrays[place][shape.index :]]
    alone = changepoint.find_changes(parts, min_effect=min_effect)
    for number, place in enumerate(doubtful):
        shape = shapes[place]
        assert shape is not None
        places = [each.index for each in alone[2 * number]]
        places += [shape.index + each.index for each in alone[2 * number + 1]]
        if shape.kind == "variance":
            places.append(shape.index)
        found[place] = tuple(each for each in found[place] if any(abs(each.index - one) <= NEAR for one in places))
    return list(zip(found, shapes, strict=True))


class Remembered:
    """Findings that are known, by the series, metric and kind that they are of."""

    def __init__(self, known: Sequence[Known]) -> None:
        self._known: dict[tuple[SeriesKey, str, str], dict[str, Known]] = {}
        for each in known:
            self._known.setdefault((each.key, each.metric, each.kind), {}).setdefault(each.first_bad, each)

    def __contains__(self, what: tuple[SeriesKey, str, str]) -> bool:
        return what in self._known

    def again(
        self,
        what: tuple[SeriesKey, str, str],
        indexes: Sequence[int],
        first_bad: Sequence[str],
        start: NDArray[np.int64],
    ) -> dict[int, Known]:
        """Which known finding each change is, one to one, by its number: that of the same first bad run, or else the nearest.

        ``indexes`` are the changes' places among the runs of the series, ``first_bad`` the ids of the runs there; ``start`` is
        when each run of the series began (microseconds).
        """
        known = list(self._known.get(what, {}).values())
        number_of = {each.first_bad: number for number, each in enumerate(known)}
        pairs = matched(
            indexes,
            np.searchsorted(start, [round(each.since.timestamp() * 1e6) for each in known]).tolist(),
            sure={number: number_of[uuid] for number, uuid in enumerate(first_bad) if uuid in number_of},
        )
        return {number: known[other] for number, other in pairs.items()}


def decided(state: str, same: Known | None) -> str:
    """How a change stands by what people, and fresh runs, have said of the known finding that it is."""
    if same is not None and same.accepted and state != "fixed":
        return "accepted"
    if same is not None and same.verdict is not None and state == "suspect":
        return same.verdict
    return state


def _remembered(
    history: History, series: Sequence[Searched], suspicions: Sequence[Suspicion | None], known: Sequence[Known]
) -> dict[_Place, Known]:
    """The known finding that each change, shape and suspect is, one to one.

    It is the one of the same first bad run, or else the nearest that is no more than a few runs away.
    """
    told = Remembered(known)
    remembered = {}
    for each, off in zip(series, suspicions, strict=True):
        for kind, indexes in _indexes(each, off).items():
            what = (each.key, each.metric.key, kind)
            if what not in told:
                continue
            uuids = [uuid_text(history.runs.uuid[each.rows[index]]) for index in indexes]
            for number, one in told.again(what, indexes, uuids, history.runs.start[each.rows]).items():
                remembered[each.key, each.metric.key, kind, indexes[number]] = one
    return remembered


def _indexes(series: Searched, off: Suspicion | None) -> dict[str, list[int]]:
    """Where something begins in a series, by its kind."""
    found = [(detect.kind_of(each.ratio, series.metric.better), each.index) for each in series.changes]
    if series.shape is not None:
        found.append((series.shape.kind, series.shape.index))
    if off is not None:
        found.append((detect.kind_of(off.ratio, series.metric.better), off.index))
    indexes: dict[str, list[int]] = {}
    for kind, index in found:
        indexes.setdefault(kind, []).append(index)
    return indexes


class _Teller:
    def __init__(
        self, history: History, remembered: Mapping[_Place, Known], min_effect: float, threshold: float
    ) -> None:
        self._history = history
        self._remembered = remembered
        self._given = {each.id for each in remembered.values()}
        self._min_effect = min_effect
        self._threshold = threshold
        self._diffs: dict[tuple[int, int], tuple[Moved, ...]] = {}

    def change(self, series: Searched, index: int, q: float) -> Finding:
        changes = series.changes
        change = changes[index]
        stop = changes[index + 1].index if index + 1 < len(changes) else len(series.rows)
        state = detect.state(
            change.before,
            [each.after for each in changes[index + 1 :]],
            stop - change.index,
            p_value=change.p_value,
            min_effect=self._min_effect,
            threshold=self._threshold,
        )
        told = self._told(
            series, detect.kind_of(change.ratio, series.metric.better), change.previous, change.index, state
        )
        return replace(
            told,
            before=change.before,
            after=change.after,
            ratio=change.ratio,
            low=change.low,
            high=change.high,
            p_value=change.p_value,
            q=q,
            held=stop - change.index,
        )

    def suspect(self, series: Searched, off: Suspicion) -> Finding:
        told = self._told(series, detect.kind_of(off.ratio, series.metric.better), off.previous, off.index, "suspect")
        p_value = 2 * NormalDist().cdf(-abs(off.errors))
        return replace(told, before=off.before, after=off.after, ratio=off.ratio, p_value=p_value)

    def shape(self, series: Searched, shape: ShapeChange, q: float) -> Finding:
        told = self._told(series, shape.kind, shape.previous, shape.index, "new")
        ratio = shape.after / shape.before if shape.before > 0 else math.inf
        return replace(told, before=shape.before, after=shape.after, ratio=ratio, p_value=shape.p_value, q=q)

    def _told(self, series: Searched, kind: str, previous: int, index: int, state: str) -> Finding:
        """The finding with all that does not depend on its size."""
        good, bad = int(series.rows[previous]), int(series.rows[index])
        first_bad = self._run(bad)
        same = self._remembered.get((series.key, series.metric.key, kind, index))
        return Finding(
            id=same.id if same is not None else self._new_id(series, kind, first_bad.uuid),
            key=series.key,
            metric=series.metric,
            kind=kind,
            before=math.nan,
            after=math.nan,
            ratio=math.nan,
            low=None,
            high=None,
            p_value=1.0,
            q=1.0,
            state=decided(state, same),
            held=len(series.rows) - index,
            last_good=self._run(good),
            first_bad=first_bad,
            moved=self._moved(good, bad),
        )

    def _run(self, row: int) -> RunAt:
        runs = self._history.runs
        return RunAt(uuid_text(runs.uuid[row]), datetime.fromtimestamp(int(runs.start[row]) / 1e6, timezone.utc))

    def _new_id(self, series: Searched, kind: str, first_bad: str) -> str:
        identity = _id(series.key, series.metric.key, kind, first_bad)
        # a change that began at this run when it was first told of, and has moved on since, keeps its id
        return _id(series.key, series.metric.key, kind, identity) if identity in self._given else identity

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
            yield Moved(
                name=each.name,
                before=forge.version_text(each.before),
                after=forge.version_text(each.after),
                url=each.url,
            )


def _id(key: SeriesKey, metric: str, kind: str, first_bad: str) -> str:
    return hashlib.sha256(repr((key, metric, kind, first_bad)).encode("utf-8", "backslashreplace")).hexdigest()[:12]


def _by_cause(findings: Sequence[Finding]) -> list[Finding]:
    """Number the causes: one direction, one stretch of time. The newest first, in each the largest effect first."""
    groups: dict[tuple[str, int], list[Finding]] = {}
    for kind in (*LEVELS, *SHAPES):
        mine = [each for each in findings if each.kind == kind]
        spans = [(_moment(each.last_good) - _BLUR, _moment(each.first_bad) + _BLUR) for each in mine]
        for each, number in zip(mine, detect.ranges(spans), strict=True):
            groups.setdefault((kind, number), []).append(each)
    ordered = sorted(groups.values(), key=_newest_first)
    return [
        replace(each, cause=number)
        for number, members in enumerate(ordered, 1)
        for each in sorted(members, key=lambda one: (-_size(one.ratio), one.id))
    ]


def _newest_first(members: Sequence[Finding]) -> tuple[bool, int, str]:
    """What rests on suspicion alone comes last: few look at it, and the others count from 1."""
    newest = max(_moment(each.first_bad) for each in members)
    return all(each.state in {"suspect", "noise"} for each in members), -newest, members[0].kind


def _size(ratio: float) -> float:
    return max(ratio, 1 / ratio) if ratio > 0 else math.inf


def _moment(run: RunAt) -> int:
    return round(run.start.timestamp() * 1e6)
