"""Questions of a user's own, in SQL: read, and nothing but read."""

from __future__ import annotations

import contextlib
import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from coiled_runtime_cli.core.segment import number
from coiled_runtime_cli.db.engine import make_engine
from coiled_runtime_cli.db.errors import database_errors
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What SQLite asks permission for while it reads. https://www.sqlite.org/c3ref/c_alter_table.html
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_TRANSACTION}
_TELLING = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list"}

#: Errors of PostgreSQL that are about the question, not about the server: syntax, names, types, and writing.
_ABOUT_THE_QUESTION = ("42", "22", "0A", "25006", "21")


@contextlib.contextmanager
def asked(target: str, sql: str) -> Iterator[tuple[list[str], Iterator[tuple[Any, ...]]]]:
    """Names of the columns, and the rows as they come. Raises UsageError for what is no question, or more than one."""
    statement = sql.strip().rstrip(";").strip()
    if not statement:
        raise UsageError("there is no question", hint="crt db query 'select name, duration from test_run limit 10'")
    engine = make_engine(target, read_only=True)
    try:
        with database_errors(engine), engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                driver: Any = connection.connection.driver_connection
                driver.set_authorizer(_permitted)
            else:
                connection = connection.execution_options(stream_results=True)  # noqa: PLW2901
            with _questions():
                result = connection.exec_driver_sql(_unformatted(statement, engine.dialect.name))
                if not result.returns_rows:
                    raise UsageError("this asks for nothing: crt db query only reads", hint="begin it with select")
                yield _distinct(list(result.keys())), (tuple(map(plain, row)) for row in result)
    finally:
        engine.dispose()


def _unformatted(statement: str, dialect: str) -> str:
    """Psycopg takes no percent sign for itself where a statement comes without parameters; others neither."""
    return statement if dialect == "sqlite" else statement.replace("%", "%%")


def _permitted(action: int, name: str | None, argument: str | None, *_: object) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if (argument or "").lower() == "load_extension" else sqlite3.SQLITE_OK
    told = action == sqlite3.SQLITE_PRAGMA and (name or "").lower() in _TELLING
    return sqlite3.SQLITE_OK if action in _READING or told else sqlite3.SQLITE_DENY


@contextlib.contextmanager
def _questions() -> Iterator[None]:
    """What is wrong with the question is its author's to mend."""
    try:
        yield
    except DBAPIError as error:
        cause = error.orig
        said = str(cause).strip().partition("\n")[0]
        if isinstance(cause, sqlite3.Error):
            if "not authorized" in said or "prohibited" in said:
                raise UsageError(
                    "crt db query only reads: this statement would write", hint="begin it with select"
                ) from error
            if not any(each in said for each in ("locked", "malformed", "disk", "not a database", "unable to open")):
                raise UsageError(f"the database does not understand this: {said}", hint=_HINT) from error
        elif (getattr(cause, "sqlstate", None) or "").startswith(_ABOUT_THE_QUESTION):
            if cause is not None and getattr(cause, "sqlstate", None) == "25006":
                raise UsageError(
                    "crt db query only reads: this statement would write", hint="begin it with select"
                ) from error
            raise UsageError(f"the database does not understand this: {said}", hint=_HINT) from error
        raise


_HINT = "one statement at a time; crt db query 'select * from test_run limit 1' shows the columns"


def _distinct(names: list[str]) -> list[str]:
    """The names, with numbers where several are the same."""
    found: list[str] = []
    for name in names:
        count, free = 1, name
        while free in found:
            count += 1
            free = f"{name}_{count}"
        found.append(free)
    return found


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, float):
        return number(value)
    if value is None or isinstance(value, (str, int, bool)):
        return value
    if isinstance(value, Decimal):
        return number(float(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
