"""Databases as one file: what is published, what of it is trusted, and what an empty database begins with."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING

import pytest
from recorded import everything, lines

from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest
from coiled_runtime_cli.db.shared import SharedHistory
from coiled_runtime_cli.db.snapshot import (
    SnapshotError,
    begin_with,
    check_snapshot,
    inspect_published,
    write_snapshot,
)
from coiled_runtime_cli.errors import RemoteError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture
def snapshot(engine: Engine, tmp_path: Path) -> Path:
    """Of three sessions, 2023-11-15, -16 and -18."""
    for number in (1, 10, 30):
        ingest(engine, lines(number))
    with SharedHistory(engine, "r") as history:
        history.mark_pushed({f"s{number}": f"key-{number}" for number in (1, 10, 30)})
        history.saw_catalog("etag", date(2023, 11, 1))
    path = tmp_path / "snapshot.db"
    assert write_snapshot(engine, path, None) == 12
    return path


def changed(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for each in statements:
            connection.execute(each)


def test_a_snapshot_is_a_whole_database_without_what_is_local(snapshot: Path, engine: Engine) -> None:
    copy = open_database(str(snapshot))
    assert everything(copy) == everything(engine)
    with copy.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        assert driver.execute("pragma integrity_check").fetchone() == ("ok",)
        counts = [
            driver.execute(f"select count(*) from {each}").fetchone()[0]
            for each in ("applied_segment", "pushed_segment", "remote_catalog", "bisection")
        ]
    assert counts == [3, 0, 0, 0]
    copy.dispose()


def test_a_snapshot_of_what_is_kept_says_nothing_of_the_rest(engine: Engine, snapshot: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    assert write_snapshot(engine, kept, date(2023, 11, 16)) == 8
    with closing(sqlite3.connect(kept)) as connection:
        assert {row[0] for row in connection.execute("select id from session")} == {"s10", "s30"}
        assert {row[0] for row in connection.execute("select session from applied_segment")} == {"s10", "s30"}
        assert connection.execute("pragma foreign_key_check").fetchall() == []
    assert kept.stat().st_size <= snapshot.stat().st_size


def test_only_an_empty_database_begins_with_a_snapshot(
    snapshot: Path, engine: Engine, empty_database: Path, tmp_path: Path
) -> None:
    path = tmp_path / "new.db"
    shutil.copyfile(empty_database, path)
    new = open_database(str(path))
    shutil.copyfile(snapshot, tmp_path / "copy.db")
    assert begin_with(new, tmp_path / "copy.db") == 12
    assert everything(new) == everything(engine)
    assert begin_with(new, tmp_path / "copy.db") is None
    ingest(new, lines(40))
    assert begin_with(new, tmp_path / "copy.db") is None
    with new.connect() as connection:
        assert connection.exec_driver_sql("select count(*) from run").scalar() == 16
    new.dispose()


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["create trigger t after insert on run begin delete from run; end"], "triggers"),
        (["create view other as select 1"], "views"),
        (['create table "x; drop" (a)'], "has a table"),
        (["create table more (a, b as (a + 1))"], "computed"),
        (["drop view test_run", "drop table metric", "drop table run"], "no database of crt"),
        (["delete from alembic_version"], "of which schema"),
        (["update alembic_version set version_num = '0123456789ab'"], "a newer crt"),
        (["pragma foreign_keys = off", "update run set benchmark_key = 99999"], "point to nothing"),
    ],
)
def test_a_hostile_snapshot_is_not_taken_over(
    snapshot: Path, empty_database: Path, tmp_path: Path, statements: list[str], said: str
) -> None:
    changed(snapshot, *statements)
    path = tmp_path / "new.db"
    shutil.copyfile(empty_database, path)
    new = open_database(str(path))
    with pytest.raises(SnapshotError, match=said):
        begin_with(new, snapshot)
    with new.connect() as connection:
        assert connection.exec_driver_sql("select count(*) from run").scalar() == 0
        assert connection.exec_driver_sql("select count(*) from metric_info").scalar()
    new.dispose()


def test_a_damaged_snapshot_is_not_taken_over(snapshot: Path, tmp_path: Path) -> None:
    whole = snapshot.read_bytes()
    for name, content in {
        "empty": b"",
        "text": b"<html>not found</html>" * 99,
        "half": whole[: len(whole) // 2],
        "holes": whole[:4096] + os.urandom(len(whole) - 4096),
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(SnapshotError):
            check_snapshot(path)
    assert check_snapshot(snapshot)


def test_what_crt_did_not_publish_must_not_be_replaced(snapshot: Path, tmp_path: Path) -> None:
    inspect_published(snapshot)
    old = tmp_path / "old.db"
    changed(
        old, "create table test_run (id integer primary key, name text)", "create table alembic_version (version_num)"
    )
    with pytest.raises(UsageError, match="was not published by crt") as caught:
        inspect_published(old)
    assert "crt db import" in (caught.value.hint or "")
    changed(snapshot, "update alembic_version set version_num = '0123456789ab'")
    with pytest.raises(RemoteError, match="newer crt"):
        inspect_published(snapshot)
