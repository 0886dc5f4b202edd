"""A session out of a database as a segment, and a segment into a database: by natural keys, never by numbers of rows.

What two databases say of one thing is joined column by column so that no order of segments matters: something beats nothing,
and of two things that contradict each other the one whose spelling is greater stays. Runs are not joined: of two runs with one
UUID the one with the larger hash stays, whole, and is counted as a conflict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, Boolean, Float, Integer, Text, delete, insert, select, tuple_, update

from coiled_runtime_cli.core.segment import Applied, Segment, SegmentError, from_number, number, row_hash, spelling
from coiled_runtime_cli.db import models
from coiled_runtime_cli.db.engine import stored_revisions, writing
from coiled_runtime_cli.db.errors import database_errors, shown
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Column, Connection, Engine

    Row = Mapping[str, Any]
    Natural = tuple[Any, ...]

#: Values in one IN (...): SQLite takes 32,766 since 3.32, before that 999; a natural key has up to three.
_CHUNK = 300


@dataclass(frozen=True, slots=True)
class _Kind:
    """A table by its natural key; ``references`` are its columns that point elsewhere, by what they are called in a segment."""

    model: type[models.Base]
    natural: tuple[str, ...]
    references: tuple[tuple[str, str, str], ...] = ()  # column, name in a segment, table

    @property
    def name(self) -> str:
        return str(self.model.__tablename__)

    @property
    def columns(self) -> dict[str, Column[Any]]:
        """What belongs to a row itself."""
        pointing = {"key", "session_key", *(column for column, _, _ in self.references)}
        found: dict[str, Any] = dict(self.model.__table__.columns.items())
        return {name: column for name, column in found.items() if name not in pointing}


_ENVIRONMENT = _Kind(models.Environment, ("id",))
_CLUSTER_SPEC = _Kind(models.ClusterSpec, ("id",))
_SOURCE = _Kind(models.Source, ("hash",))
_BENCHMARK = _Kind(models.Benchmark, ("id", "epoch", "source_hash"))
_METRIC_INFO = _Kind(models.MetricInfo, ("name", "unit", "better"))
_OF_SPEC = ("cluster_spec_key", "cluster_spec", "cluster_spec")
_OF_ENVIRONMENT = ("environment_key", "environment", "environment")
_SESSION = _Kind(models.Session, ("id",), (_OF_SPEC, _OF_ENVIRONMENT))
_CLUSTER = _Kind(models.Cluster, ("id",), (_OF_SPEC,))
_RUN = _Kind(
    models.Run,
    ("uuid",),
    (("benchmark_key", "benchmark", "benchmark"), _OF_ENVIRONMENT, ("cluster_key", "cluster", "cluster")),
)

#: Each before those that point to it. Recorded metrics are part of their run.
_SHARED = (_ENVIRONMENT, _CLUSTER_SPEC, _SOURCE, _BENCHMARK, _METRIC_INFO)
_KINDS = {kind.name: kind for kind in (*_SHARED, _CLUSTER, _RUN)}


def read_segment(engine: Engine, session: str) -> Segment:
    """The session of this id with all that belongs to it. Raises UsageError where there is none, CrtErrors as usual."""
    with database_errors(engine), engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        try:
            return _segment(connection, session)
        except (TypeError, ValueError) as error:
            raise ToolError(
                f"{shown(engine)}: session {session} holds what crt did not write: {error}", hint="crt db check"
            ) from error


def apply_segment(engine: Engine, segment: Segment) -> Applied:
    """Store a segment of the database's own revision, whole or not at all; twice is once.

    Raises SegmentError where the segment is of another revision, or says what the schema has no place for.
    """
    with database_errors(engine), writing(engine) as connection:
        return apply_in(connection, segment)


def apply_in(connection: Connection, segment: Segment) -> Applied:
    """As :func:`apply_segment`, within a transaction that holds the write lock."""
    stored = stored_revisions(connection)
    if stored != {segment.revision}:
        raise SegmentError(
            f"it is of schema {segment.revision}, and the database of {', '.join(sorted(stored)) or 'none'}"
        )
    return _Writer(connection, segment).apply()


def _segment(connection: Connection, session: str) -> Segment:
    table = models.Session.__table__
    found_session = _rows(connection, table, table.c.id == session)
    if not found_session:
        raise UsageError(f"there is no session {session}", hint="crt report shows those that there are")
    (row,) = found_session
    run, cluster = models.Run.__table__, models.Cluster.__table__
    runs = _rows(connection, run, run.c.session_key == row["key"])
    clusters = _rows(connection, cluster, cluster.c.session_key == row["key"])
    found = {
        "benchmark": _pointed(connection, _BENCHMARK, (each["benchmark_key"] for each in runs)),
        "environment": _pointed(connection, _ENVIRONMENT, (each["environment_key"] for each in (*runs, row))),
        "cluster_spec": _pointed(connection, _CLUSTER_SPEC, (each["cluster_spec_key"] for each in (*clusters, row))),
        "cluster": {each["key"]: each for each in clusters},
    }
    recorded = _recorded(connection, [each["key"] for each in runs])
    used = {tuple(each[:3]) for metrics in recorded.values() for each in metrics}
    rows: dict[str, Iterable[Row]] = {
        **{name: each.values() for name, each in found.items()},
        "metric_info": _stored(connection, _METRIC_INFO, used).values(),
        "source": _stored(
            connection, _SOURCE, {(each["source_hash"],) for each in found["benchmark"].values()}
        ).values(),
    }
    tables = {name: [_document(_KINDS[name], each, found) for each in those] for name, those in rows.items()}
    tables["run"] = [_run_document(each, found, recorded) for each in runs]
    (revision,) = stored_revisions(connection)
    return Segment(revision=revision, session=_document(_SESSION, row, found), tables=tables)


def _stored_runs(connection: Connection, uuids: Iterable[str]) -> dict[str, tuple[int, dict[str, Any]]]:
    """Key and document of each of these runs that the database has."""
    runs = _stored(connection, _RUN, [(uuid,) for uuid in uuids]).values()
    found = {
        "benchmark": _pointed(connection, _BENCHMARK, (each["benchmark_key"] for each in runs)),
        "environment": _pointed(connection, _ENVIRONMENT, (each["environment_key"] for each in runs)),
        "cluster": _pointed(connection, _CLUSTER, (each["cluster_key"] for each in runs)),
    }
    recorded = _recorded(connection, [each["key"] for each in runs])
    return {each["uuid"]: (int(each["key"]), _run_document(each, found, recorded)) for each in runs}


def _recorded(connection: Connection, keys: Iterable[int]) -> dict[int, list[list[Any]]]:
    """Name, unit, direction and value of all that each of these runs has recorded."""
    metric = models.Metric.__table__
    rows = [row for chunk in _chunks(sorted(keys)) for row in _rows(connection, metric, metric.c.run_key.in_(chunk))]
    infos = _pointed(connection, _METRIC_INFO, (each["metric_info_key"] for each in rows))
    recorded: dict[int, list[list[Any]]] = {}
    for each in rows:
        kind = [infos[each["metric_info_key"]][name] for name in _METRIC_INFO.natural]
        recorded.setdefault(each["run_key"], []).append([*kind, number(each["value"])])
    return recorded


def _run_document(row: Row, found: Mapping[str, Mapping[int, Row]], recorded: Mapping[int, Any]) -> dict[str, Any]:
    document = _document(_RUN, row, found)
    if row["key"] in recorded:
        document["metrics"] = sorted(recorded[row["key"]], key=spelling)
    return document


def _document(kind: _Kind, row: Row, found: Mapping[str, Mapping[int, Row]]) -> dict[str, Any]:
    document = {name: _encoded(column, row[name]) for name, column in kind.columns.items() if row[name] is not None}
    for column, name, target in kind.references:
        if row[column] is not None:
            pointed = found[target][row[column]]
            natural = [pointed[each] for each in _KINDS[target].natural]
            document[name] = natural[0] if len(natural) == 1 else natural
    return document


def _rows(connection: Connection, table: Any, condition: Any) -> list[Row]:
    return [dict(row) for row in connection.execute(select(table).where(condition)).mappings()]


def _pointed(connection: Connection, kind: _Kind, keys: Iterable[int | None]) -> dict[int, Row]:
    table = kind.model.__table__
    wanted = sorted({key for key in keys if key is not None})
    rows = [row for chunk in _chunks(wanted) for row in _rows(connection, table, table.c.key.in_(chunk))]
    return {row["key"]: row for row in rows}


def _stored(connection: Connection, kind: _Kind, naturals: Iterable[Natural]) -> dict[Natural, Row]:
    table = kind.model.__table__
    columns = [table.c[name] for name in kind.natural]
    found = {}
    for chunk in _chunks(sorted(naturals)):
        condition = tuple_(*columns).in_(chunk) if len(columns) > 1 else columns[0].in_([each for (each,) in chunk])
        for row in _rows(connection, table, condition):
            found[_natural(kind, row)] = row
    return found


class _Writer:
    def __init__(self, connection: Connection, segment: Segment) -> None:
        self._connection = connection
        self._segment = segment
        self._keys: dict[str, dict[Natural, int]] = {}

    def apply(self) -> Applied:
        unknown = set(self._segment.tables) - set(_KINDS)
        if unknown:
            raise SegmentError(f"it has rows of {min(unknown)!r}, which is no table of its schema")
        for kind in _SHARED:
            self._store(kind, self._rows(kind))
        self._store(_SESSION, [_checked(_SESSION, self._segment.session)])
        session = self._keys["session"][(self._segment.id,)]
        self._store(_CLUSTER, self._rows(_CLUSTER), session_key=session)
        return self._runs(session)

    def _rows(self, kind: _Kind) -> list[Row]:
        return [_checked(kind, row) for row in self._segment.tables.get(kind.name, ())]

    def _store(self, kind: _Kind, rows: Sequence[Row], **more: Any) -> None:
        """Add the rows that the database lacks, and to those that it has what they lack."""
        told: dict[Natural, Row] = {}
        for row in rows:
            natural = _natural(kind, row)
            told[natural] = row if natural not in told else _joined(kind, told[natural], row)
        stored = _stored(self._connection, kind, told)
        fresh = [self._values(kind, row, **more) for natural, row in told.items() if natural not in stored]
        if fresh:
            self._connection.execute(insert(kind.model), fresh)
        for natural, there in stored.items():
            found = {
                target: _pointed(self._connection, _KINDS[target], [there[column]])
                for column, _, target in kind.references
            }
            before = _document(kind, there, found)
            after = _joined(kind, before, told[natural])
            if after != before:
                self._know(kind, after)
                values = self._values(kind, after)
                self._connection.execute(update(kind.model).where(self._is(kind, natural)).values(**values))
        if kind is not _SOURCE:
            self._keys.setdefault(kind.name, {}).update(self._numbers(kind, told))

    def _know(self, kind: _Kind, row: Row) -> None:
        """Look up what a row points to: it may be what the database had and the segment has not."""
        for _, name, target in kind.references:
            if row.get(name) is not None:
                natural = tuple(row[name]) if isinstance(row[name], list) else (row[name],)
                self._keys.setdefault(target, {}).update(self._numbers(_KINDS[target], [natural]))

    def _numbers(self, kind: _Kind, naturals: Iterable[Natural]) -> dict[Natural, int]:
        return {natural: int(row["key"]) for natural, row in _stored(self._connection, kind, naturals).items()}

    def _is(self, kind: _Kind, natural: Natural) -> Any:
        table = kind.model.__table__
        condition = table.c[kind.natural[0]] == natural[0]
        for name, value in zip(kind.natural[1:], natural[1:], strict=True):
            condition &= table.c[name] == value
        return condition

    def _values(self, kind: _Kind, row: Row, **more: Any) -> dict[str, Any]:
        values = {name: _decoded(column, row.get(name)) for name, column in kind.columns.items()}
        for column, name, target in kind.references:
            values[column] = None if row.get(name) is None else self._key(target, row[name])
        return {**values, **more}

    def _key(self, target: str, natural: Any) -> int:
        told = tuple(natural) if isinstance(natural, list) else (natural,)
        try:
            return self._keys[target][told]
        except (KeyError, TypeError) as error:
            raise SegmentError(f"it points to a {target} that it has not: {str(natural)[:80]}") from error

    def _runs(self, session: int) -> Applied:
        told = {_natural(_RUN, row)[0]: row for row in self._rows(_RUN)}
        if len(told) != len(self._segment.tables.get("run", ())):
            raise SegmentError("it has two runs of one UUID")
        stored = _stored_runs(self._connection, told)
        conflicts = []
        replaced = []
        for uuid, (key, there) in stored.items():
            mine, theirs = row_hash(told[uuid]), row_hash(there)
            if mine != theirs:
                conflicts.append(uuid)
            if mine > theirs:
                self._connection.execute(delete(models.Metric).where(models.Metric.run_key == key))
                values = self._values(_RUN, told[uuid], session_key=session)
                self._connection.execute(update(models.Run).where(models.Run.key == key).values(**values))
                replaced.append(uuid)
        fresh = [uuid for uuid in told if uuid not in stored]
        if fresh:
            added = [self._values(_RUN, told[uuid], session_key=session) for uuid in fresh]
            self._connection.execute(insert(models.Run), added)
        self._metrics([told[uuid] for uuid in (*fresh, *replaced)])
        return Applied(new=len(fresh), known=len(stored) - len(conflicts), conflicts=tuple(sorted(conflicts)))

    def _metrics(self, runs: Sequence[Row]) -> None:
        recorded = {(row["uuid"],): row["metrics"] for row in runs if row.get("metrics")}
        if not recorded:
            return
        keys = self._numbers(_RUN, recorded)
        self._connection.execute(
            insert(models.Metric),
            [
                {
                    "run_key": keys[uuid],
                    "metric_info_key": self._key("metric_info", each[:3]),
                    "value": from_number(each[3]),
                }
                for uuid, metrics in recorded.items()
                for each in metrics
            ],
        )


def _natural(kind: _Kind, row: Row) -> Natural:
    return tuple(row[name] for name in kind.natural)


def _checked(kind: _Kind, row: Row) -> dict[str, Any]:
    """The row, if it has nothing but what its table has, each of its kind. Raises SegmentError."""
    known = {*kind.columns, *(name for _, name, _ in kind.references), *(["metrics"] if kind is _RUN else [])}
    strange = set(row) - known
    if strange:
        raise SegmentError(f"its {kind.name} has {min(strange)!r}, which its schema has not")
    for name in kind.natural:
        if row.get(name) is None:
            raise SegmentError(f"a {kind.name} of it has no {name}")
    for name, column in kind.columns.items():
        _decoded(column, row.get(name))
        if row.get(name) is None and not column.nullable:
            raise SegmentError(f"a {kind.name} of it has no {name}")
    for each in row.get("metrics", ()) if kind is _RUN else ():
        if not (isinstance(each, list) and len(each) == 4 and all(isinstance(part, str) for part in each[:3])):
            raise SegmentError("a metric of it is none")
        if from_number(each[3]) is None:
            raise SegmentError("a metric of it has no value")
    return dict(row)


def _joined(kind: _Kind, one: Row, other: Row) -> dict[str, Any]:
    """What both say: commutative, associative, idempotent."""
    joined = {}
    for name in {*one, *other}:
        values = [each[name] for each in (one, other) if each.get(name) is not None]
        # it was not interrupted, if anybody saw its end
        joined[name] = (
            all(values) if kind is _SESSION and name == "interrupted" else max(values, key=spelling, default=None)
        )
    return joined


def _encoded(column: Column[Any], value: Any) -> Any:
    kind = column.type
    if isinstance(kind, models.UTCDateTime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27)
    if isinstance(kind, Float):
        return number(float(value))
    if isinstance(kind, JSON):
        return _plain(value)
    return value


def _plain(value: Any) -> Any:
    """A document in which every number is JSON's."""
    if isinstance(value, float) and not math.isfinite(value):
        return number(value)
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _decoded(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    kind = column.type
    if isinstance(kind, models.UTCDateTime):
        return _moment(value)
    if isinstance(kind, Float):
        return from_number(value)
    if isinstance(kind, JSON):
        return value
    fits = {Boolean: _is_boolean, Integer: _is_integer, Text: _is_text}
    if not any(isinstance(kind, sql) and fit(value) for sql, fit in fits.items()):
        raise SegmentError(f"{str(value)[:60]!r} is no {column.name}")
    return value


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_text(value: Any) -> bool:
    """Whether every database takes it: neither NUL nor half of a surrogate pair."""
    return isinstance(value, str) and "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)


def _moment(value: Any) -> datetime:
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    except (TypeError, ValueError) as error:
        raise SegmentError(f"{str(value)[:60]!r} is no time") from error


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]
