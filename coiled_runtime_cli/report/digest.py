"""What each unit amounts to: levels, changes, the recent past, marks of a changed environment.

A digest depends on the runs of its unit alone, so that it is made once and kept (see ``folder.py``) until it has new runs.
Times in a digest are milliseconds since the epoch (UTC), values are in the metric's unit.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from coiled_runtime_cli.core import changepoint
from coiled_runtime_cli.core.detect import MIN_EFFECT
from coiled_runtime_cli.core.grouping import codes
from coiled_runtime_cli.core.history import NO_TIME, uuid_text
from coiled_runtime_cli.core.record import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.report.groups import Unit

PASSED = OUTCOMES.index("passed")
SKIPPED = OUTCOMES.index("skipped")

#: Points of a sparkline: more cannot be seen in a table's row.
SPARK = 32

#: Days that the recent past covers, and the days with runs below which single sessions, then single runs, are shown.
_RECENT_DAYS, _FEW_DAYS = 60, 8

#: Marks of a unit that are kept, the newest: a chart with more is a barcode.
_MARKS = 200

#: Packages whose releases are worth a mark, and what is shown of an environment beside a point.
KEY_PACKAGES = (
    "dask",
    "distributed",
    "dask-expr",
    "numpy",
    "pandas",
    "pyarrow",
    "xarray",
    "zarr",
    "fsspec",
    "s3fs",
    "coiled",
)

_DAY = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelDigest:
    """The median of the runs between two changes, with its 95 % interval where there are enough."""

    start: int
    stop: int
    median: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeDigest:
    """A step of a series between two runs that follow each other: ``good`` and ``bad``, whichever way it went."""

    good: int
    bad: int
    good_uuid: str
    bad_uuid: str
    good_environment: str | None
    bad_environment: str | None
    good_session: str
    bad_session: str
    before: float
    after: float
    ratio: float
    low: float | None
    high: float | None
    p_value: float
    held: int  # runs from the change to the next one, or to the end
    spark: tuple[int, ...] = ()  # 0 to 100, up to 32 of them
    spark_at: int = 0  # index of the first one after the change


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDigest:
    n: int  # passed and unprofiled runs that have a value
    levels: tuple[LevelDigest, ...]
    changes: tuple[ChangeDigest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesDigest:
    runs: int
    failures: int
    profiled: int
    last: int | None
    last_outcome: str
    metrics: dict[str, MetricDigest]
    recent: tuple[tuple[int, float], ...]  # (time, median duration) by day, session or run


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkDigest:
    """Where the environment of a unit's runs changed: Python, host, or the release of a key package."""

    at: int
    moved: tuple[tuple[str, str | None, str | None], ...]  # name, before, after


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitDigest:
    runs: int
    last: int | None
    searched: int  # series x metrics that had enough runs to be searched for changes
    series: tuple[SeriesDigest, ...]
    marks: tuple[MarkDigest, ...] = field(default=())


def digest_units(
    history: History, units: Sequence[Unit], progress: Callable[[int, int], None] | None = None
) -> list[UnitDigest]:
    """The digests of ``units``, in their order. ``progress`` is told how many of them are done."""
    reader = _Reader(history)
    found: list[UnitDigest] = []
    for done, batch in _batches(units):
        found += reader.digests(batch)
        if progress is not None:
            progress(done, len(units))
    return found


def _batches(units: Sequence[Unit], runs: int = 100_000) -> Iterator[tuple[int, Sequence[Unit]]]:
    """Units in portions of about ``runs`` runs: the search is fastest over many series, a bar wants to move."""
    start, size = 0, 0
    for index, unit in enumerate(units):
        size += len(unit.rows)
        if size >= runs or index == len(units) - 1:
            yield index + 1, units[start : index + 1]
            start, size = index + 1, 0


