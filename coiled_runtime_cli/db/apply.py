"""A segment into a database: in whatever order segments come, what the database holds in the end is the same.

What two databases say of one thing is joined column by column: something beats nothing, and of two things that contradict each
other the one whose spelling is greater stays. Runs are not joined: of two runs with one UUID the one with the larger hash
stays, whole, and is counted as a conflict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, MetaData, delete, insert, select, update
from sqlalchemy.exc import DataError, IntegrityError

from coiled_runtime_cli.core.segment import (
    Applied,
    Segment,
    SegmentError,
    from_number,
    metrics_of,
    row_hash,
    spelling,
)
from coiled_runtime_cli.db import models
from coiled_runtime_cli.db.engine import stored_revisions, writing
from coiled_runtime_cli.db.errors import database_errors
from coiled_runtime_cli.db.kinds import SHARED, current_kinds, kinds_of
from coiled_runtime_cli.db.segments import recorded_metrics, run_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Engine

    from coiled_runtime_cli.db.kinds import Kind, Natural, Row

#: What databases and their drivers raise at rows that they cannot hold.
UNFIT = (IntegrityError, DataError, TypeError, OverflowError)


def apply_segment(engine: Engine, segment: Segment) -> Applied:
    """Store a segment of the database's own revision, whole or not at all; twice is once.

    Raises SegmentError where the segment is of another revision, or says what the schema has no place for.
    """
    with database_errors(engine), writing(engine) as connection:
        return Applier(connection).apply(segment)


class Applier:
    """Applies segments within one transaction that holds the write lock; keeps what it has seen of rows that they share.

    ``metadata`` is that of a database of another revision, whose segments it takes then; there are no runs in it yet.
    """

    def __init__(self, connection: Connection, metadata: MetaData | None = None) -> None:
        self._connection = connection
        self._kinds = current_kinds() if metadata is None else kinds_of(metadata)
        self._metric = (metadata or models.Base.metadata).tables["metric"]
        self._revisions = stored_revisions(connection)
        self._is_current = metadata is None
        self._keys: dict[str, dict[Natural, int]] = {}
        self._told: dict[str, dict[Natural, Row]] = {}

    def apply(self, segment: Segment) -> Applied:
        """Raises SegmentError; the transaction is then to be rolled back."""
        try:
            return self._apply(segment)
        except UNFIT as error:
            said = str(getattr(error, "orig", error)).partition("\n")[0]
            raise SegmentError(f"it has what the database cannot hold: {said}") from error

    def _apply(self, segment: Segment) -> Applied:
        if self._revisions != {segment.revision}:
            stored = ", ".join(sorted(self._revisions)) or "none"
            raise SegmentError(f"it is of schema {segment.revision}, and the database of {stored}")
        unknown = set(segment.tables) - {*self._kinds} | {"session"} & set(segment.tables)
        if unknown:
            raise SegmentError(f"it has rows of {min(unknown)!r}, which is no table of its schema")
        for name in SHARED:
            self._store(self._kinds[name], segment.tables.get(name, ()))
        self._store(self._kinds["session"], [segment.session])
        session = self._keys["session"][(segment.id,)]
        self._store(self._kinds["cluster"], segment.tables.get("cluster", ()), session_key=session)
        self._rename(segment)
        return self._runs(segment, session)

    def _store(self, kind: Kind, rows: Sequence[Row], **more: Any) -> None:
        """Add the rows that the database lacks, and to those that it has what they lack."""
        seen = self._told.setdefault(kind.name, {})
        told: dict[Natural, Row] = {}
        values: dict[Natural, dict[str, Any]] = {}
        for row in rows:
            natural = tuple(map(row.get, kind.natural))
            if all(isinstance(each, (str, int)) for each in natural) and seen.get(natural) == row:
                continue  # another segment said so
            values[natural] = kind.values(row)
            if natural in told:
                raise SegmentError(f"it tells two times of one {kind.name}")
            told[natural] = row
        if not told:
            return
        stored = kind.by_natural(self._connection, told)
        fresh = [
            {**values[each], **self._pointers(kind, row), **more} for each, row in told.items() if each not in stored
        ]
        if fresh:
            self._connection.execute(insert(kind.table), fresh)
        for natural, there in stored.items():
            found = {
                each.table: self._kinds[each.table].by_key(self._connection, [there[each.column]])
                for each in kind.references
            }
            before = kind.document(there, found, self._kinds)
            after = _joined(kind, before, told[natural])
            if after != before:
                self._look_up(kind, after)
                self._connection.execute(
                    update(kind.table)
                    .where(self._is(kind, natural))
                    .values(**kind.values(after), **self._pointers(kind, after))
                )
        if "key" in kind.table.c:
            self._keys.setdefault(kind.name, {}).update(kind.keys_of(self._connection, told))
        seen.update(told)

    def _look_up(self, kind: Kind, row: Row) -> None:
        """The keys of what a row points to: it may be what the database had and the segment has not."""
        for each in kind.references:
            if row.get(each.name) is not None:
                target = self._kinds[each.table]
                known = target.keys_of(self._connection, [target.natural_from(row[each.name])])
                self._keys.setdefault(each.table, {}).update(known)

    def _is(self, kind: Kind, natural: Natural) -> Any:
        condition = kind.table.c[kind.natural[0]] == natural[0]
        for name, value in zip(kind.natural[1:], natural[1:], strict=True):
            condition &= kind.table.c[name] == value
        return condition

    def _pointers(self, kind: Kind, row: Row) -> dict[str, int | None]:
        return {
            each.column: None if row.get(each.name) is None else self._key(each.table, row[each.name])
            for each in kind.references
        }

    def _key(self, table: str, natural: Any) -> int:
        try:
            return self._keys[table][tuple(natural) if isinstance(natural, list) else (natural,)]
        except (KeyError, TypeError) as error:
            raise SegmentError(f"it points to a {table} that it has not: {str(natural)[:80]}") from error

    def _rename(self, segment: Segment) -> None:
        """Former ids of benchmarks, as the newest session that says so declares them."""
        if not self._is_current or segment.session.get("started") is None:
            return
        declared = self._kinds["session"].values(segment.session)["started"]
        text = self._kinds["benchmark"].decoders["id"]
        pairs = {
            (text(former), str(each["id"]))
            for each in segment.tables.get("benchmark", ())
            for former in each.get("formerly") or ()
            if isinstance(former, str) and former != each["id"]
        }
        for former, current in sorted(pairs):
            declare(self._connection, former, current, declared)

    def _runs(self, segment: Segment, session: int) -> Applied:
        kind = self._kinds["run"]
        rows = segment.tables.get("run", ())
        told = {str(row.get("uuid")): row for row in rows}
        if len(told) != len(rows):
            raise SegmentError("it has two runs of one UUID")
        values = {uuid: self._run_values(kind, row, session) for uuid, row in told.items()}
        stored = self._stored_runs(told) if self._is_current else {}
        conflicts, replaced = [], {}
        for uuid, (key, there) in stored.items():
            mine, theirs = row_hash(told[uuid]), row_hash(there)
            if mine != theirs:
                conflicts.append(uuid)
            if mine > theirs:
                replaced[uuid] = key
        for uuid, key in replaced.items():
            # it goes last, under a number of its own: who has read the old one and remembers its number sees that it has gone
            self._connection.execute(update(kind.table).where(kind.table.c.key == key).values(uuid=f"{uuid} replaced"))
        fresh = [uuid for uuid in told if uuid not in stored or uuid in replaced]
        if fresh:
            self._connection.execute(insert(kind.table), [values[uuid] for uuid in fresh])
        for key in replaced.values():
            self._connection.execute(delete(self._metric).where(self._metric.c.run_key == key))
            self._connection.execute(delete(kind.table).where(kind.table.c.key == key))
        self._metrics([told[uuid] for uuid in fresh])
        new = len(fresh) - len(replaced)
        return Applied(new=new, known=len(stored) - len(conflicts), conflicts=tuple(sorted(conflicts)))

    def _run_values(self, kind: Kind, row: Row, session: int) -> dict[str, Any]:
        metrics_of(row)
        return {**kind.values(row), **self._pointers(kind, row), "session_key": session}

    def _stored_runs(self, uuids: Iterable[str]) -> dict[str, tuple[int, dict[str, Any]]]:
        """Key and document of each of these runs that the database has."""
        runs = self._kinds["run"].by_natural(self._connection, [(uuid,) for uuid in uuids]).values()
        if not runs:
            return {}
        found = {
            name: self._kinds[name].by_key(self._connection, (each[f"{name}_key"] for each in runs))
            for name in ("benchmark", "environment", "cluster")
        }
        recorded = recorded_metrics(self._connection, [each["key"] for each in runs])
        return {each["uuid"]: (int(each["key"]), run_document(each, found, recorded)) for each in runs}

    def _metrics(self, runs: Sequence[Row]) -> None:
        recorded = {(row["uuid"],): row["metrics"] for row in runs if row.get("metrics")}
        if not recorded:
            return
        keys = self._kinds["run"].keys_of(self._connection, recorded)
        self._connection.execute(
            insert(self._metric),
            [
                {
                    "run_key": keys[uuid],
                    "metric_info_key": self._key("metric_info", natural),
                    "value": from_number(value),
                }
                for uuid, metrics in recorded.items()
                for *natural, value in metrics
            ],
        )


def declare(connection: Connection, former: str, current: str, declared: Any) -> None:
    """Keep that a benchmark was called otherwise before, with the newest time at which a session said so."""
    table = models.Alias
    here = (table.former == former, table.current == current)
    stored = connection.scalar(select(table.declared).where(*here))
    if stored is None:
        connection.execute(insert(table).values(former=former, current=current, declared=declared))
    elif stored < declared:
        connection.execute(update(table).where(*here).values(declared=declared))


def _joined(kind: Kind, one: Row, other: Row) -> dict[str, Any]:
    """What both say: commutative, associative, idempotent."""
    joined = {}
    for name in {*one, *other}:
        values = [each[name] for each in (one, other) if each.get(name) is not None]
        # it was not interrupted, if anybody saw its end
        joined[name] = (
            all(values) if kind.name == "session" and name == "interrupted" else max(values, key=spelling, default=None)
        )
    return joined
