"""A session out of a database as a segment: all that belongs to it, by natural keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.segment import Segment, number, spelling
from coiled_runtime_cli.db import models
from coiled_runtime_cli.db.engine import stored_revisions
from coiled_runtime_cli.db.errors import database_errors, shown
from coiled_runtime_cli.db.kinds import chunks, current_kinds
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from coiled_runtime_cli.db.kinds import Row


def read_segment(engine: Engine, session: str) -> Segment:
    """The session of this id with all that belongs to it. Raises UsageError where there is none, CrtErrors as usual."""
    (segment,) = read_segments(engine, [session])
    return segment


def read_segments(engine: Engine, sessions: Iterable[str]) -> Iterator[Segment]:
    """As :func:`read_segment` for one session after the other, all of them as they are at one moment."""
    with database_errors(engine), engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        (revision,) = stored_revisions(connection)
        for session in sessions:
            try:
                yield segment_in(connection, session, revision)
            except (TypeError, ValueError, KeyError) as error:
                raise ToolError(
                    f"{shown(engine)}: session {session} holds what crt did not write: {error}", hint="crt db check"
                ) from error


def segment_in(connection: Connection, session: str, revision: str) -> Segment:
    """A session as it is within a transaction of a database of this revision, which is crt's own."""
    kinds = current_kinds()
    found_session = kinds["session"].rows(connection, models.Session.id == session)
    if not found_session:
        raise UsageError(f"there is no session {session}", hint="crt db query 'select id, started, label from session'")
    (row,) = found_session
    runs = kinds["run"].rows(connection, models.Run.session_key == row["key"])
    clusters = kinds["cluster"].rows(connection, models.Cluster.session_key == row["key"])
    found = {
        "benchmark": kinds["benchmark"].by_key(connection, (each["benchmark_key"] for each in runs)),
        "environment": kinds["environment"].by_key(connection, (each["environment_key"] for each in (*runs, row))),
        "cluster_spec": kinds["cluster_spec"].by_key(
            connection, (each["cluster_spec_key"] for each in (*clusters, row))
        ),
        "cluster": {each["key"]: each for each in clusters},
    }
    recorded = recorded_metrics(connection, [each["key"] for each in runs])
    used = {tuple(each[:3]) for metrics in recorded.values() for each in metrics}
    sources = {(each["source_hash"],) for each in found["benchmark"].values()}
    rows: dict[str, Iterable[Row]] = {
        **{name: each.values() for name, each in found.items()},
        "metric_info": kinds["metric_info"].by_natural(connection, used).values(),
        "source": kinds["source"].by_natural(connection, sources).values(),
    }
    tables = {name: [kinds[name].document(each, found, kinds) for each in those] for name, those in rows.items()}
    tables["run"] = [run_document(each, found, recorded) for each in runs]
    return Segment(revision=revision, session=kinds["session"].document(row, found, kinds), tables=tables)


def run_document(row: Row, found: Mapping[str, Mapping[int, Row]], recorded: Mapping[int, Any]) -> dict[str, Any]:
    """A run as a segment has it; ``recorded`` as :func:`recorded_metrics` gives it."""
    kinds = current_kinds()
    document = kinds["run"].document(row, found, kinds)
    if row["key"] in recorded:
        document["metrics"] = sorted(recorded[row["key"]], key=spelling)
    return document


def recorded_metrics(connection: Connection, keys: Sequence[int]) -> dict[int, list[list[Any]]]:
    """Name, unit, direction and value of all that each of these runs has recorded."""
    metric, info = models.Metric.__table__, current_kinds()["metric_info"]
    rows: list[Any] = []
    for chunk in chunks(sorted(keys)):
        rows += connection.execute(metric.select().where(metric.c.run_key.in_(chunk))).mappings()
    infos = info.by_key(connection, (each["metric_info_key"] for each in rows))
    recorded: dict[int, list[list[Any]]] = {}
    for each in rows:
        recorded.setdefault(each["run_key"], []).append(
            [*info.natural_of(infos[each["metric_info_key"]]), number(each["value"])]
        )
    return recorded