class _Reader:
    def __init__(self, history: History) -> None:
        self._history = history
        self._metrics = [each.key for each in history.metrics]
        self._descriptions = [_description(each) for each in history.environments]
        # alike ones have one number, so that few of the places where the environment changes need a closer look
        _, self._description_codes = codes(tuple(each.items()) for each in self._descriptions)
        _, self._host_codes = codes(each.host_fingerprint for each in history.sessions)

    def digests(self, units: Sequence[Unit]) -> list[UnitDigest]:
        runs = self._history.runs
        searched: list[tuple[int, int, str, NDArray[np.int64]]] = []  # unit, series, metric, rows
        arrays: list[NDArray[np.float64]] = []
        enough = [0] * len(units)
        for number, unit in enumerate(units):
            fit = (runs.outcome[unit.rows] == PASSED) & ~runs.profiled[unit.rows]
            passed = [unit.rows[fit & (unit.series_of == each)] for each in range(len(unit.series))]
            for metric in self._metrics:
                column = runs.values[metric]
                for index, rows in enumerate(passed):
                    values = column[rows]
                    known = np.isfinite(values)
                    if known.any():
                        searched.append((number, index, metric, rows[known]))
                        arrays.append(values[known])
                        enough[number] += int(np.count_nonzero(arrays[-1] > 0) >= changepoint.FEWEST)
        changes = changepoint.find_changes(arrays, min_effect=MIN_EFFECT)
        digests: list[list[dict[str, MetricDigest]]] = [[{} for _ in unit.series] for unit in units]
        for (number, index, metric, rows), values, steps in zip(searched, arrays, changes, strict=True):
            digests[number][index][metric] = self._metric(rows, values, steps)
        return [self._unit(*each) for each in zip(units, digests, enough, strict=True)]

    def _metric(
        self, rows: NDArray[np.int64], values: NDArray[np.float64], steps: Sequence[changepoint.Change]
    ) -> MetricDigest:
        start = self._history.runs.start
        ends = [*(step.index for step in steps[1:]), len(rows)][: len(steps)]
        return MetricDigest(
            n=len(rows),
            levels=tuple(
                LevelDigest(
                    start=_milliseconds(start[rows[each.start]]),
                    stop=_milliseconds(start[rows[each.stop - 1]]),
                    median=each.median,
                    low=each.low,
                    high=each.high,
                    n=each.stop - each.start,
                )
                for each in changepoint.levels(values, steps)
            ),
            changes=tuple(self._change(rows, values, step, end) for step, end in zip(steps, ends, strict=True)),
        )

    def _change(
        self, rows: NDArray[np.int64], values: NDArray[np.float64], step: changepoint.Change, end: int
    ) -> ChangeDigest:
        runs, history = self._history.runs, self._history
        good, bad = rows[step.index - 1], rows[step.index]
        environments = [
            history.environments[index].id if index >= 0 else None for index in runs.environment[[good, bad]].tolist()
        ]
        spark, at = _spark(values, step.index)
        return ChangeDigest(
            good=_milliseconds(runs.start[good]),
            bad=_milliseconds(runs.start[bad]),
            good_uuid=uuid_text(runs.uuid[good]),
            bad_uuid=uuid_text(runs.uuid[bad]),
            good_environment=environments[0],
            bad_environment=environments[1],
            good_session=history.sessions[runs.session[good]].id,
            bad_session=history.sessions[runs.session[bad]].id,
            before=step.before,
            after=step.after,
            ratio=step.ratio,
            low=step.low,
            high=step.high,
            p_value=step.p_value,
            held=end - step.index,
            spark=spark,
            spark_at=at,
        )

    def _unit(self, unit: Unit, metrics: Sequence[dict[str, MetricDigest]], searched: int) -> UnitDigest:
        runs = self._history.runs
        last = int(runs.start[unit.rows].max())
        return UnitDigest(
            runs=len(unit.rows),
            last=None if last == NO_TIME else _milliseconds(last),
            searched=searched,
            series=tuple(self._series(unit.rows[unit.series_of == index], each) for index, each in enumerate(metrics)),
            marks=tuple(self._marks(unit)),
        )

    def _series(self, rows: NDArray[np.int64], metrics: dict[str, MetricDigest]) -> SeriesDigest:
        runs = self._history.runs
        outcome = runs.outcome[rows]
        last = int(runs.start[rows[-1]])
        return SeriesDigest(
            runs=len(rows),
            failures=int(((outcome != PASSED) & (outcome != SKIPPED)).sum()),
            profiled=int(runs.profiled[rows].sum()),
            last=None if last == NO_TIME else _milliseconds(last),
            last_outcome=OUTCOMES[outcome[-1]],
            metrics=metrics,
            recent=self._recent(rows[(outcome == PASSED) & ~runs.profiled[rows]]),
        )

    def _recent(self, rows: NDArray[np.int64]) -> tuple[tuple[int, float], ...]:
        """Median durations of the last days, or of the sessions or runs where there are few days."""
        runs = self._history.runs
        values, start = runs.values["duration"][rows], runs.start[rows] // 1000
        fit = np.isfinite(values) & (values > 0) & (runs.start[rows] != NO_TIME)
        if not fit.any():
            return ()
        values, start, session = values[fit], start[fit], runs.session[rows][fit]
        late = start > start[-1] - _RECENT_DAYS * _DAY
        values, start, session = values[late], start[late], session[late]
        days = start // _DAY
        keys: NDArray[Any] = np.arange(len(values))
        if np.count_nonzero(np.diff(days)) >= _FEW_DAYS - 1:
            keys = days
        elif np.count_nonzero(np.diff(session)) >= _FEW_DAYS - 1:
            keys = session
        edges = np.flatnonzero(np.diff(keys)) + 1
        starts = np.concatenate(([0], edges))
        medians = _medians(values, np.concatenate((edges, [len(values)])) - starts)
        return tuple(zip(start[starts].tolist(), medians, strict=True))[-_RECENT_DAYS:]

    def _marks(self, unit: Unit) -> Iterator[MarkDigest]:
        runs, history = self._history.runs, self._history
        rows = unit.rows[runs.environment[unit.rows] >= 0]
        if not len(rows):
            return
        environment, session = runs.environment[rows], runs.session[rows]
        turns = np.flatnonzero(
            (np.diff(self._description_codes[environment]) != 0) | (np.diff(self._host_codes[session]) != 0)
        )
        turns += 1
        marks: list[MarkDigest] = []
        sides = np.stack((environment[turns - 1], environment[turns], session[turns - 1], session[turns]), axis=1)
        for turn, (old, new, old_session, new_session) in zip(turns.tolist(), sides.tolist(), strict=True):
            moved = _moved(self._descriptions[old], self._descriptions[new]) if old != new else []
            hosts = [history.sessions[each].host_fingerprint for each in (old_session, new_session)]
            if None not in hosts and hosts[0] != hosts[1]:
                moved.append(("host", str(hosts[0])[:6], str(hosts[1])[:6]))
            if moved:
                marks.append(MarkDigest(at=_milliseconds(runs.start[rows[turn]]), moved=tuple(moved)))
        yield from marks[-_MARKS:]


