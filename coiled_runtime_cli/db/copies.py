"""Databases that are only read, at this crt's schema: an older one is brought up to date as a copy, and stays as it is."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import temporary
from coiled_runtime_cli.db.engine import is_current, make_engine, open_database
from coiled_runtime_cli.db.errors import database_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


@contextlib.contextmanager
def opened_copy(target: str) -> Iterator[Engine]:
    """The database at a path or URL, to be read. Raises UsageError where it is none of crt's, or a newer crt's."""
    engine = make_engine(target, read_only=True)
    try:
        with database_errors(engine), engine.connect() as connection:
            current = is_current(connection, engine)
        if current or engine.dialect.name != "sqlite":
            engine.dispose()
            engine = open_database(target, read_only=True)
            yield engine
            return
        with temporary.folder() as folder:
            copy = Path(folder) / "copy.db"
            with database_errors(engine), contextlib.closing(sqlite3.connect(copy)) as into:
                raw = engine.raw_connection()
                driver: sqlite3.Connection = raw.driver_connection  # type: ignore[assignment]
                driver.backup(into)
                raw.close()
            newer = open_database(str(copy))
            try:
                yield newer
            finally:
                newer.dispose()
    finally:
        engine.dispose()
