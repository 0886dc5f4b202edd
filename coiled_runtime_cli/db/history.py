"""The whole history as columns, from one database or several: what reports and detectors read.

Rows of ``run`` go from the driver straight into arrays; everything that they point to is a few thousand rows, read as usual.
"""

from __future__ import annotations

import contextlib
import hashlib
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, Engine, func, select

from coiled_runtime_cli.core import record
from coiled_runtime_cli.core.history import (
    NO_TIME,
    PHASE_OUTCOMES,
    HistoryBenchmark,
    HistoryCluster,
    HistoryEnvironment,
    HistorySession,
)
from coiled_runtime_cli.core.series import Alias
from coiled_runtime_cli.db import bisections, mirror, models
from coiled_runtime_cli.db.engine import stored_revisions
from coiled_runtime_cli.db.errors import database_errors, shown
from coiled_runtime_cli.db.merge import Part, merge
from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History

#: Rows that are asked for at a time: more of them fit no processor's cache, and take a third longer.
_BATCH = 10_000

_OUTCOMES: dict[Any, int] = {name: code for code, name in enumerate(record.OUTCOMES)}
_PHASES: dict[Any, int] = {name: code for code, name in enumerate(PHASE_OUTCOMES)}
_ARTEFACTS = {
    "performance_report": "performance_report_url",
    "cluster_dump": "cluster_dump_url",
    "memray": "memray_profiles_url",
    "py_spy": "py_spy_profiles_url",
}

#: Times outside of the years 1970 to 2262 are no times: the lowest and the highest that are kept, in microseconds.
_EARLIEST, _LATEST = 0, 9_214_646_400_000_000
_EPOCH = datetime.fromtimestamp(0, timezone.utc)

#: Where the dashes of a UUID are.
_DASHES = (8, 13, 18, 23)


def read_history(
    engines: Sequence[Engine],
    *,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    since: datetime | None = None,
    labels: Collection[str] | None = None,
    suites: Collection[str] | None = None,
) -> History:
    """Read the runs of all databases as one history: a run that several of them have is there once, as the first has it.

    ``cache`` is the folder of the mirrors (see ``mirror.py``); None: none is used. ``progress`` is told the rows read and the
    rows in all. ``since`` keeps the sessions that started at or after it, ``labels`` and ``suites`` those that they name; what
    no kept run points to is left out, but for the sessions. Raises CrtErrors as :func:`database_errors` does, and a ToolError
    where a database holds what is no JSON or no time.
    """
    sizes: list[int] = []
    for engine in engines:
        with _reading(engine) as connection:
            sizes.append(connection.execute(select(func.count()).select_from(models.Run)).scalar_one())
    parts: list[Part] = []
    for number, engine in enumerate(engines):
        before = sum(sizes[:number])

        def tell(done: int, before: int = before) -> None:
            if progress is not None:
                progress(min(before + done, sum(sizes)), sum(sizes))

        parts.append(_read(engine, cache, tell))
    return merge(parts, since=since, labels=labels, suites=suites)


def stamp(engines: Sequence[Engine]) -> tuple[Any, ...]:
    """Changes when a database has new runs, sessions, ends of sessions or bisections; costs next to nothing."""
    stamps: list[Any] = []
    for engine in engines:
        with database_errors(engine), engine.connect() as connection:
            latest = [select(func.max(table.key)) for table in (models.Run, models.Session, models.Bisection)]
            stamps.append(tuple(connection.execute(query).scalar() for query in latest))
            ended = select(func.count(models.Session.ended))
            stamps.append(connection.execute(ended).scalar())
    return tuple(stamps)


@contextlib.contextmanager
def _reading(engine: Engine) -> Iterator[Connection]:
    """A connection on which every question is answered from the same state of the database."""
    with database_errors(engine), engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


def _read(engine: Engine, cache: Path | None, tell: Callable[[int], None]) -> Part:
    kept = mirror.Mirror.of(engine, cache) if cache is not None else None
    with _reading(engine) as connection:
        try:
            part = _described(connection)
        except (TypeError, ValueError) as error:
            raise ToolError(
                f"{shown(engine)} holds what crt did not write: {error}",
                hint="mend that row, or read a copy from before it was changed",
            ) from error
        rows = _mirrored(connection, kept, part) if kept is not None else None
        read: list[mirror.Rows] = []
        count, last = (0, -(2**63)) if rows is None else (len(rows.key), int(rows.key[-1]))
        tell(count)
        for batch in _batches(connection, last, postgresql=connection.dialect.name == "postgresql"):
            read.append(batch)
            count += len(batch.key)
            tell(count)
    fresh = mirror.Rows.joined(read)
    part.rows = fresh if kept is None else kept.add(rows, fresh, part.names)
    return part