def release(version: str | None) -> str | None:
    """``2026.8.0`` of ``2026.8.0+17.gabc1234``: what moves when a package is released, not with each commit."""
    return None if version is None else version.partition("+")[0]


def _medians(values: NDArray[np.float64], counts: NDArray[np.int64]) -> list[float]:
    """The median of each stretch of so many values."""
    group = np.repeat(np.arange(len(counts)), counts)
    ordered = values[np.lexsort((values, group))]
    starts = np.cumsum(counts) - counts
    found: list[float] = ((ordered[starts + (counts - 1) // 2] + ordered[starts + counts // 2]) / 2).tolist()
    return found


def _milliseconds(microseconds: Any) -> int:
    return int(microseconds) // 1000


def _description(environment: Any) -> dict[str, str | None]:
    versions = {each.name: release(each.version) for each in environment.packages if each.name in KEY_PACKAGES}
    return {"python": environment.python and ".".join(environment.python.split(".")[:3]), **versions}


def _moved(before: dict[str, str | None], after: dict[str, str | None]) -> list[tuple[str, str | None, str | None]]:
    if before == after:
        return []
    names = [name for name in ("python", *KEY_PACKAGES) if before.get(name) != after.get(name)]
    return [(name, before.get(name), after.get(name)) for name in names]


def spark_points(values: Sequence[float]) -> tuple[int, ...]:
    """Up to 32 medians of neighbouring values, scaled to 0 (lowest) to 100; 50 where all are alike."""
    numbers = np.asarray(values, float)
    if len(numbers) == 0:
        return ()
    medians = np.array(_medians(numbers, _shares(len(numbers), SPARK)))
    low, high = float(medians.min()), float(medians.max())
    if not high > low:
        return (50,) * len(medians)
    return tuple(np.rint((medians - low) / (high - low) * 100).astype(int).tolist())


def _spark(values: NDArray[np.float64], index: int) -> tuple[tuple[int, ...], int]:
    """The values around a change, and which point is the first one after it: no point mixes both sides."""
    before, after = values[max(0, index - 60) : index], values[index : index + 60]
    counts = np.concatenate((left := _shares(len(before), SPARK // 2), _shares(len(after), SPARK // 2)))
    return spark_points(_medians(np.concatenate((before, after)), counts)), len(left)


def _shares(count: int, most: int) -> NDArray[np.int64]:
    """How many of ``count`` values each of at most ``most`` points takes."""
    points = min(count, most)
    return np.diff(np.arange(points + 1) * count // max(points, 1))


def to_document(digest: UnitDigest) -> dict[str, Any]:
    """A JSON object; :func:`from_document` reads it back equal."""
    document: dict[str, Any] = _plain(digest)
    return document


def _plain(value: Any) -> Any:
    """As dataclasses.asdict, which copies every number and is five times as slow."""
    if isinstance(value, tuple):
        return value if not value or not dataclasses.is_dataclass(value[0]) else [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if dataclasses.is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    return value


def from_document(document: dict[str, Any]) -> UnitDigest:
    """Raises TypeError, KeyError, ValueError or AttributeError on what :func:`to_document` did not write."""
    return UnitDigest(
        runs=document["runs"],
        last=document["last"],
        searched=document["searched"],
        series=tuple(
            SeriesDigest(
                **{
                    **each,
                    "recent": tuple((int(time), float(value)) for time, value in each["recent"]),
                    "metrics": {key: _metric_from(value) for key, value in each["metrics"].items()},
                }
            )
            for each in document["series"]
        ),
        marks=tuple(
            MarkDigest(at=each["at"], moved=tuple((name, before, after) for name, before, after in each["moved"]))
            for each in document["marks"]
        ),
    )


def _metric_from(value: dict[str, Any]) -> MetricDigest:
    return MetricDigest(
        n=value["n"],
        levels=tuple(LevelDigest(**each) for each in value["levels"]),
        changes=tuple(ChangeDigest(**{**each, "spark": tuple(each["spark"])}) for each in value["changes"]),
    )
