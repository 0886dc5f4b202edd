"""Questions that commands ask of the database: values in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, func, select

from coiled_runtime_cli.core.record import MEASURES
from coiled_runtime_cli.core.series import Alias, SeriesKey, current_ids, series_key
from coiled_runtime_cli.db import models
from coiled_runtime_cli.db.errors import database_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

#: Sessions that one query looks at, newest first: at first few, then twice as many each time, up to the second.
#: Most series are full after a few tens of sessions; the others are nearly nowhere.
_FIRST_SESSIONS, _MOST_SESSIONS = 4, 256

#: Sessions that tell how long a benchmark takes.
_SESSIONS_FOR_ETA = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    id: str
    started: datetime | None
    ended: datetime | None
    interrupted: bool
    label: str | None
    scale: str | None
    cluster_kind: str | None
    command: tuple[str, ...]
    runs: int
    passed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    label: str
    sessions: int
    newest: datetime | None


def comparable_values(
    engine: Engine, session_id: str, *, measure: str = "duration", limit: int = 20
) -> dict[str, list[float]]:
    """For each benchmark of the session the values that its series has beside this session, oldest first.

    They come from passed and unprofiled runs with the same series key: the ``limit`` newest. ``measure`` is one of
    MEASURES or the name of a recorded metric. A benchmark without any is absent. One that this session ran in several
    series is compared within that of its last run.
    """
    with database_errors(engine), engine.connect() as connection:
        names = _current_names(connection)
        mine = _joined(select(*_series_columns())).where(models.Session.id == session_id)
        here = connection.execute(mine.order_by(models.Run.start, models.Run.key)).all()
        wanted = {row.benchmark: _series(row, names) for row in here}
        if not wanted:
            return {}
        found: dict[SeriesKey, list[float]] = {series: [] for series in wanted.values()}
        versions = _versions(connection, {series.benchmark for series in found}, names)
        for sessions in _comparable_sessions(connection, session_id, found):
            hungry = {series.benchmark for series, values in found.items() if len(values) < limit}
            unfilled = [key for key, benchmark in versions.items() if benchmark in hungry]
            if not unfilled:
                break
            for row in connection.execute(_values(measure, sessions, unfilled)):
                series = _series(row, names)
                if series in found and len(found[series]) < limit:
                    found[series].append(row.value)
        return {benchmark: found[series][::-1] for benchmark, series in wanted.items() if found[series]}


def sessions(engine: Engine, limit: int | None = None) -> list[SessionRow]:
    """The sessions, newest first."""
    order = (models.Session.started.desc().nulls_last(), models.Session.id.desc())
    newest = select(models.Session.key).order_by(*order).limit(limit)
    counts = (
        select(
            models.Run.session_key,
            func.count().label("runs"),
            func.count().filter(models.Run.outcome == "passed").label("passed"),
        )
        .where(models.Run.session_key.in_(newest))
        .group_by(models.Run.session_key)
        .subquery()
    )
    query = (
        select(models.Session, models.ClusterSpec.kind, counts.c.runs, counts.c.passed)
        .outerjoin(models.ClusterSpec, models.ClusterSpec.key == models.Session.cluster_spec_key)
        .outerjoin(counts, counts.c.session_key == models.Session.key)
        .where(models.Session.key.in_(newest))
        .order_by(*order)
    )
    with database_errors(engine), engine.connect() as connection:
        return [
            SessionRow(
                id=row.id,
                started=row.started,
                ended=row.ended,
                interrupted=row.interrupted,
                label=row.label,
                scale=row.scale,
                cluster_kind=row.kind,
                command=tuple(row.command or ()),
                runs=row.runs or 0,
                passed=row.passed or 0,
            )
            for row in connection.execute(query)
        ]


def labels(engine: Engine) -> list[LabelRow]:
    """The runtimes that have been measured, the latest measured first."""
    session = models.Session
    newest = func.max(session.started).label("newest")
    query = (
        select(session.label, func.count().label("sessions"), newest)
        .where(session.label.is_not(None))
        .group_by(session.label)
        .order_by(newest.desc(), session.label)
    )
    with database_errors(engine), engine.connect() as connection:
        return [
            LabelRow(label=row.label, sessions=row.sessions, newest=row.newest) for row in connection.execute(query)
        ]


def suites(engine: Engine) -> list[str]:
    """The suites that have been measured, by name."""
    with database_errors(engine), engine.connect() as connection:
        found = connection.execute(select(models.Benchmark.suite).distinct().order_by(models.Benchmark.suite))
        return list(found.scalars())


def last_duration(engine: Engine, ids: Collection[str] | None = None, *, scale: str | None = None) -> dict[str, float]:
    """How long (s) each benchmark took when it last ran, with setup and teardown: what an ETA needs.

    Only the newest sessions are asked, those at ``scale`` where one is given; a benchmark they did not run is absent.
    ``ids`` of None are all that they did.
    """
    session, run, benchmark = models.Session, models.Run, models.Benchmark
    recent = select(session.key).order_by(session.started.desc().nulls_last()).limit(_SESSIONS_FOR_ETA)
    if scale is not None:
        recent = recent.where(session.scale == scale)
    query = (
        select(benchmark.id, run.start, run.end)
        .join(benchmark, benchmark.key == run.benchmark_key)
        .where(run.session_key.in_(recent), run.start.is_not(None), run.end.is_not(None))
        .order_by(run.start)
    )
    with database_errors(engine), engine.connect() as connection:
        names = _current_names(connection)
        last = {names.get(row.id, row.id): (row.end - row.start).total_seconds() for row in connection.execute(query)}
    if ids is None:
        return last
    return {each: last[current] for each in ids if (current := names.get(each, each)) in last}


def session_overhead(engine: Engine, *, scale: str | None = None) -> float | None:
    """What a session takes beside its runs (s): imports, collecting, clusters that start. The median of the newest ones.

    None where no session has ended.
    """
    session, run = models.Session, models.Run
    recent = (
        select(session.key, session.started, session.ended)
        .where(session.started.is_not(None), session.ended.is_not(None))
        .order_by(session.started.desc())
        .limit(_SESSIONS_FOR_ETA)
    )
    if scale is not None:
        recent = recent.where(session.scale == scale)
    with database_errors(engine), engine.connect() as connection:
        sessions = {row.key: (row.ended - row.started).total_seconds() for row in connection.execute(recent)}
        runs = select(run.session_key, run.start, run.end).where(
            run.session_key.in_(list(sessions)), run.start.is_not(None), run.end.is_not(None)
        )
        for row in connection.execute(runs):
            sessions[row.session_key] -= (row.end - row.start).total_seconds()
    return max(0.0, median(sessions.values())) if sessions else None


def _joined(query: Any) -> Select[Any]:
    run = models.Run
    joined: Select[Any] = (
        query.select_from(run)
        .join(models.Session, models.Session.key == run.session_key)
        .join(models.Benchmark, models.Benchmark.key == run.benchmark_key)
        .outerjoin(models.Environment, models.Environment.key == run.environment_key)
        .outerjoin(models.Cluster, models.Cluster.key == run.cluster_key)
        .outerjoin(models.ClusterSpec, models.ClusterSpec.key == models.Cluster.cluster_spec_key)
    )
    return joined


def _series_columns() -> tuple[ColumnElement[Any], ...]:
    return (
        models.Benchmark.id.label("benchmark"),
        models.Benchmark.epoch.label("epoch"),
        models.Session.label.label("label"),
        models.Session.scale.label("scale"),
        models.ClusterSpec.id.label("cluster"),
        models.ClusterSpec.kind.label("cluster_kind"),
        models.Environment.python_minor.label("python"),
        models.Session.host_fingerprint.label("host"),
    )


def _series(row: Any, names: dict[str, str]) -> SeriesKey:
    return series_key(
        benchmark=names.get(row.benchmark, row.benchmark),
        epoch=row.epoch,
        label=row.label,
        scale=row.scale,
        cluster=row.cluster,
        cluster_kind=row.cluster_kind,
        python=row.python,
        host=row.host,
    )


def _current_names(connection: Connection) -> dict[str, str]:
    alias = models.Alias
    rows = connection.execute(select(alias.former, alias.current, alias.declared))
    return current_ids(Alias(row.former, row.current, row.declared.timestamp()) for row in rows)


def _versions(connection: Connection, current: Collection[str], names: dict[str, str]) -> dict[int, str]:
    """The keys of all versions, under all their names, of benchmarks given by current id."""
    benchmark = models.Benchmark
    rows = connection.execute(select(benchmark.key, benchmark.id))
    resolved = {row.key: names.get(row.id, row.id) for row in rows}
    return {key: name for key, name in resolved.items() if name in current}


def _comparable_sessions(connection: Connection, session_id: str, series: Iterable[SeriesKey]) -> Iterator[list[int]]:
    """Keys of the other sessions that can hold runs of ``series``, newest first, some at a time."""
    session = models.Session
    here = connection.execute(select(session.label, session.scale).where(session.id == session_id)).one()
    query = (
        select(session.key)
        .where(
            session.id != session_id,
            session.label.is_not_distinct_from(here.label),
            session.scale.is_not_distinct_from(here.scale),
        )
        .order_by(session.started.desc().nulls_last(), session.id.desc())
    )
    hosts = {each.host for each in series}
    if None not in hosts:
        query = query.where(session.host_fingerprint.in_(hosts))
    keys = list(connection.scalars(query))
    start, size = 0, _FIRST_SESSIONS
    while start < len(keys):
        yield keys[start : start + size]
        start, size = start + size, min(2 * size, _MOST_SESSIONS)


def _values(measure: str, session_keys: list[int], benchmark_keys: list[int]) -> Select[Any]:
    """Values of passed, unprofiled runs, newest first."""
    run = models.Run
    value: Any
    query: Select[Any]
    if measure in MEASURES:
        value = getattr(run, measure)
        query = _joined(select(value.label("value"), *_series_columns()))
    else:
        value, info = models.Metric.value, models.MetricInfo
        query = (
            _joined(select(value.label("value"), *_series_columns()))
            .join(models.Metric, models.Metric.run_key == run.key)
            .join(info, info.key == models.Metric.metric_info_key)
            .where(info.name == measure)
        )
    return query.where(
        run.session_key.in_(session_keys),
        run.benchmark_key.in_(benchmark_keys),
        run.outcome == "passed",
        run.profiled.is_(False),
        value.is_not(None),
    ).order_by(models.Session.started.desc(), run.start.desc(), run.key.desc())


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of a run that passed, and the commits of what it imported from outside of its environment, by module."""

    uuid: str
    value: float
    commits: dict[str, str | None]


def measured_in_session(engine: Engine, session_id: str, metric: str) -> Measured | None:
    """The only passed and unprofiled run of a session, and what it measured; None where there is none, or not one."""
    run, session, environment = models.Run, models.Session, models.Environment
    query = (
        select(run, environment.packages)
        .join(session, session.key == run.session_key)
        .outerjoin(environment, environment.key == run.environment_key)
        .where(session.id == session_id, run.outcome == "passed", run.profiled.is_(False))
    )
    with database_errors(engine), engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
        if len(rows) != 1:
            return None
        row = rows[0]
        value = row.get(metric) if metric in MEASURES else None
        if metric not in MEASURES:
            own, info = models.Metric, models.MetricInfo
            value = connection.scalar(
                select(own.value)
                .join(info, info.key == own.metric_info_key)
                .where(own.run_key == row["key"], info.name == metric)
            )
    packages = row["packages"] or []
    commits = {each["name"]: each.get("commit") for each in packages if each.get("imported")}
    return None if value is None else Measured(row["uuid"], float(value), commits)
