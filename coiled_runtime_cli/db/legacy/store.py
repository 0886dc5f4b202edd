"""Rows of the predecessor into crt's tables, many at a time, under the ids that an ingest of the same facts would give."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, insert, select, text, update

from coiled_runtime_cli.core import record
from coiled_runtime_cli.db import models
from coiled_runtime_cli.db.kinds import chunks
from coiled_runtime_cli.db.legacy.rows import Measured, environment_row
from coiled_runtime_cli.db.marks import forget_pushed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from coiled_runtime_cli.db.legacy.rows import Row, Tpch

#: Environments and benchmarks whose keys are remembered; a real history has a few thousand.
_REMEMBERED = 50_000

#: Memory for pages of SQLite (KiB): the indexes by id of a million rows, which are written in no order.
_CACHE = 200_000

_RUN_COLUMNS = (
    "uuid",
    "session_key",
    "benchmark_key",
    "environment_key",
    "cluster_key",
    "repeat",
    "profiled",
    "outcome",
    "setup_outcome",
    "call_outcome",
    "teardown_outcome",
    "start",
    "end",
    *record.MEASURES,
    "performance_report_url",
    "cluster_dump_url",
    "memray_profiles_url",
    "py_spy_profiles_url",
)
_CLUSTER_COLUMNS = (
    "key",
    "id",
    "session_key",
    "cluster_spec_key",
    "name",
    "cluster_id",
    "details_url",
    "software_name",
)


@dataclass(slots=True)
class SessionRow:
    """A session while its runs are being written. ``first`` and ``last`` are times of its new runs, as Measured has them."""

    id: str
    key: int
    fresh: bool  # it was made in this transaction: nothing else refers to it
    clusters: dict[tuple[Any, ...], int] = field(default_factory=dict)
    first: str | None = None
    last: str | None = None
    environment: int | None = None

    def saw(self, run: Measured, environment: int | None) -> None:
        if run.start is not None and (self.first is None or run.start < self.first):
            self.first, self.environment = run.start, environment if environment is not None else self.environment
        elif self.environment is None:
            self.environment = environment
        for moment in (run.start, run.end):
            if moment is not None and (self.last is None or moment > self.last):
                self.last = moment


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run with the keys of what it belongs to."""

    measured: Measured
    repeat: int
    session: SessionRow
    benchmark: int
    environment: int | None
    cluster: tuple[Any, ...] | None  # specification's id, name, number, page, software
    spec: int | None


class Keys:
    """The keys of shared rows, remembered from one transaction to the next."""

    def __init__(self) -> None:
        self.environments: dict[Row, int | None] = {}
        self.benchmarks: dict[tuple[str, str], int] = {}
        self.specs: dict[str, int] = {}


