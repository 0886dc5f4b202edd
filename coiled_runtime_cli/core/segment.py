"""A segment: one finished session with all that belongs to it, as bytes that are the same on every machine.

Lines of JSON. The first is the header: format, version, the revision of the schema that the rows are of, the session, and how
many rows of each table follow; then the rows, by table and natural key. Rows refer to one another by natural keys, never by
numbers that mean something in one database only. A segment is named by its session and by the hash of its bytes before they
are compressed, since compressed ones differ between builds of zlib. Nothing in a segment can be executed.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import math
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Row = Mapping[str, Any]

FORMAT, VERSION = "crt-segment", 1

#: Where all segments are.
PREFIX = "segments/v1/"

#: Bytes that a segment may have, compressed and not: a session of 150 runs has 30 kB and 200 kB.
MOST_PACKED, MOST = 64 * 2**20, 512 * 2**20

#: No column of any database holds an integer of more bits.
_MOST_BITS = 64

_NAME = re.compile(
    r"segments/v1/(?P<day>\d{4}-\d{2}-\d{2}|unknown)/(?P<session>[A-Za-z0-9_][A-Za-z0-9_-]{0,79})-(?P<hash>[0-9a-f]{16})\.jsonl\.gz"
)
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?=T|$)")
_TABLE = re.compile(r"[a-z][a-z_]{0,40}")
_REVISION = re.compile(r"[0-9a-f]{12}")


_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


class SegmentError(ValueError):
    """The bytes are no segment, or not the one that their name promises."""


class NewerSegmentError(SegmentError):
    """A newer crt wrote it: this one cannot know what it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """``session`` is its row; ``tables`` the rows of what belongs to it, as JSON values."""

    revision: str
    session: Row
    tables: Mapping[str, Sequence[Row]]

    @property
    def id(self) -> str:
        return str(self.session["id"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What applying a segment did. ``conflicts`` are UUIDs of runs that the database had with other content."""

    new: int = 0
    known: int = 0
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Name:
    """What a key says of its segment. ``session`` is its id, or stands for one that could not be part of a key."""

    day: str
    session: str
    hash: str


def to_bytes(segment: Segment) -> bytes:
    """The one spelling of a segment. Raises ValueError where a value is no JSON."""
    tables = {table: sorted(map(spelling, rows)) for table, rows in sorted(segment.tables.items()) if rows}
    header = _header(segment, {table: len(lines) for table, lines in tables.items()})
    return "".join(
        f"{line}\n" for line in (spelling(header), *(each for lines in tables.values() for each in lines))
    ).encode()


def _header(segment: Segment, rows: Mapping[str, int]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "revision": segment.revision,
        "session": dict(segment.session),
        "rows": dict(rows),
    }


def from_bytes(raw: bytes) -> Segment:
    """Read a segment back. Raises SegmentError on what :func:`to_bytes` did not write, and on what a newer crt did."""
    try:
        lines = raw.decode("ascii").split("\n")
        header = _object(lines[0])
        _check_version(header)
        segment = Segment(
            revision=_matching(_REVISION, header["revision"]),
            session=_with_id(header["session"]),
            tables=_tables(header["rows"], lines[1:]),
        )
        counts = {table: len(rows) for table, rows in segment.tables.items()}
        same = spelling(_header(segment, counts)) == lines[0]
        _check_rows(segment)
    except SegmentError:
        raise
    except (KeyError, TypeError, IndexError, ValueError, RecursionError) as error:
        raise SegmentError(f"it is damaged: {error}") from error
    if not same:
        raise SegmentError("it is not spelt as a segment is")
    return segment


def key_of(segment: Segment, raw: bytes) -> str:
    """The key under which ``raw``, the bytes of the segment, lie in every store."""
    day = _DAY.match(str(segment.session.get("started") or ""))
    return f"{PREFIX}{day.group() if day else 'unknown'}/{session_part(segment.id)}-{_hash(raw)}.jsonl.gz"


def session_part(session: str) -> str:
    """How a session is called in a key: by its id, or by the hash of an id that no key may have."""
    if _PLAIN.fullmatch(session):
        return session
    return f"_{hashlib.sha256(session.encode('utf-8', 'backslashreplace')).hexdigest()[:32]}"


def parse_key(key: str) -> Name | None:
    """What a key says; None for what is no segment's."""
    found = _NAME.fullmatch(key)
    return None if found is None else Name(found["day"], found["session"], found["hash"])


def pack(raw: bytes) -> bytes:
    return gzip.compress(raw, compresslevel=6, mtime=0)


def unpack(key: str, packed: bytes, *, limit: int = MOST) -> bytes:
    """The bytes of the segment of this key. Raises SegmentError where they are others, or more than ``limit``."""
    name = parse_key(key)
    if name is None:
        raise SegmentError("its name is none of a segment")
    reader = zlib.decompressobj(wbits=31)
    try:
        raw = reader.decompress(packed, limit + 1)
    except zlib.error as error:
        raise SegmentError(f"it cannot be unpacked: {error}") from error
    if len(raw) > limit:
        raise SegmentError(f"it unpacks to more than {limit:,} bytes")
    if not reader.eof or reader.unused_data:
        raise SegmentError("it ends too early, or too late")
    if _hash(raw) != name.hash:
        raise SegmentError("its content is not what its name says")
    return raw


def number(value: float | None) -> float | str | None:
    """A measured value as JSON, which has no word for those that are not finite."""
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def from_number(value: Any) -> float | None:
    """Raises SegmentError on what :func:`number` did not make."""
    if value is None:
        return None
    if (isinstance(value, (int, float)) and not isinstance(value, bool)) or value in ("NaN", "Infinity", "-Infinity"):
        try:
            return float(value)
        except OverflowError as error:
            raise SegmentError("a number of it is too large") from error
    raise SegmentError(f"{value!r} is no number")


def metrics_of(run: Row) -> Sequence[Sequence[Any]]:
    """What a run has recorded: of each metric its natural key, then its value. Raises SegmentError where that is no such list."""
    metrics = run.get("metrics", [])
    if not isinstance(metrics, list) or not all(isinstance(each, list) and each for each in metrics):
        raise SegmentError("the metrics of a run of it are no list")
    names = set()
    for *natural, value in metrics:
        if not all(isinstance(each, str) for each in natural):
            raise SegmentError("a metric of it is none")
        if from_number(value) is None:
            raise SegmentError("a metric of it has no value")
        names.add(tuple(natural))
    if len(names) != len(metrics):
        raise SegmentError("a run of it has a metric two times")
    return metrics


def row_hash(row: Row) -> str:
    """Of two rows that should be one the larger hash stays: in whatever order they come, on every machine the same."""
    return hashlib.sha256(spelling(row).encode()).hexdigest()


def spelling(value: Any) -> str:
    """The one way to write a JSON value. Raises ValueError where it is none."""
    return _encoder.encode(value)


def _hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]


def _object(line: str) -> dict[str, Any]:
    value = json.loads(line)
    if not isinstance(value, dict):
        raise SegmentError("a line of it is no object")
    return value


def _check_version(header: Mapping[str, Any]) -> None:
    if header.get("format") != FORMAT:
        raise SegmentError("it does not begin as a segment does")
    version = header.get("version")
    if isinstance(version, int) and not isinstance(version, bool) and version > VERSION:
        raise NewerSegmentError(f"it is of version {version}, and this crt reads version {VERSION}")
    if version != VERSION:
        raise SegmentError(f"it is of version {version!r}, and this crt reads version {VERSION}")


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise SegmentError(f"{str(value)[:60]!r} has no place in a header")
    return value


def _with_id(session: Any) -> dict[str, Any]:
    if not isinstance(session, dict) or not isinstance(session.get("id"), str):
        raise SegmentError("its session has no id")
    return session


def _check_rows(segment: Segment) -> None:
    """Raise SegmentError on rows that no database takes, of whatever schema it is."""
    for row in itertools.chain([segment.session], *segment.tables.values()):
        if any(isinstance(value, int) and value.bit_length() > _MOST_BITS for value in row.values()):
            raise SegmentError("a number of it is too large")
    for run in segment.tables.get("run", ()):
        metrics_of(run)
    sources = {row.get("hash") for row in segment.tables.get("source", ())}
    for benchmark in segment.tables.get("benchmark", ()):
        if benchmark.get("source_hash") is not None and benchmark["source_hash"] not in sources:
            raise SegmentError("it lacks the source of a benchmark")


def _tables(counts: Any, lines: Sequence[str]) -> dict[str, tuple[dict[str, Any], ...]]:
    """The rows of each table, if they are those that the header promises, in their one order and spelling."""
    if not isinstance(counts, dict) or lines[-1]:
        raise SegmentError("it ends too early")
    tables: dict[str, tuple[dict[str, Any], ...]] = {}
    start = 0
    for table, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or not 0 < count < len(lines):
            raise SegmentError("it has not the rows that its header promises")
        told = lines[start : start + count]
        start += count
        array = f"[{','.join(told)}]"  # one call of the parser: for each line by itself it takes twice as long
        rows = json.loads(array)
        if len(rows) != count or len(told) != count or not all(isinstance(row, dict) for row in rows):
            raise SegmentError("it has not the rows that its header promises")
        if spelling(rows) != array or any(one > other for one, other in itertools.pairwise(told)):
            raise SegmentError("it is not spelt as a segment is")
        tables[_matching(_TABLE, table)] = tuple(rows)
    if start != len(lines) - 1:
        raise SegmentError("it has more rows than its header promises")
    return tables
