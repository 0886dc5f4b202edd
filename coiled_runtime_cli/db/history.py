"""The whole history as columns, from one database or several: what reports and detectors read.

Rows of ``run`` go from the driver straight into arrays; everything that they point to is a few thousand rows, read as usual.
"""

from __future__ import annotations

import contextlib
import hashlib
from datetime import datetime, timezone
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
from coiled_runtime_cli.db.errors import database_errors
from coiled_runtime_cli.db.merge import Part, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History

#: Rows that are asked for at a time: enough for speed, few enough for a bar that moves.
_BATCH = 50_000

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


def read_history(
    engines: Sequence[Engine],
    *,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    since: datetime | None = None,
    labels: Collection[str] | None = None,
    suites: Collection[str] | None = None,
) -> History:
    """Read the runs of all databases as one history: a run that several of them have is there once.

    ``cache`` is the folder of the mirrors (see ``mirror.py``); None: none is used. ``progress`` is told the rows read and the
    rows in all. ``since`` keeps the sessions that started at or after it, ``labels`` and ``suites`` those that they name; what
    no kept run points to is left out, but for the sessions. Raises CrtErrors as :func:`database_errors` does.
    """
    sizes: list[int] = []
    for engine in engines:
        with database_errors(engine), engine.connect() as connection:
            sizes.append(connection.execute(select(func.count()).select_from(models.Run)).scalar_one())
    parts: list[Part] = []
    for number, engine in enumerate(engines):
        before = sum(sizes[:number])
        with database_errors(engine), engine.connect() as connection:

            def tell(done: int, before: int = before) -> None:
                if progress is not None:
                    progress(before + done, sum(sizes))

            parts.append(_read(connection, engine, cache, tell))
    return merge(parts, since=since, labels=labels, suites=suites)


def stamp(engines: Sequence[Engine]) -> tuple[Any, ...]:
    """Changes when a database has new runs or sessions; costs next to nothing."""
    stamps: list[Any] = []
    for engine in engines:
        with database_errors(engine), engine.connect() as connection:
            latest = [select(func.max(table.key)) for table in (models.Run, models.Session, models.Bisection)]
            stamps.append(tuple(connection.execute(query).scalar() for query in latest))
            ended = select(func.count(models.Session.ended))
            stamps.append(connection.execute(ended).scalar())
    return tuple(stamps)


def _read(connection: Connection, engine: Engine, cache: Path | None, tell: Callable[[int], None]) -> Part:
    postgresql = connection.dialect.name == "postgresql"
    kept = mirror.Mirror.of(engine, cache) if cache is not None else None
    rows = _mirrored(connection, kept) if kept is not None else None
    known = len(rows.key) if rows is not None else 0
    tell(known)
    new = [rows] if rows is not None else []
    last = int(rows.key[-1]) if rows is not None and known else -(2**63)
    for batch in _batches(connection, last, postgresql=postgresql):
        new.append(batch)
        known += len(batch.key)
        tell(known)
    whole = mirror.Rows.joined(new)
    if kept is not None and len(whole.key):
        kept.save(whole, fresh=len(whole.key) if rows is None else len(whole.key) - len(rows.key))
    return Part(
        rows=whole,
        sessions=_sessions(connection),
        environments=_environments(connection),
        clusters=_clusters(connection),
        benchmarks=_benchmarks(connection),
        infos=_infos(connection),
        aliases=_aliases(connection),
        bisections=bisections.read(connection),
    )


def _mirrored(connection: Connection, kept: mirror.Mirror) -> mirror.Rows | None:
    """The mirrored rows, if the database still has exactly these as its first ones."""
    rows = kept.load()
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
    found = dict(connection.execute(select(run.key, run.uuid).where(run.key.in_(keys))).tuples().all())
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
            return f'(extract(epoch from "{name}") * 1000000)::bigint'
        return f'"{name}"'

    noted = ("failure", *_ARTEFACTS.values())
    # integers alone are put into these texts: the driver's own placeholders differ, and its cursor is the fastest there is
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
            key=np.array(columns["key"], np.int64),
            uuid=_uuids(columns["uuid"]),
            session=_keys(columns["session_key"]),
            benchmark=_keys(columns["benchmark_key"]),
            environment=_keys(columns["environment_key"]),
            cluster=_keys(columns["cluster_key"]),
            outcome=_coded(columns["outcome"], _OUTCOMES, _OUTCOMES["error"]),
            setup=_coded(columns["setup_outcome"], _PHASES, 0),
            call=_coded(columns["call_outcome"], _PHASES, 0),
            teardown=_coded(columns["teardown_outcome"], _PHASES, 0),
            repeat=np.clip(np.array(columns["repeat"], np.int64), 0, 32_767).astype(np.int16),
            profiled=np.array(columns["profiled"], np.bool_),
            start=_times(columns["start"]),
            end=_times(columns["end"]),
            values=np.stack([_numbers(columns[name]) for name in record.MEASURES], axis=1),
            **_metric_columns(_fetch(connection, select_metrics.format(first, last))),
            notes=[
                [key, *(None if each is None else str(each) for each in rest)]
                for key, *rest in _fetch(connection, select_notes.format(first, last))
            ],
        )
        if len(found) < _BATCH:
            return