class Store:
    """Writes within one transaction."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        self._sqlite = connection.dialect.name == "sqlite"
        if self._sqlite:
            connection.exec_driver_sql(f"pragma cache_size = -{_CACHE}")

    def facts(self, id: str) -> tuple[str | None, str | None, str | None] | None:  # noqa: A002
        """Label, CI run and scale of a session; None where there is none of this id."""
        table = models.Session
        row = self._connection.execute(select(table.label, table.ci_url, table.scale).where(table.id == id)).first()
        return None if row is None else (row.label, row.ci_url, row.scale)

    def session(self, id: str, *, label: str | None, scale: str, ci_url: str | None) -> SessionRow:  # noqa: A002
        """The session's row; what it lacks is added, what it says already stays."""
        table = models.Session
        told = {"label": label, "scale": scale, "ci_url": ci_url}
        row = self._connection.execute(
            select(table.key, table.label, table.scale, table.ci_url).where(table.id == id)
        ).first()
        if row is None:
            self._connection.execute(insert(table).values(id=id, interrupted=False, **told))
            return SessionRow(id, self._connection.scalars(select(table.key).where(table.id == id)).one(), fresh=True)
        missing = {name: value for name, value in told.items() if value is not None and getattr(row, name) is None}
        if missing:
            self._connection.execute(update(table).where(table.key == row.key).values(**missing))
        return SessionRow(id, row.key, fresh=False)

    def close(self, session: SessionRow) -> None:
        """Widen the session to its new runs."""
        table = models.Session
        row = self._connection.execute(
            select(table.started, table.ended, table.environment_key).where(table.key == session.key)
        ).one()
        first, last = (
            None if each is None else datetime.fromisoformat(each).replace(tzinfo=timezone.utc)
            for each in (session.first, session.last)
        )
        started = min((each for each in (row.started, first) if each is not None), default=None)
        ended = max((each for each in (row.ended, last) if each is not None), default=None)
        environment = row.environment_key if row.environment_key is not None else session.environment
        if (started, ended, environment) != tuple(row):
            self._connection.execute(
                update(table)
                .where(table.key == session.key)
                .values(started=started, ended=ended, environment_key=environment)
            )

    def known(self, uuids: Sequence[str]) -> set[str]:
        """Those of the UUIDs that the database has."""
        column = models.Run.uuid
        found: set[str] = set()
        for chunk in chunks(uuids):
            found.update(self._connection.scalars(select(column).where(column.in_(chunk))))
        return found

    def environment(self, facts: Row, engines: Row) -> int | None:
        remembered = self._keys.environments
        whole = (*facts, *engines)
        if whole not in remembered:
            if len(remembered) >= _REMEMBERED:
                remembered.clear()
            row = environment_row(facts, engines)
            remembered[whole] = None if row is None else self._key(models.Environment, row)
        return remembered[whole]

    def benchmark(self, path: str, name: str, originalname: str | None, query: int | None = None) -> int:
        """The version of the benchmark that has no source."""
        remembered = self._keys.benchmarks
        if (path, name) not in remembered:
            if len(remembered) >= _REMEMBERED:
                remembered.clear()
            bare = name.partition("[")[0].rpartition("::")[2]
            params = {} if query is None else {"query": query}
            line = record.Benchmark(path=path, name=name, originalname=originalname or bare, params=params)
            table = models.Benchmark
            here = (table.id == line.id, table.epoch == line.epoch, table.source_hash == "")
            key = self._connection.scalar(select(table.key).where(*here))
            if key is None:
                if self._connection.scalar(select(models.Source.hash).where(models.Source.hash == "")) is None:
                    self._connection.execute(insert(models.Source).values(hash="", text=None))
                self._connection.execute(
                    insert(table).values(
                        id=line.id,
                        epoch=line.epoch,
                        source_hash="",
                        path=line.path,
                        name=line.name,
                        originalname=line.originalname,
                        suite=line.suite,
                        params=line.params,
                        markers=[],
                    )
                )
                key = self._connection.scalars(select(table.key).where(*here)).one()
            remembered[path, name] = key
        return remembered[path, name]

    def spec(self, told: Tpch | None) -> tuple[str | None, int | None]:
        """Id and key of the cluster's specification; None where nothing is known of it."""
        if told is None or (told.kind is None and not told.spec):
            return None, None
        cluster = record.Cluster(kind=told.kind or "coiled", spec=told.spec)
        if cluster.key not in self._keys.specs:
            row = {"id": cluster.key, "kind": cluster.kind, "spec": cluster.spec}
            self._keys.specs[cluster.key] = self._key(models.ClusterSpec, row)
        return cluster.key, self._keys.specs[cluster.key]

    def write(self, runs: Sequence[NewRun]) -> None:
        self._write_clusters(runs)
        zone = "" if self._sqlite else "+00"
        rows = []
        for run in runs:
            its = run.measured
            rows.append(
                (
                    its.uuid,
                    run.session.key,
                    run.benchmark,
                    run.environment,
                    None if run.cluster is None else run.session.clusters[run.cluster],
                    run.repeat,
                    its.profiled,
                    its.outcome,
                    *its.phases,
                    its.start and its.start + zone,
                    its.end and its.end + zone,
                    *its.measures,
                    *its.artefacts,
                )
            )
        self._insert("run", _RUN_COLUMNS, rows)
        forget_pushed(self._connection, sorted({run.session.id for run in runs if not run.session.fresh}))

    def _write_clusters(self, runs: Sequence[NewRun]) -> None:
        wanted: dict[str, NewRun] = {}
        for run in runs:
            if run.cluster is not None and run.cluster not in run.session.clusters:
                identity = record.content_id([run.session.id, *run.cluster])
                wanted[identity] = run
        table = models.Cluster
        ids = list(wanted)
        asked = [each for each in ids if not wanted[each].session.fresh]
        stored: dict[str, int] = {}
        for chunk in chunks(asked):
            query = select(table.id, table.key).where(table.id.in_(chunk))
            stored.update({row.id: row.key for row in self._connection.execute(query)})
        new = [each for each in ids if each not in stored]
        rows = []
        for identity, key in zip(new, self._cluster_keys(len(new)), strict=True):
            run = wanted[identity]
            assert run.cluster is not None
            rows.append((key, identity, run.session.key, run.spec, *run.cluster[1:]))
            stored[identity] = key
        self._insert("cluster", _CLUSTER_COLUMNS, rows)
        for identity, run in wanted.items():
            assert run.cluster is not None
            run.session.clusters[run.cluster] = stored[identity]

    def _cluster_keys(self, count: int) -> Iterable[int]:
        """Keys that no other cluster has or will get."""
        if not count:
            return ()
        if self._sqlite:
            last = self._connection.scalar(select(func.max(models.Cluster.key))) or 0
            return range(last + 1, last + 1 + count)
        query = text("select nextval(pg_get_serial_sequence('cluster', 'key')) from generate_series(1, :count)")
        return list(self._connection.scalars(query, {"count": count}))

    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            # the driver's own way: for a million rows SQLAlchemy's takes a minute more
            names = ", ".join(f'"{each}"' for each in columns)
            values = ", ".join(["?" if self._sqlite else "%s"] * len(columns))
            self._connection.exec_driver_sql(f'insert into "{table}" ({names}) values ({values})', list(rows))  # noqa: S608

    def _key(self, table: Any, row: dict[str, Any]) -> int:
        """The key of the row with this id, which is made where there is none, and told where only its id is known."""
        telling = next(name for name in ("platform", "kind") if name in row)
        found = self._connection.execute(
            select(table.key, getattr(table, telling).label("told")).where(table.id == row["id"])
        ).first()
        if found is None:
            self._connection.execute(insert(table).values(**row))
            return int(self._connection.scalars(select(table.key).where(table.id == row["id"])).one())
        if found.told is None:
            self._connection.execute(update(table).where(table.key == found.key).values(**row))
        return int(found.key)
