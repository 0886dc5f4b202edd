"""Whatever a database holds, its reader gives a value or one of our errors, and comes to an end."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from broken import FEW

from coiled_runtime_cli.db import legacy
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.errors import CrtError

SCHEMAS = [
    "create table test_run (id integer primary key, name varchar)",
    "create table test_run (x)",
    "create view test_run as select 1 as id, 'a' as name",
    "create table test_run (id integer, session_id, name, originalname, path, call_outcome, start, end, duration, peak_memory)",
    "create table tpch_run (id integer, query, scale)",
    "create table test_run (id integer, name); create trigger t after insert on test_run begin delete from test_run; end",
    "create table alembic_version (version_num); insert into alembic_version values ('x')",
]
cells = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=8)
    | st.text(max_size=8)
    | st.sampled_from(["passed", "2026-11-20 00:00:00", "9999-12-31 23:59:59", "x" * 5000, "\0"])
)


@given(data=st.data())
@FEW
def test_an_old_database_of_any_shape_is_imported_or_refused(data: st.DataObject, empty: Path, tmp_path: Path) -> None:
    old, database = tmp_path / "old.db", tmp_path / "benchmark.db"
    for each in (old, database):
        each.unlink(missing_ok=True)
    shutil.copyfile(empty, database)
    with contextlib.closing(sqlite3.connect(old)) as connection:
        connection.executescript(data.draw(st.sampled_from(SCHEMAS)))
        for table in ("test_run", "tpch_run"):
            with contextlib.suppress(sqlite3.Error):
                width = len(connection.execute(f"pragma table_info({table})").fetchall())
                for _ in range(data.draw(st.integers(0, 3))):
                    row = [data.draw(cells) for _ in range(width)]
                    connection.execute(f"insert into {table} values ({','.join('?' * width)})", row)
        connection.commit()
    if data.draw(st.booleans()):
        content = old.read_bytes()
        at = data.draw(st.integers(0, len(content) - 1))
        old.write_bytes(
            content[:at]
            if data.draw(st.booleans())
            else content[:at] + data.draw(st.binary(min_size=4, max_size=16)) + content[at + 16 :]
        )
    engine = open_database(str(database))
    with contextlib.suppress(CrtError), legacy.opened(old) as source:
        legacy.import_history(engine, source)
    engine.dispose()


@given(data=st.data())
@FEW
def test_a_database_of_any_bytes_is_opened_or_refused(data: st.DataObject, empty: Path, tmp_path: Path) -> None:
    path = tmp_path / "benchmark.db"
    content = empty.read_bytes()
    at = data.draw(st.integers(0, 4096) | st.integers(0, len(content) - 1))
    path.write_bytes(
        content[:at]
        if data.draw(st.booleans())
        else content[:at] + data.draw(st.binary(min_size=1, max_size=64)) + content[at + 64 :]
    )
    with contextlib.suppress(CrtError):
        open_database(str(path)).dispose()
