"""A whole history as one SQLite file: writing it, trusting it, and beginning with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date, datetime, time, timezone
from typing import TYPE_CHECKING

from sqlalchemy import Engine, delete, func, select

from coiled_runtime_cli.db import models
from coiled_runtime_cli.db.absorb import absorb
from coiled_runtime_cli.db.engine import make_engine, open_database, writing
from coiled_runtime_cli.db.errors import database_errors
from coiled_runtime_cli.db.prune import chosen, remove, shrink
from coiled_runtime_cli.db.revisions import read_revisions
from coiled_runtime_cli.errors import CrtError, RemoteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Tables whose rows are of one database alone.
_LOCAL = (models.PushedSegment, models.RemoteCatalog, models.Bisection, models.Finding)


class SnapshotError(ValueError):
    """The file is no database that crt published, or a damaged one."""


def write_snapshot(engine: Engine, target: Path, first: date | None) -> int:
    """Write a SQLite database's sessions from the first day (UTC) on into a file of their own; the number of their runs."""
    raw = engine.raw_connection()
    try:
        with database_errors(engine):
            driver: sqlite3.Connection = raw.driver_connection  # type: ignore[assignment]
            driver.execute("vacuum into ?", (str(target),))
    finally:
        raw.close()
    copy = make_engine(str(target))
    try:
        with database_errors(copy):
            with writing(copy, foreign_keys=False) as connection:
                for table in _LOCAL:
                    connection.execute(delete(table))
                removed = 0
                if first is not None:
                    old = chosen(before=datetime.combine(first, time(), timezone.utc))
                    removed = connection.scalar(select(func.count()).select_from(models.Session).where(old)) or 0
                    if removed:
                        remove(connection, old)
                kept = select(models.Session.id)
                connection.execute(delete(models.AppliedSegment).where(models.AppliedSegment.session.not_in(kept)))
                runs = connection.scalar(select(func.count()).select_from(models.Run)) or 0
            if removed:
                shrink(copy)
    finally:
        copy.dispose()
    return runs


def check_snapshot(path: Path) -> str:
    """The schema's revision of a database that came from elsewhere. Raises SnapshotError.

    Only tables that hold rows are accepted: nothing that is run when they are read or written.
    https://www.sqlite.org/security.html
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("pragma trusted_schema = off")
            connection.execute("pragma cell_size_check = on")
            found = connection.execute("select type, name from sqlite_master").fetchall()
            if any(kind not in {"table", "index", "view"} for kind, _ in found):
                raise SnapshotError("it has triggers")
            tables = {name for kind, name in found if kind == "table"}
            _check_tables(connection, tables, {name for kind, name in found if kind == "view"})
            revisions = [row[0] for row in connection.execute("select version_num from alembic_version")]
            said = connection.execute("pragma quick_check(1)").fetchone()
    except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
        raise SnapshotError(f"it cannot be read: {error}") from error
    if said != ("ok",):
        raise SnapshotError(f"it is damaged: {said[0]}")
    if len(revisions) != 1 or not isinstance(revisions[0], str):
        raise SnapshotError("it says not of which schema it is")
    return revisions[0]


def _check_tables(connection: sqlite3.Connection, tables: set[str], views: set[str]) -> None:
    if "alembic_version" not in tables or not {"run", "session", "benchmark"} <= tables:
        raise SnapshotError("it is no database of crt")
    if not views <= {"test_run"}:
        raise SnapshotError("it has views that crt has not")
    for table in tables:
        if not table.isidentifier():
            raise SnapshotError(f"it has a table {table!r}")
        columns = connection.execute(f"pragma table_xinfo({table})").fetchall()
        if any(column[6] for column in columns):
            raise SnapshotError(f"columns of its table {table} are computed")


def inspect_published(path: Path) -> None:
    """Raise where a published database must not be replaced by one of this crt."""
    try:
        revision = check_snapshot(path)
    except SnapshotError as error:
        hint = (
            "if it is the predecessor's: crt db import benchmark.db, crt sync push, and move the old file away; "
            "--replace overwrites whatever is there"
        )
        raise UsageError(f"benchmark.db in the remote was not published by crt: {error}", hint=hint) from error
    if revision not in read_revisions().known:
        raise RemoteError(
            f"benchmark.db in the remote was published by a newer crt (schema {revision})",
            hint="python3 -m pip install --upgrade coiled-runtime-cli",
        )


def begin_with(engine: Engine, path: Path, progress: Callable[[int, int], None] | None = None) -> int | None:
    """Fill an empty database with a snapshot; the number of runs, None where the database was not empty.

    ``path`` is a copy that is this function's own: it is brought up to date. Raises SnapshotError where it cannot be trusted.
    """
    revision = check_snapshot(path)
    if revision not in read_revisions().known:
        raise SnapshotError(f"a newer crt published it (schema {revision})")
    source = None
    try:
        source = open_database(str(path))
        if engine.dialect.name == "sqlite" and engine.url.database:
            return _copied(engine, path)
        return absorb(engine, source, marks=True, progress=progress).new
    except CrtError as error:
        if source is None:
            raise SnapshotError(error.message) from error
        raise
    finally:
        if source is not None:
            source.dispose()


def _copied(engine: Engine, path: Path) -> int | None:
    """All rows with their numbers, in one transaction."""
    tables = [
        table
        for table in models.Base.metadata.sorted_tables
        if table.name not in {each.__tablename__ for each in _LOCAL}
    ]
    raw = engine.raw_connection()
    try:
        with database_errors(engine):
            driver: sqlite3.Connection = raw.driver_connection  # type: ignore[assignment]
            driver.execute("pragma foreign_keys = off")
            driver.execute("pragma cache_size = -200000")
            driver.execute("attach ? as snapshot", (str(path),))
            driver.execute("begin immediate")
            try:
                if driver.execute("select 1 from main.session limit 1").fetchone() is not None:
                    driver.execute("rollback")
                    return None
                for table in tables:
                    names = ", ".join(f'"{column.name}"' for column in table.columns)
                    driver.execute(f'delete from main."{table.name}"')  # noqa: S608
                    driver.execute(
                        f'insert into main."{table.name}" ({names}) select {names} from snapshot."{table.name}"'  # noqa: S608
                    )
                broken = driver.execute("pragma main.foreign_key_check").fetchone()
                if broken is not None:
                    raise SnapshotError(f"rows of its table {broken[0]} point to nothing")  # noqa: TRY301  rolled back below
                (runs,) = driver.execute("select count(*) from main.run").fetchone()
                driver.execute("commit")
            except BaseException:
                if driver.in_transaction:
                    driver.execute("rollback")
                raise
            return int(runs)
    finally:
        raw.close()
