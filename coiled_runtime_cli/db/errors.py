"""What a database says when it fails, in words for the user: by cause, and never with a password."""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import unquote

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, ProgrammingError

from coiled_runtime_cli.errors import CrtError, RemoteError, ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

#: Beginnings of SQLite's messages; Python 3.10 has no error codes on its exceptions.
_SQLITE_FULL = "database or disk is full"
_SQLITE_READ_ONLY = "attempt to write a readonly database"
_SQLITE_CANNOT_OPEN = "unable to open database file"
_SQLITE_NOT_A_DATABASE = "file is not a database"
_SQLITE_DAMAGED = "database disk image is malformed"
_SQLITE_LOCKED = "database is locked"
_SQLITE_NO_TABLE = "no such table"

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL_FULL = "53100"
_POSTGRESQL_READ_ONLY = "25006"
_POSTGRESQL_DENIED = "42501"
_POSTGRESQL_NO_TABLE = "42P01"


def shown(target: Engine | str) -> str:
    """Name a database in a message: its path, or its URL without the password."""
    if isinstance(target, str):
        if "://" not in target:
            return target
        try:
            url = make_url(target)
        except (ArgumentError, ValueError):
            return target.partition("://")[0] + "://..."
    else:
        url = target.url
    if url.get_backend_name() == "sqlite":
        database = url.database or "(in memory)"
        return unquote(database.removeprefix("file:")) if database.startswith("file:") else database
    secret = {name for name in url.query if "password" in name}
    return url.difference_update_query(secret).render_as_string(hide_password=True)


@contextlib.contextmanager
def database_errors(target: Engine | str) -> Iterator[None]:
    """Turn what a database refuses into CrtErrors that say what to do; errors in our own statements pass through.

    UsageError: not a SQLite database. ToolError: read-only, full, locked, damaged, denied. RemoteError: not reachable.
    """
    try:
        yield
    except DBAPIError as error:
        explained = _explain(error, target)
        if explained is None:
            raise
        raise explained from error
    # of the driver itself, where it was asked for something that SQLAlchemy does not know
    except sqlite3.Error as error:
        explained = _explain_sqlite(error, str(error), shown(target))
        if explained is None:
            raise
        raise explained from error


def _explain(error: DBAPIError, target: Engine | str) -> CrtError | None:
    cause = error.orig
    if cause is None:
        return None
    if type(cause).__module__.partition(".")[0] == "sqlite3":
        return _explain_sqlite(error, str(cause), shown(target))
    return _explain_server(error, getattr(cause, "sqlstate", None), target)


def _explain_sqlite(error: DBAPIError | sqlite3.Error, said: str, name: str) -> CrtError | None:
    if said.startswith(_SQLITE_NOT_A_DATABASE):
        return UsageError(f"not a SQLite database: {name}", hint="choose another file with --db, or move this one away")
    if said.startswith(_SQLITE_FULL):
        return ToolError(f"the disk is full: cannot write to {name}", hint="free some space, and run this again")
    if said.startswith(_SQLITE_READ_ONLY):
        return ToolError(f"cannot write to {name}: it is read-only", hint="choose a writable file with --db")
    if said.startswith(_SQLITE_CANNOT_OPEN):
        return ToolError(
            f"cannot open {name}: permission denied, or its folder is not writable",
            hint="choose a file in a writable folder with --db",
        )
    if said.startswith(_SQLITE_LOCKED):
        return ToolError(
            f"{name} stays locked by another process", hint="run the command again when that one has finished"
        )
    if said.startswith(_SQLITE_DAMAGED):
        return ToolError(
            f"the database is damaged: {name}",
            hint=f"sqlite3 {shlex.quote(name)} .recover | sqlite3 recovered.db",
        )
    if said.startswith(_SQLITE_NO_TABLE):
        return ToolError(f"{name} lacks a table of crt: {said}", hint=f"crt db upgrade --db {shlex.quote(name)}")
    if isinstance(error, IntegrityError | ProgrammingError | sqlite3.IntegrityError | sqlite3.ProgrammingError):
        return None
    return ToolError(f"SQLite cannot use {name}: {said}")


def _explain_server(error: DBAPIError, state: str | None, target: Engine | str) -> CrtError | None:
    name = shown(target)
    said = _without_password(str(error.orig).strip().partition("\n")[0], target)
    if state == _POSTGRESQL_FULL:
        return ToolError(f"the disk of the database server is full: {name}")
    if state == _POSTGRESQL_READ_ONLY:
        return ToolError(f"cannot write to {name}: it is read-only", hint="connect to the primary server")
    if state == _POSTGRESQL_DENIED:
        return ToolError(f"{name}: {said}", hint="ask its owner to grant this, or connect as another user")
    if state == _POSTGRESQL_NO_TABLE:
        return ToolError(f"{name} lacks a table of crt: {said}", hint=f"crt db upgrade --db {shlex.quote(name)}")
    if error.connection_invalidated or state is None or state[:2] in {"08", "28", "3D", "57"}:
        return RemoteError(f"cannot reach {name}: {said}", hint="check the host, port, user, password and name in it")
    if isinstance(error, IntegrityError | ProgrammingError):
        return None
    return ToolError(f"{name}: {said}")


def _without_password(said: str, target: Engine | str) -> str:
    try:
        password = make_url(target).password if isinstance(target, str) else target.url.password
    except (ArgumentError, ValueError):
        return said
    return said.replace(str(password), "***") if password else said
