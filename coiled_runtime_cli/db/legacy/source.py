"""The predecessor's SQLite file: opened without a trace, looked over, and read session by session in one fixed layout."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sqlite3
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from coiled_runtime_cli import temporary
from coiled_runtime_cli.db.revisions import read_revisions
from coiled_runtime_cli.errors import CrtError, ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Tables of the predecessor, each optional.
TABLES = ("test_run", "tpch_run")

#: The layout of every row that is read; a column that the file lacks is NULL.
COMMON: tuple[str, ...] = (
    "session_id",
    "name",
    "originalname",
    "path",
    "setup_outcome",
    "call_outcome",
    "teardown_outcome",
    "coiled_runtime_version",
    "ci_run_url",
    "python_version",
    "platform",
    "dask_version",
    "distributed_version",
    "dask_expr_version",
    "start",
    "end",
    "duration",
    "average_memory",
    "peak_memory",
    "compute_time",
    "disk_spill_time",
    "serializing_time",
    "transfer_time",
    "scheduler_cpu_avg",
    "scheduler_memory_max",
    "worker_max_tick",
    "scheduler_max_tick",
    "cluster_name",
    "cluster_id",
    "cluster_details_url",
    "coiled_software_name",
    "performance_report_url",
    "cluster_dump_url",
    "memray_profiles_url",
    "py_spy_profiles_url",
)

#: What ``tpch_run`` has beyond that, in the order in which it follows.
TPCH: tuple[str, ...] = (
    "duckdb_version",
    "pyspark_version",
    "polars_version",
    "scale",
    "query",
    "local",
    "compression",
    "partition_size",
    "n_workers",
    "worker_vm_type",
    "cluster_disk_size",
)

#: Rows that are held in memory at a time.
_BATCH = 5_000

#: Texts that tell nothing.
EMPTY = frozenset({"", b""})

_MAGIC = b"SQLite format 3\0"
_HEADER = 100  # bytes; https://www.sqlite.org/fileformat.html#the_database_header

#: Text of a session or a label that a row may lack.
Fact = str | None


@dataclass(slots=True)
class Extent:
    """The rows of one session with one label and one CI run, as ranges of row numbers by table."""

    session: Fact
    label: Fact
    ci_url: Fact
    ranges: dict[str, array[int]] = field(default_factory=dict)

    def add(self, table: str, row: int) -> None:
        ranges = self.ranges.setdefault(table, array("q"))
        if ranges and ranges[-1] == row - 1:
            ranges[-1] = row
        else:
            ranges.extend((row, row))


class Source:
    """An open file of the predecessor. ``unknown`` are the columns, as ``table.column``, that crt has no place for."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._columns: dict[str, tuple[str, ...]] = {}
        for table in TABLES:
            columns = [row[1].lower() for row in connection.execute(f"pragma table_info({table})")]
            if columns:
                self._columns[table] = tuple(columns)
        self.unknown = tuple(
            f"{table}.{column}"
            for table, columns in self._columns.items()
            for column in columns
            if column not in {"id", *COMMON, *(TPCH if table == "tpch_run" else ())}
        )

    def count(self) -> int:
        """Rows in all."""
        return sum(
            self._connection.execute(f"select count(*) from {table}").fetchone()[0]  # noqa: S608  our own names
            for table in self._columns
        )

    def nameless(self) -> int:
        """Rows that name no test, which :meth:`sessions` leaves out."""
        return sum(
            self._connection.execute(f"select count(*) from {table} where not ({self._named(table)})").fetchone()[0]  # noqa: S608
            for table in self._columns
        )

    def sessions(self) -> list[list[Extent]]:
        """Where the rows of each session are that name a test; sessions by their first row in the file."""
        self._connection.text_factory = _decoded
        found: dict[Fact, dict[tuple[Fact, Fact], Extent]] = {}
        for table in self._columns:
            columns = self._selected(table, ("session_id", "coiled_runtime_version", "ci_run_url"))
            last: list[Any] = []
            extent = Extent(None, None, None)
            query = f"select rowid, {columns} from {table} where {self._named(table)} order by rowid"  # noqa: S608
            for row, *told in self._connection.execute(query):
                if told != last:
                    session, label, ci_url = (text(each) for each in told)
                    extent = found.setdefault(session, {}).setdefault((label, ci_url), Extent(session, label, ci_url))
                    last = told
                extent.add(table, row)
        self._connection.text_factory = str
        return [list(each.values()) for each in found.values()]

    def rows(self, extent: Extent, table: str) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of an extent in one table by their numbers, some at a time; in the layout COMMON, with TPCH after it."""
        ranges = extent.ranges.get(table)
        if ranges is None:
            return
        columns = self._selected(table, COMMON if table == "test_run" else (*COMMON, *TPCH))
        query = f"select {columns} from {table} where rowid between ? and ? order by rowid"  # noqa: S608
        batch: list[tuple[Any, ...]] = []
        for place in range(0, len(ranges), 2):
            for rows in self._fetched(query, ranges[place], ranges[place + 1]):
                batch += rows
                if len(batch) >= _BATCH:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def _fetched(self, query: str, first: int, last: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows with these numbers, which follow each other without a gap."""
        try:
            cursor = self._connection.execute(query, (first, last))
            while rows := cursor.fetchmany(_BATCH):
                yield rows
                first += len(rows)
        except sqlite3.OperationalError as error:
            if self._connection.text_factory is _decoded or "decode" not in str(error):
                raise
            # a text that is not UTF-8: from here on all are read the slow way
            self._connection.text_factory = _decoded
            yield from self._fetched(query, first, last)

    def tests(self, extent: Extent) -> Iterator[tuple[Fact, Fact]]:
        """Path and name of each row of ``test_run`` in an extent."""
        ranges = extent.ranges.get("test_run", array("q"))
        columns = self._selected("test_run", ("path", "name")) if ranges else ""
        query = f"select {columns} from test_run where rowid between ? and ?"  # noqa: S608
        for place in range(0, len(ranges), 2):
            for rows in self._fetched(query, ranges[place], ranges[place + 1]):
                yield from ((text(path), text(name)) for path, name in rows)

    def _named(self, table: str) -> str:
        name = self._selected(table, ("name",))
        return f"{name} is not null and {name} not in ('', x'')"

    def _selected(self, table: str, names: Sequence[str]) -> str:
        present = self._columns[table]
        return ", ".join(f'"{name}"' if name in present else "NULL" for name in names)


