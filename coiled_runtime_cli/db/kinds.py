"""The tables that a session's rows are in, as other databases know them: by natural keys, never by numbers of rows.

What a natural key is, and which columns point elsewhere, the schema says itself: so the same code reads and writes the tables
of today and those of any earlier revision.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    Boolean,
    Connection,
    DateTime,
    Float,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    select,
    tuple_,
)

from coiled_runtime_cli.core.segment import SegmentError, from_number, number
from coiled_runtime_cli.db import models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Column, Table

    Row = Mapping[str, Any]
    Natural = tuple[Any, ...]

#: Values in one IN (...): SQLite takes 32,766 since 3.32, before that 999; a natural key has up to three.
_CHUNK = 300

#: Tables of rows that sessions share, each before those that point to it. Recorded metrics are part of their run.
SHARED = ("environment", "cluster_spec", "source", "benchmark", "metric_info")
_TABLES = (*SHARED, "session", "cluster", "run")

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")

#: What a row belongs to, which its segment says once.
_OWNER = "session_key"


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that points elsewhere; ``name`` is what it is called in a segment, where it holds a natural key."""

    column: str
    name: str
    table: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A table by its natural key. ``columns`` are what belongs to a row itself."""

    table: Table
    natural: tuple[str, ...]
    references: tuple[Reference, ...]
    columns: tuple[str, ...]
    required: tuple[str, ...]
    encoders: Mapping[str, Callable[[Any], Any] | None]
    decoders: Mapping[str, Callable[[Any], Any]]
    known: frozenset[str]

    @property
    def name(self) -> str:
        return str(self.table.name)

    @classmethod
    def of(cls, table: Table) -> Kind:
        unique = [each for each in table.constraints if isinstance(each, UniqueConstraint)]
        natural = unique[0].columns if unique else table.primary_key.columns
        references = tuple(
            Reference(column.name, column.name.removesuffix("_key"), key.column.table.name)
            for column in table.columns
            for key in column.foreign_keys
            if key.column.name == "key" and column.name != _OWNER
        )
        pointing = {"key", _OWNER, *(each.column for each in references)}
        columns = {column.name: column for column in table.columns if column.name not in pointing}
        names = [*columns, *(each.name for each in references), *(["metrics"] if table.name == "run" else [])]
        return cls(
            table=table,
            natural=tuple(column.name for column in natural),
            references=references,
            columns=tuple(columns),
            required=tuple(name for name, column in columns.items() if not column.nullable),
            encoders={name: _encoder(column) for name, column in columns.items()},
            decoders={name: _decoder(column) for name, column in columns.items()},
            known=frozenset(names),
        )

    def natural_of(self, row: Row) -> Natural:
        return tuple(row[name] for name in self.natural)

    def natural_from(self, told: Any) -> Natural:
        """The natural key to which a row of a segment points. Raises SegmentError where it is none of this table."""
        parts = told if isinstance(told, list) else [told]
        if len(parts) != len(self.natural):
            raise SegmentError(f"{str(told)[:80]!r} is no {self.name}")
        return tuple(self.decoders[name](part) for name, part in zip(self.natural, parts, strict=True))

    def document(self, row: Row, found: Mapping[str, Mapping[int, Row]], kinds: Mapping[str, Kind]) -> dict[str, Any]:
        """A row of the table as a segment has it; ``found`` are the rows that it may point to, by table and key."""
        document = {}
        for name, encode in self.encoders.items():
            value = row[name]
            if value is not None:
                document[name] = value if encode is None else encode(value)
        for each in self.references:
            if row[each.column] is not None:
                target = kinds[each.table]
                natural = target.natural_of(found[each.table][row[each.column]])
                document[each.name] = natural[0] if len(natural) == 1 else list(natural)
        return document

    def values(self, row: Row) -> dict[str, Any]:
        """What a row of a segment says of its own columns. Raises SegmentError where it says what the table has no place for."""
        strange = row.keys() - self.known
        if strange:
            raise SegmentError(f"its {self.name} has {min(strange)!r}, which its schema has not")
        values: dict[str, Any] = dict.fromkeys(self.columns)
        for name, value in row.items():
            if value is not None and name in self.decoders:
                values[name] = self.decoders[name](value)
        for name in (*self.natural, *self.required):
            if values.get(name, row.get(name)) is None:
                raise SegmentError(f"a {self.name} of it has no {name}")
        return values

    def rows(self, connection: Connection, condition: Any) -> list[Row]:
        return [dict(row) for row in connection.execute(select(self.table).where(condition)).mappings()]

    def by_key(self, connection: Connection, keys: Iterable[int | None]) -> dict[int, Row]:
        wanted = sorted({key for key in keys if key is not None})
        rows = (row for chunk in chunks(wanted) for row in self.rows(connection, self.table.c.key.in_(chunk)))
        return {row["key"]: row for row in rows}

    def by_natural(self, connection: Connection, naturals: Iterable[Natural]) -> dict[Natural, Row]:
        columns = [self.table.c[name] for name in self.natural]
        found = {}
        for chunk in chunks(sorted(naturals)):
            condition = tuple_(*columns).in_(chunk) if len(columns) > 1 else columns[0].in_([each for (each,) in chunk])
            for row in self.rows(connection, condition):
                found[self.natural_of(row)] = row
        return found

    def keys_of(self, connection: Connection, naturals: Iterable[Natural]) -> dict[Natural, int]:
        columns = [self.table.c[name] for name in self.natural]
        found = {}
        for chunk in chunks(sorted(naturals)):
            condition = tuple_(*columns).in_(chunk) if len(columns) > 1 else columns[0].in_([each for (each,) in chunk])
            for *natural, key in connection.execute(select(*columns, self.table.c.key).where(condition)):
                found[tuple(natural)] = key
        return found


def kinds_of(metadata: MetaData) -> dict[str, Kind]:
    """The kinds of a schema, each before those that point to it, sessions and what belongs to them last."""
    return {name: Kind.of(metadata.tables[name]) for name in _TABLES}


@lru_cache(maxsize=1)
def current_kinds() -> dict[str, Kind]:
    return kinds_of(models.Base.metadata)


def reflected(connection: Connection) -> MetaData:
    """The tables as they are in the database, with the types that crt's models give to such columns."""
    metadata = MetaData()
    metadata.reflect(connection)
    for table in metadata.tables.values():
        for column in table.columns:
            if isinstance(column.type, DateTime):
                column.type = models.UTCDateTime()
            elif isinstance(column.type, JSON):
                column.type = JSON(none_as_null=True)
    return metadata


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The values, as many at a time as fit one IN (...)."""
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def _encoder(column: Column[Any]) -> Callable[[Any], Any] | None:
    """What makes JSON of a value; None where it is JSON already."""
    kind = column.type
    if isinstance(kind, models.UTCDateTime):
        return _time_text
    if isinstance(kind, Float):
        return _number
    if isinstance(kind, JSON):
        return _plain
    return None


def _time_text(value: datetime) -> str:
    return value.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _number(value: Any) -> float | str | None:
    return number(float(value))


def _plain(value: Any) -> Any:
    """A document in which every number is JSON's."""
    if isinstance(value, float) and not math.isfinite(value):
        return number(value)
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _decoder(column: Column[Any]) -> Callable[[Any], Any]:
    kind = column.type
    if isinstance(kind, models.UTCDateTime):
        return _moment
    if isinstance(kind, Float):
        return from_number
    if isinstance(kind, JSON):
        return _unchanged
    fits = {Boolean: _is_boolean, Integer: _is_integer, Text: _is_text}
    fit = next(each for sql, each in fits.items() if isinstance(kind, sql))

    def decode(value: Any) -> Any:
        if not fit(value):
            raise SegmentError(f"{str(value)[:60]!r} is no {column.name}")
        return value

    return decode


def _unchanged(value: Any) -> Any:
    return value


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_text(value: Any) -> bool:
    """Whether every database takes it: neither NUL nor half of a surrogate pair."""
    if not isinstance(value, str):
        return False
    return (value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value)) and "\0" not in value


def _moment(value: Any) -> datetime:
    try:
        if _MOMENT.fullmatch(value):
            return datetime.fromisoformat(value[:-1]).replace(tzinfo=timezone.utc)
    except (TypeError, ValueError):
        pass
    raise SegmentError(f"{str(value)[:60]!r} is no time")