def _mirrored(connection: Connection, kept: mirror.Mirror, part: Part) -> mirror.Rows | None:
    """The mirrored rows, if the database still has exactly these as its first ones."""
    rows = kept.load(part.names)
    if rows is None or not len(rows.key):
        return None
    run = models.Run
    last = int(rows.key[-1])
    total = connection.execute(select(func.count()).select_from(run)).scalar_one()
    newer = connection.execute(select(func.count()).select_from(run).where(run.key > last)).scalar_one()
    if total - newer != len(rows.key):
        return None
    # the ends, and some between: a file that was put in the place of another has other runs under the same keys
    places = np.unique(np.linspace(0, len(rows.key) - 1, 9).astype(int)).tolist()
    keys = [int(rows.key[place]) for place in places]
    found = {row.key: row.uuid for row in connection.execute(select(run.key, run.uuid).where(run.key.in_(keys)))}
    same = [_uuid(found.get(key)) == rows.uuid[place].tobytes() for key, place in zip(keys, places, strict=True)]
    return rows if all(same) else None


_COLUMNS = (
    "key",
    "uuid",
    "session_key",
    "benchmark_key",
    "environment_key",
    "cluster_key",
    "outcome",
    "setup_outcome",
    "call_outcome",
    "teardown_outcome",
    "repeat",
    "profiled",
    "start",
    "end",
    *record.MEASURES,
)


def _batches(connection: Connection, last: int, *, postgresql: bool) -> Iterator[mirror.Rows]:
    """The rows after key ``last``, in order of their keys."""

    def column(name: str) -> str:
        if postgresql and name in {"start", "end"}:
            years = f"between to_timestamp({_EARLIEST // 10**6}) and to_timestamp({_LATEST // 10**6})"
            return f'case when "{name}" {years} then (extract(epoch from "{name}") * 1000000)::bigint end'
        return f'"{name}"'

    def times(column: Sequence[Any]) -> NDArray[np.int64]:
        return _integers(column, NO_TIME) if postgresql else _times(column)

    noted = ("failure", *_ARTEFACTS.values())
    # integers alone are put into these texts: the drivers' placeholders differ
    select_runs = f"select {', '.join(map(column, _COLUMNS))} from run where key > {{}} order by key limit {_BATCH}"  # noqa: S608
    select_notes = (
        f"select key, {', '.join(noted)} from run where key > {{}} and key <= {{}} and "  # noqa: S608
        f"({' or '.join(f'{name} is not null' for name in noted)})"
    )
    select_metrics = "select run_key, metric_info_key, value from metric where run_key > {} and run_key <= {}"
    while True:
        found = _fetch(connection, select_runs.format(last))
        if not found:
            return
        first, last = last, found[-1][0]
        columns = dict(zip(_COLUMNS, zip(*found, strict=True), strict=True))
        yield mirror.Rows(
            key=_integers(columns["key"], -1),
            uuid=_uuids(columns["uuid"]),
            session=_integers(columns["session_key"], -1),
            benchmark=_integers(columns["benchmark_key"], -1),
            environment=_integers(columns["environment_key"], -1),
            cluster=_integers(columns["cluster_key"], -1),
            outcome=_coded(columns["outcome"], _OUTCOMES, _OUTCOMES["error"]),
            setup=_coded(columns["setup_outcome"], _PHASES, 0),
            call=_coded(columns["call_outcome"], _PHASES, 0),
            teardown=_coded(columns["teardown_outcome"], _PHASES, 0),
            repeat=np.clip(_integers(columns["repeat"], 0), 0, 32_767).astype(np.int16),
            profiled=np.fromiter(map(bool, columns["profiled"]), np.bool_, len(found)),
            start=times(columns["start"]),
            end=times(columns["end"]),
            values=tuple(_numbers(columns[name]) for name in record.MEASURES),
            **_metric_columns(_fetch(connection, select_metrics.format(first, last))),
            notes=[
                [key, *(None if each is None else str(each) for each in rest)]
                for key, *rest in _fetch(connection, select_notes.format(first, last))
            ],
        )
        if len(found) < _BATCH:
            return