def text(value: Any) -> str | None:
    """A value of a column of texts, written out where no database takes it; an empty one tells nothing."""
    if value is None or value in EMPTY:
        return None
    if value.__class__ is str and value.isascii() and "\0" not in value:
        return value
    found = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return found.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open the predecessor's file for reading; the file and its folder stay as they are.

    UsageError: no such file, not SQLite, empty, crt's own, or without the predecessor's tables. ToolError: unreadable,
    cut short, damaged.
    """
    _check_file(path)
    with contextlib.ExitStack() as stack, _explained(path):
        connection = _connected(path, stack)
        _check_tables(path, connection)
        yield Source(path, connection)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _explanation(path, str(error)) from error


def _explanation(path: Path, said: str) -> CrtError:
    if "file is not a database" in said:
        return UsageError(f"not a SQLite database: {path}", hint="give the benchmark.db that the predecessor wrote")
    if "malformed" in said:
        return ToolError(
            f"the database is damaged: {path}",
            hint=f"sqlite3 {shlex.quote(str(path))} .recover | sqlite3 recovered.db; then: crt db import recovered.db",
        )
    if "locked" in said:
        return ToolError(f"{path} stays locked by another process", hint="run the command again when that one is done")
    return ToolError(f"SQLite cannot read {path}: {said}")


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder, not a database", hint="give the benchmark.db in it")
        with path.open("rb") as stream:
            header = stream.read(_HEADER)
            size = os.fstat(stream.fileno()).st_size
    except FileNotFoundError as error:
        raise UsageError(f"no such file: {path}", hint="give the benchmark.db that the predecessor wrote") from error
    except (OSError, ValueError) as error:
        raise ToolError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not size:
        raise UsageError(f"{path} is empty: there is nothing to import", hint="give another file")
    if not header.startswith(_MAGIC[: len(header)]):
        raise UsageError(f"not a SQLite database: {path}", hint="give the benchmark.db that the predecessor wrote")
    missing = _missing_bytes(header, size)
    if missing and not _beside(path, "-wal").exists():
        raise ToolError(
            f"{path} is cut short: its last {missing} bytes are missing",
            hint=f"fetch it again, or save what is there: sqlite3 {shlex.quote(str(path))} .recover | sqlite3 recovered.db",
        )


def _missing_bytes(header: bytes, size: int) -> int:
    """What the file lacks of the size that its header states, where that one can be trusted."""
    if len(header) < _HEADER:
        return _HEADER - size
    page = int.from_bytes(header[16:18], "big")
    page = 65_536 if page == 1 else page
    pages = int.from_bytes(header[28:32], "big")
    stated = header[24:28] == header[92:96]  # else an old SQLite wrote it last, and left the count alone
    return max(0, page * pages - size) if stated else 0


def _connected(path: Path, stack: contextlib.ExitStack) -> sqlite3.Connection:
    """A connection that writes nothing, nor makes files beside the database."""
    shared, log = _beside(path, "-shm").exists(), _beside(path, "-wal").exists()
    if log and not shared:
        # nobody has it open: the log was left behind, and reading it in place would make a file
        return _copied(path, stack)
    with path.open("rb") as stream:
        logs = stream.read(20)[18:] == b"\x02\x02"
    # a closed database that keeps a log can only be read in place when nobody writes to it meanwhile; nobody has it open
    options = "immutable=1" if logs and not log else "mode=ro"
    try:
        connection = stack.enter_context(contextlib.closing(_open(path, options)))
        connection.execute("select count(*) from sqlite_master").fetchone()
    except sqlite3.OperationalError:
        if not log and not _beside(path, "-journal").exists():
            raise
        # what a killed process left half written must be taken back before it can be read
        connection = _copied(path, stack)
    return connection


def _copied(path: Path, stack: contextlib.ExitStack) -> sqlite3.Connection:
    folder = Path(stack.enter_context(temporary.folder()))
    copy = folder / "old.db"
    try:
        for suffix in ("", "-wal", "-journal"):
            if _beside(path, suffix).exists():
                shutil.copyfile(_beside(path, suffix), _beside(copy, suffix))
    except OSError as error:
        raise ToolError(
            f"{path} has changes that were left half written, and no copy can be made to apply them: {error.strerror}",
            hint="free some space in the folder for temporary files, or set TMPDIR to another one",
        ) from error
    return stack.enter_context(contextlib.closing(_open(copy, "mode=rw")))


def _open(path: Path, options: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?{options}", uri=True, timeout=30.0)
    connection.text_factory = _decoded
    connection.execute("pragma cache_size = -16384")
    return connection


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _check_tables(path: Path, connection: sqlite3.Connection) -> None:
    tables = {row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")}
    revisions: set[str] = set()
    if "alembic_version" in tables:
        revisions = {str(row[0]) for row in connection.execute("select * from alembic_version")}
    if revisions & read_revisions().known or {"run", "session", "benchmark"} <= tables:
        raise UsageError(
            f"{path} is crt's own database: there is nothing to convert",
            hint=f"use it as it is, also together with others: crt report --db {shlex.quote(str(path))} --db OTHER.db",
        )
    if not tables & set(TABLES):
        others = f"it has {', '.join(sorted(tables)[:5])}" if tables else "it has no tables at all"
        raise UsageError(
            f"{path} is no database of the predecessor: it has no table test_run or tpch_run ({others})",
            hint="give the benchmark.db that the predecessor wrote",
        )
    for table in sorted(tables & set(TABLES)):
        if "name" not in {row[1] for row in connection.execute(f"pragma table_info({table})")}:
            raise UsageError(
                f"{path} is no database of the predecessor: its table {table} has no column name",
                hint="give the benchmark.db that the predecessor wrote",
            )
