"""Sessions out of a database, with all that only they have used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, and_, delete, false, func, or_, select

from coiled_runtime_cli.db import marks, models
from coiled_runtime_cli.db.engine import writing
from coiled_runtime_cli.db.errors import database_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement


@dataclass(frozen=True, slots=True)
class Prunable:
    """What would go. ``unshared`` sessions are in no remote, as far as is known: this database may be their only place."""

    sessions: int
    runs: int
    unshared: int


def chosen(*, before: datetime | None = None, ids: Sequence[str] = ()) -> ColumnElement[bool]:
    """The sessions that started before a moment, and those with these ids: none where neither is given."""
    wanted: list[ColumnElement[bool]] = []
    if before is not None:
        wanted.append(and_(models.Session.started.is_not(None), models.Session.started < before))
    if ids:
        wanted.append(models.Session.id.in_(ids))
    return or_(false(), *wanted)  # nothing would be no condition at all


def count(engine: Engine, sessions: ColumnElement[bool]) -> Prunable:
    with database_errors(engine), engine.connect() as connection:
        ids = list(connection.scalars(select(models.Session.id).where(sessions)))
        runs = connection.scalar(
            select(func.count(models.Run.key))
            .join(models.Session, models.Session.key == models.Run.session_key)
            .where(sessions)
        )
        return Prunable(len(ids), runs or 0, marks.nowhere(connection, ids))


def prune(engine: Engine, sessions: ColumnElement[bool]) -> None:
    """Remove them in one transaction. SQLite's file stays as large as it was until :func:`shrink`."""
    # their references are kept to by the order here: SQLite would look for each row's children in all of the runs
    with database_errors(engine), writing(engine, foreign_keys=False) as connection:
        remove(connection, sessions)


def remove(connection: Connection, sessions: ColumnElement[bool]) -> None:
    run, cluster, session = models.Run, models.Cluster, models.Session
    keys = select(session.key).where(sessions)
    runs = select(run.key).where(run.session_key.in_(keys))
    connection.execute(delete(models.Metric).where(models.Metric.run_key.in_(runs)))
    connection.execute(delete(run).where(run.session_key.in_(keys)))
    connection.execute(delete(cluster).where(cluster.session_key.in_(keys)))
    connection.execute(delete(session).where(sessions))
    _remove_unused(connection)


def _remove_unused(connection: Connection) -> None:
    run, session, cluster = models.Run, models.Session, models.Cluster
    used = select(run.benchmark_key).distinct()
    connection.execute(delete(models.Benchmark).where(models.Benchmark.key.not_in(used)))
    sources = select(models.Benchmark.source_hash).distinct()
    connection.execute(delete(models.Source).where(models.Source.hash.not_in(sources)))
    environments = (
        select(run.environment_key)
        .where(run.environment_key.is_not(None))
        .union(select(session.environment_key).where(session.environment_key.is_not(None)))
    )
    connection.execute(delete(models.Environment).where(models.Environment.key.not_in(environments)))
    specs = (
        select(cluster.cluster_spec_key)
        .where(cluster.cluster_spec_key.is_not(None))
        .union(select(session.cluster_spec_key).where(session.cluster_spec_key.is_not(None)))
    )
    connection.execute(delete(models.ClusterSpec).where(models.ClusterSpec.key.not_in(specs)))
    recorded = select(models.Metric.metric_info_key).distinct()
    connection.execute(
        delete(models.MetricInfo).where(~models.MetricInfo.built_in, models.MetricInfo.key.not_in(recorded))
    )


def shrink(engine: Engine) -> None:
    """Give back to the system what a SQLite file has to spare; a server does so itself."""
    if engine.dialect.name != "sqlite":
        return
    raw = engine.raw_connection()
    try:
        with database_errors(engine):
            driver: Any = raw.driver_connection
            driver.execute("vacuum")
    finally:
        raw.close()
