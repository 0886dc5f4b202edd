"""Opening the database: SQLite by path, anything else by SQLAlchemy URL, its schema brought up to date on the way."""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from coiled_runtime_cli.db.errors import database_errors, shown
from coiled_runtime_cli.db.revisions import Revisions, read_revisions
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How long a process waits for another one that writes (s).
LOCK_TIMEOUT = 30.0

#: Names crt's advisory lock among those of a PostgreSQL server: "crt" and a number.
_ADVISORY_LOCK = 0x637274_0001


def open_database(target: str, *, read_only: bool = False, migrate: bool = True) -> Engine:
    """Open the database at ``target``, a path or a URL; a SQLite file is created where there is none.

    ``migrate`` brings an older schema up to date, which waits for another process that does so at the same time.
    Without it, and with ``read_only``, an older schema is a UsageError. UsageError too: a folder, a file that is not
    SQLite, a newer crt's or the predecessor's database. ToolError: not writable, disk full. RemoteError: unreachable.
    """
    engine = make_engine(target, read_only=read_only)
    try:
        with database_errors(engine):
            with engine.connect() as connection:
                ready = is_current(connection, target)
            if not ready:
                _bring_up_to_date(engine, allowed=migrate and not read_only)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _bring_up_to_date(engine: Engine, *, allowed: bool) -> None:
    if not allowed:
        name = shown(engine)
        raise UsageError(
            f"the schema of {name} is older than this crt", hint=f"crt db upgrade --db {shlex.quote(name)}"
        )
    from coiled_runtime_cli.db.migrate import upgrade

    upgrade(engine)


def make_engine(target: str, *, read_only: bool = False) -> Engine:
    """An engine for ``target`` whose schema nobody has looked at. Only the path or URL itself is checked.

    It has no pool, but for a database in memory: a command asks a few questions, and no connection outlives its use.
    """
    if "\0" in target:
        raise UsageError(f"no database can be at {target!r}", hint="choose a file with --db")
    if "://" not in target:
        return _sqlite_engine(Path(target), read_only=read_only)
    try:
        url = make_url(target)
    except (ArgumentError, ValueError) as error:
        raise UsageError(f"not a database URL: {shown(target)}", hint="postgresql://user@host/name") from error
    if url.get_backend_name() == "sqlite":
        if url.database and not url.query:
            return _sqlite_engine(Path(url.database), read_only=read_only)
        return _with_transactions(_create(url), read_only=read_only)
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername="postgresql+psycopg")
    options: dict[str, Any] = {"poolclass": NullPool}
    if url.drivername == "postgresql+psycopg":
        options["isolation_level"] = "READ COMMITTED"  # a writer that waited for the lock must see what the other wrote
        if "connect_timeout" not in url.query:
            options["connect_args"] = {"connect_timeout": 10}
        if read_only:
            options["execution_options"] = {"postgresql_readonly": True}
    return _create(url, **options)


@contextlib.contextmanager
def writing(engine: Engine, *, foreign_keys: bool = True) -> Iterator[Connection]:
    """One transaction that holds the write lock from its beginning, so that what it reads stays true until it commits.

    ``foreign_keys`` of False leaves SQLite's references unchecked until the end, for changes of the schema.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.execution_options(crt_begin="IMMEDIATE")
            driver: Any = connection.connection.driver_connection
            driver.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
            yield connection


def stored_revisions(connection: Connection) -> frozenset[str]:
    """The schema revisions that the database says it has; none for a database without a schema."""
    if not inspect(connection).has_table("alembic_version"):
        return frozenset()
    return frozenset(connection.scalars(text("select version_num from alembic_version")))


def is_current(connection: Connection, target: Engine | str) -> bool:
    """Whether the schema is this crt's own; False for an older or an empty one. Raises UsageError for any other."""
    shipped = read_revisions()
    stored = stored_revisions(connection)
    if stored == shipped.heads:
        return True
    _refuse_strangers(connection, stored, shipped, shown(target))
    return False


def _refuse_strangers(connection: Connection, stored: frozenset[str], shipped: Revisions, name: str) -> None:
    if stored & shipped.known and stored <= shipped.known:
        return
    tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
    if "test_run" in tables:
        raise UsageError(
            f"{name} was written by the predecessor of crt: its runs have to be imported",
            hint=f"crt db import {shlex.quote(name)} --db crt.db, and from then on --db crt.db",
        )
    if stored:
        raise UsageError(
            f"{name} was written by a newer crt (schema {', '.join(sorted(stored))})",
            hint="python3 -m pip install --upgrade coiled-runtime-cli",
        )
    if tables and connection.dialect.name == "sqlite":
        raise UsageError(
            f"{name} is another program's database (it has tables such as {min(tables)!r})",
            hint="choose another file with --db",
        )


def _sqlite_engine(path: Path, *, read_only: bool) -> Engine:
    if str(path) == ":memory:":
        return _with_transactions(_create(URL.create("sqlite")), read_only=read_only)
    try:
        is_folder, exists, has_parent = path.is_dir(), path.exists(), path.parent.is_dir()
    except (OSError, ValueError) as error:
        raise UsageError(f"no database can be at {str(path)!r}: {error}", hint="choose a file with --db") from error
    if is_folder:
        raise UsageError(f"{path} is a folder, not a database", hint=f"--db {shlex.quote(str(path / 'benchmark.db'))}")
    if not has_parent:
        raise UsageError(f"no such folder: {path.parent}", hint=f"mkdir -p {shlex.quote(str(path.parent))}")
    if read_only and not exists:
        raise UsageError(f"no database at {path}", hint="crt bench creates it; or choose another one with --db")
    if read_only and not os.access(path, os.W_OK):
        # Only here: elsewhere SQLite must be able to roll back what a killed process left half written.
        url = URL.create("sqlite", database="file:" + quote(str(path.absolute())), query={"mode": "ro", "uri": "true"})
    else:
        url = URL.create("sqlite", database=str(path))
    return _with_transactions(_create(url, poolclass=NullPool), read_only=read_only)


def _create(url: URL, **options: Any) -> Engine:
    if url.get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": LOCK_TIMEOUT}
    try:
        return create_engine(url, **options)
    except NoSuchModuleError as error:
        raise UsageError(
            f"no such kind of database: {url.drivername}", hint="a path for SQLite, or postgresql://user@host/name"
        ) from error
    except ModuleNotFoundError as error:
        if url.get_backend_name() == "postgresql":
            hint = "python3 -m pip install 'coiled-runtime-cli[postgresql]'"
        else:
            hint = f"install the package that provides the Python module {error.name}"
        raise ToolError(f"the driver for {shown(str(url))} is not installed: {error.name}", hint=hint) from error


def _with_transactions(engine: Engine, *, read_only: bool) -> Engine:
    """Give SQLite whole transactions, DDL included.

    Left alone, Python's driver begins one late, before the first write, and not before DDL. The remedy is SQLAlchemy's:
    https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#enabling-non-legacy-sqlite-transactional-modes-with-the-sqlite3-or-aiosqlite-driver
    """

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        if read_only:
            connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('crt_begin', 'DEFERRED')}")

    return engine