def _fetch(connection: Connection, query: str) -> Sequence[Any]:
    return connection.exec_driver_sql(query).fetchall()


def _metric_columns(rows: Sequence[Any]) -> dict[str, Any]:
    return {
        "metric_run": np.array([row[0] for row in rows], np.int64),
        "metric_info": np.array([row[1] for row in rows], np.int64),
        "metric_value": _numbers([row[2] for row in rows]),
    }


# SQLite lets any column hold any text. What each of these makes of a value depends on that value alone, never on the others
# of its batch: the same run must be the same in every database.


def _integers(column: Sequence[Any], other: int) -> NDArray[np.int64]:
    if set(map(type, column)) <= {int}:
        return np.array(column, np.int64)
    return np.array([each if type(each) is int else other for each in column], np.int64)


def _coded(column: Sequence[Any], codes: dict[Any, int], other: int) -> NDArray[np.uint8]:
    return np.array([codes.get(each, other) for each in column], np.uint8)


def _numbers(column: Sequence[Any]) -> NDArray[np.float64]:
    """Numbers; what is none, or infinite, is NaN."""
    if not set(map(type, column)) <= {float, int, type(None)}:
        column = [each if isinstance(each, (float, int)) else None for each in column]
    numbers = np.array(column, np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _times(column: Sequence[Any]) -> NDArray[np.int64]:
    """Microseconds of ``YYYY-MM-DD HH:MM:SS.ffffff`` (UTC)."""
    texts = [each if type(each) is str else "" for each in column]
    if set(map(len, texts)) <= {0, 26}:
        with contextlib.suppress(ValueError):
            return _within(np.array(texts, "U26").astype("datetime64[us]").astype(np.int64))
    return _within(np.array([_time(each) for each in texts], np.int64))


def _time(text: str) -> int:
    with contextlib.suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
        return (moment - _EPOCH) // timedelta(microseconds=1)
    return NO_TIME


def _within(times: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where((times < _EARLIEST) | (times > _LATEST), NO_TIME, times)


def _uuids(column: Sequence[Any]) -> NDArray[np.void]:
    with contextlib.suppress(TypeError, ValueError):
        text = "".join(column)
        lengths = set(map(len, column))
        if lengths == {36} and all(set(text[place::36]) == {"-"} for place in _DASHES):
            text, lengths = text.replace("-", ""), {32}
        # more dashes, or white space, which fromhex passes over, give fewer bytes
        if lengths == {32} and len(raw := bytes.fromhex(text)) == 16 * len(column):
            return np.frombuffer(raw, "V16")
    return np.frombuffer(b"".join(map(_uuid, column)), "V16")


def _uuid(value: Any) -> bytes:
    """The 16 bytes of a UUID, with dashes or without; of another text the first 16 of its hash."""
    text = str(value)
    digits = text.replace("-", "") if len(text) == 36 and all(text[place] == "-" for place in _DASHES) else text
    with contextlib.suppress(ValueError):
        if len(digits) == 32 and len(raw := bytes.fromhex(digits)) == 16:
            return raw
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()[:16]


def _described(connection: Connection) -> Part:
    """Everything but the runs."""
    names: dict[str, dict[int, str]] = {"schema": dict(enumerate(sorted(stored_revisions(connection))))}
    for table in (models.Session, models.Environment, models.Cluster):
        names[table.__tablename__] = {row.key: row.id for row in connection.execute(select(table.key, table.id))}
    benchmark, info = models.Benchmark, models.MetricInfo
    for name, columns in {
        "benchmark": (benchmark.key, benchmark.id, benchmark.epoch, benchmark.source_hash),
        "metric_info": (info.key, info.name, info.unit, info.better),
    }.items():
        names[name] = {key: "\0".join(map(str, rest)) for key, *rest in connection.execute(select(*columns))}
    return Part(
        rows=mirror.Rows.joined([]),
        names=names,
        sessions=_sessions(connection),
        environments=_environments(connection),
        clusters=_clusters(connection),
        benchmarks=_benchmarks(connection),
        infos=_infos(connection),
        aliases=_aliases(connection),
        bisections=bisections.read(connection),
    )


def _sessions(connection: Connection) -> dict[int, HistorySession]:
    session = models.Session
    return {
        row.key: HistorySession(
            id=row.id,
            started=row.started,
            ended=row.ended,
            interrupted=row.interrupted,
            label=row.label,
            scale=row.scale,
            host_fingerprint=row.host_fingerprint,
            host=_document(row.host),
            command=tuple(map(str, row.command)) if isinstance(row.command, list) else (),
            suites_commit=row.suites_commit,
            suites_dirty=row.suites_dirty,
            ci_url=row.ci_url,
            crt_version=row.crt_version,
        )
        for row in connection.execute(
            select(
                session.key,
                session.id,
                session.started,
                session.ended,
                session.interrupted,
                session.label,
                session.scale,
                session.host_fingerprint,
                session.host,
                session.command,
                session.suites_commit,
                session.suites_dirty,
                session.ci_url,
                session.crt_version,
            )
        )
    }


def _environments(connection: Connection) -> dict[int, HistoryEnvironment]:
    environment = models.Environment
    columns = (environment.key, environment.id, environment.python, environment.platform, environment.packages)
    return {
        row.key: HistoryEnvironment(
            id=row.id, python=row.python, platform=row.platform, packages=tuple(_packages(row.packages))
        )
        for row in connection.execute(select(*columns))
    }


def _packages(document: Any) -> Iterator[record.Package]:
    fields = ("version", "url", "commit", "dirty")
    for each in sorted((one for one in document or () if isinstance(one, dict)), key=lambda one: str(one.get("name"))):
        yield record.Package(
            name=str(each.get("name")),
            imported=bool(each.get("imported", False)),
            **{name: each.get(name) for name in fields},
        )


def _clusters(connection: Connection) -> dict[int, HistoryCluster]:
    cluster, spec = models.Cluster, models.ClusterSpec
    # many clusters are asked for alike: each wish is read once
    specs: dict[int | None, tuple[Any, ...]] = {
        key: (kind, id_, _document(asked))
        for key, kind, id_, asked in connection.execute(select(spec.key, spec.kind, spec.id, spec.spec))
    }
    query = select(
        cluster.key,
        cluster.id,
        cluster.cluster_spec_key,
        cluster.name,
        cluster.cluster_id,
        cluster.details_url,
        cluster.software_name,
        cluster.dask_config,
    )
    found = {}
    for key, id_, spec_key, name, cluster_id, details_url, software_name, config in connection.execute(query):
        kind, spec_id, asked = specs.get(spec_key, (None, None, {}))
        found[key] = HistoryCluster(
            id=id_,
            kind=kind,
            spec_id=spec_id,
            spec=asked,
            name=name,
            cluster_id=cluster_id,
            details_url=details_url,
            software_name=software_name,
            dask_config=_document(config),
        )
    return found


def _benchmarks(connection: Connection) -> dict[int, HistoryBenchmark]:
    benchmark, source = models.Benchmark, models.Source
    names = ("key", "id", "epoch", "epoch_reason", "path", "name", "originalname", "suite", "params", "markers")
    query = select(*(getattr(benchmark, name) for name in names), source.text).outerjoin(
        source, source.hash == benchmark.source_hash
    )
    return {
        row.key: HistoryBenchmark(
            id=row.id,
            former=None,
            epoch=row.epoch,
            epoch_reason=row.epoch_reason,
            path=row.path,
            name=row.name,
            originalname=row.originalname,
            suite=row.suite,
            params=_document(row.params),
            markers=tuple(map(str, row.markers)) if isinstance(row.markers, list) else (),
            source=row.text,
        )
        for row in connection.execute(query)
    }


def _infos(connection: Connection) -> dict[int, tuple[str, str, str, str, float, bool]]:
    info = models.MetricInfo
    columns = (info.key, info.name, info.unit, info.better, info.display_unit, info.display_scale, info.built_in)
    return {key: (*rest,) for key, *rest in connection.execute(select(*columns))}  # type: ignore[misc]


def _aliases(connection: Connection) -> list[Alias]:
    alias = models.Alias
    rows = connection.execute(select(alias.former, alias.current, alias.declared))
    return [Alias(row.former, row.current, row.declared.timestamp()) for row in rows]


def _document(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