def _fetch(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    result = connection.exec_driver_sql(query)
    cursor = result.cursor
    assert cursor is not None
    rows: list[tuple[Any, ...]] = cursor.fetchall()  # type: ignore[assignment]
    result.close()
    return rows


def _metric_columns(rows: Sequence[Any]) -> dict[str, Any]:
    return {
        "metric_run": np.array([row[0] for row in rows], np.int64),
        "metric_info": np.array([row[1] for row in rows], np.int64),
        "metric_value": _numbers([row[2] for row in rows]),
    }


def _keys(column: Sequence[Any]) -> NDArray[np.int64]:
    return np.array([-1 if each is None else each for each in column], np.int64)


def _coded(column: Sequence[Any], codes: dict[Any, int], other: int) -> NDArray[np.uint8]:
    return np.array([codes.get(each, other) for each in column], np.uint8)


def _numbers(column: Sequence[Any]) -> NDArray[np.float64]:
    """Numbers; what is none, or infinite, is NaN. SQLite lets a column of numbers hold any text."""
    try:
        numbers = np.array(column, np.float64)
    except (TypeError, ValueError):
        numbers = np.array([each if isinstance(each, (int, float)) else None for each in column], np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _times(column: Sequence[Any]) -> NDArray[np.int64]:
    """Microseconds of ``YYYY-MM-DD HH:MM:SS.ffffff`` (UTC), or of numbers as they are."""
    try:
        if any(isinstance(each, int) for each in column[:100]):
            times = np.array([NO_TIME if each is None else each for each in column], np.int64)
        else:
            texts = np.array(["NaT" if each is None else each for each in column], "U26")
            times = texts.astype("datetime64[us]").astype(np.int64)
    except (TypeError, ValueError, OverflowError):
        times = np.array([_time(each) for each in column], np.int64)
    return np.where((times < _EARLIEST) | (times > _LATEST), NO_TIME, times)


def _time(value: Any) -> int:
    if isinstance(value, int):
        return value
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        moment = datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
        return round(moment.timestamp() * 1e6)
    return NO_TIME


def _uuids(column: Sequence[Any]) -> NDArray[np.void]:
    with contextlib.suppress(TypeError, ValueError):
        raw = bytes.fromhex("".join(column).replace("-", ""))
        if len(raw) == 16 * len(column) and all(len(each) in (32, 36) for each in column):
            return np.frombuffer(raw, "V16")
    return np.frombuffer(b"".join(map(_uuid, column)), "V16")


def _uuid(value: Any) -> bytes:
    """The 16 bytes of a UUID; of another text the first 16 of its hash."""
    text = str(value)
    if len(text) in (32, 36):
        with contextlib.suppress(ValueError):
            raw = bytes.fromhex(text.replace("-", ""))
            if len(raw) == 16:
                return raw
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()[:16]


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
    query = select(
        cluster.key,
        cluster.id,
        spec.kind,
        spec.id.label("spec_id"),
        spec.spec,
        cluster.name,
        cluster.cluster_id,
        cluster.details_url,
        cluster.software_name,
        cluster.dask_config,
    ).outerjoin(spec, spec.key == cluster.cluster_spec_key)
    return {
        row.key: HistoryCluster(
            id=row.id,
            kind=row.kind,
            spec_id=row.spec_id,
            spec=_document(row.spec),
            name=row.name,
            cluster_id=row.cluster_id,
            details_url=row.details_url,
            software_name=row.software_name,
            dask_config=_document(row.dask_config),
        )
        for row in connection.execute(query)
    }


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
