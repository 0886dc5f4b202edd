"""Rows out of the database into a file that other programs read: Parquet, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from sqlalchemy import JSON, Boolean, Float, Integer, column, func, select, table
from sqlalchemy.sql import sqltypes

from coiled_runtime_cli.db import models
from coiled_runtime_cli.db.errors import database_errors
from coiled_runtime_cli.db.query import plain
from coiled_runtime_cli.db.view import TEST_RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine
    from sqlalchemy.types import TypeEngine

#: Rows that are read and written at a time.
_PORTION = 20_000

_COLUMN = re.compile(r'(\w+)\."?(\w+)"? AS "?(\w+)"?')


@dataclass(frozen=True, slots=True)
class _Rows:
    """What is exported, with the type of each column."""

    query: Any
    types: dict[str, TypeEngine[Any]]


def export(
    engine: Engine,
    stream: IO[bytes],
    *,
    what: str = "test_run",
    form: str = "parquet",
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write one of :data:`TABLES` in one of :data:`FORMS`; the number of rows.

    Times are in UTC, durations in seconds, memory in bytes; documents are JSON text in Parquet and CSV.
    """
    rows = TABLES[what]()
    write = FORMS[form]
    with database_errors(engine), engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ", stream_results=True)  # noqa: PLW2901
        total = connection.scalar(select(func.count()).select_from(rows.query.subquery())) or 0
        done = 0

        def portions() -> Iterator[Sequence[tuple[Any, ...]]]:
            nonlocal done
            result = connection.execution_options(yield_per=_PORTION).execute(rows.query)
            for portion in result.partitions(_PORTION):
                yield [tuple(row) for row in portion]
                done += len(portion)
                if progress is not None:
                    progress(done, total)

        write(stream, what, rows.types, portions())
    return done


def _test_run() -> _Rows:
    """The view with the predecessor's names; its text says which column is which."""
    tables = models.Base.metadata.tables
    types = {name: tables[owner].c[own].type for owner, own, name in _COLUMN.findall(TEST_RUN)}
    view = table("test_run", *(column(name, kind) for name, kind in types.items()))
    return _Rows(select(view).order_by(view.c.start, view.c.uuid), types)


def _metric() -> _Rows:
    columns = {
        "uuid": models.Run.uuid,
        "benchmark_id": models.Benchmark.id,
        "start": models.Run.start,
        "name": models.MetricInfo.name,
        "value": models.Metric.value,
        "unit": models.MetricInfo.unit,
        "better": models.MetricInfo.better,
    }
    query = (
        select(*(each.label(name) for name, each in columns.items()))
        .select_from(models.Metric)
        .join(models.Run, models.Run.key == models.Metric.run_key)
        .join(models.Benchmark, models.Benchmark.key == models.Run.benchmark_key)
        .join(models.MetricInfo, models.MetricInfo.key == models.Metric.metric_info_key)
        .order_by(models.Run.start, models.Run.uuid, models.MetricInfo.name)
    )
    return _Rows(query, {name: each.type for name, each in columns.items()})


def _whole(model: type[models.Base]) -> Callable[[], _Rows]:
    """A table without the numbers that mean something in this database alone."""

    def rows() -> _Rows:
        columns = [each for each in model.__table__.columns if each.name != "key" and not each.name.endswith("_key")]
        return _Rows(select(*columns).order_by(*columns[:1]), {each.name: each.type for each in columns})

    return rows


TABLES: dict[str, Callable[[], _Rows]] = {
    "test_run": _test_run,
    "metric": _metric,
    "session": _whole(models.Session),
    "environment": _whole(models.Environment),
    "benchmark": _whole(models.Benchmark),
}


def _write_parquet(
    stream: IO[bytes], _what: str, types: dict[str, TypeEngine[Any]], portions: Iterator[Sequence[tuple[Any, ...]]]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, _arrow_type(kind)) for name, kind in types.items()])
    documents = {name for name, kind in types.items() if isinstance(kind, JSON)}
    with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        for portion in portions:
            arrays = []
            for name, values in zip(types, zip(*portion, strict=True), strict=True):
                told = [_json_text(each) for each in values] if name in documents else list(values)
                arrays.append(pa.array(told, schema.field(name).type))
            writer.write_table(pa.table(arrays, schema=schema))


def _arrow_type(kind: TypeEngine[Any]) -> Any:
    import pyarrow as pa

    if isinstance(kind, models.UTCDateTime):
        return pa.timestamp("us", tz="UTC")
    found = {Boolean: pa.bool_(), Float: pa.float64(), Integer: pa.int64(), sqltypes.JSON: pa.string()}
    return next((arrow for sql, arrow in found.items() if isinstance(kind, sql)), pa.string())


def _write_csv(
    stream: IO[bytes], _what: str, types: dict[str, TypeEngine[Any]], portions: Iterator[Sequence[tuple[Any, ...]]]
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(types)
    for portion in portions:
        writer.writerows([_cell(each) for each in row] for row in portion)
        stream.write(text.getvalue().encode())
        text.seek(0)
        text.truncate()
    stream.write(text.getvalue().encode())


def _cell(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return _json_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if hasattr(value, "isoformat") else value


def _write_json(
    stream: IO[bytes], what: str, types: dict[str, TypeEngine[Any]], portions: Iterator[Sequence[tuple[Any, ...]]]
) -> None:
    stream.write(f'{{"schema": 1, "table": {json.dumps(what)}, "rows": ['.encode())
    separator = "\n"
    for portion in portions:
        lines = [json.dumps(dict(zip(types, map(plain, row), strict=True)), allow_nan=False) for row in portion]
        stream.write((separator + ",\n".join(lines)).encode())
        separator = ",\n"
    stream.write(b"\n]}\n")


def _json_text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, sort_keys=True)


FORMS: dict[str, Callable[..., None]] = {"parquet": _write_parquet, "csv": _write_csv, "json": _write_json}
