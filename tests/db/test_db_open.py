from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text

from coiled_runtime_cli.core.record import SessionStarted
from coiled_runtime_cli.db.engine import make_engine, open_database, stored_revisions
from coiled_runtime_cli.db.errors import shown
from coiled_runtime_cli.db.ingest import ingest
from coiled_runtime_cli.db.queries import sessions
from coiled_runtime_cli.db.revisions import read_revisions
from coiled_runtime_cli.errors import RemoteError, ToolError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

SESSION = SessionStarted(id="s", started=1e9)


def _run_each(script: str, arguments: list[list[str]]) -> list[str]:
    """Run the script once per list of arguments, all at the same time; return what each printed."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", script, *each],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for each in arguments
    ]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), results
    return [out for out, _ in results]


def test_a_path_without_a_file_becomes_a_database_at_head(tmp_path: Path) -> None:
    path = tmp_path / "with space & ünïcode ?#%.db"
    engine = open_database(str(path))
    with engine.connect() as connection:
        assert stored_revisions(connection) == read_revisions().heads
    assert path.is_file()


def test_a_sqlite_url_names_the_same_file_as_its_path(tmp_path: Path) -> None:
    ingest(open_database(f"sqlite:///{tmp_path / 'a.db'}"), [SESSION])
    assert [each.id for each in sessions(open_database(str(tmp_path / "a.db")))] == ["s"]


def test_a_database_in_memory_works() -> None:
    engine = open_database(":memory:")
    ingest(engine, [SESSION])
    assert len(sessions(engine)) == 1
    engine.dispose()


def test_opening_a_database_at_head_does_not_import_alembic(database: str) -> None:
    script = "import sys; from coiled_runtime_cli.db.engine import open_database; open_database(sys.argv[1])"
    script += "; print(sorted(name for name in sys.modules if name.split('.')[0] in ('alembic', 'mako')))"
    assert _run_each(script, [[database]]) == ["[]\n"]


def test_processes_that_open_a_new_database_at_once_migrate_it_once(any_database: str, tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from alembic import command
from coiled_runtime_cli.db import migrate
from coiled_runtime_cli.db.engine import make_engine, open_database
ready, go = Path(sys.argv[2]), Path(sys.argv[3])
ready.touch()
deadline = time.monotonic() + 60
while not go.exists() and time.monotonic() < deadline:
    pass
engine = make_engine(sys.argv[1])
print(migrate.upgrade(engine))
engine.dispose()
open_database(sys.argv[1]).dispose()
"""
    count = 5
    go = tmp_path / "go"
    starter = """
import sys, time
from pathlib import Path
deadline = time.monotonic() + 60
while len(list(Path(sys.argv[1]).glob("ready-*"))) < int(sys.argv[2]) and time.monotonic() < deadline:
    time.sleep(0.01)
Path(sys.argv[3]).touch()
"""
    with subprocess.Popen([sys.executable, "-c", starter, str(tmp_path), str(count), str(go)]) as process:
        printed = _run_each(script, [[any_database, str(tmp_path / f"ready-{each}"), str(go)] for each in range(count)])
        assert process.wait(timeout=60) == 0
    assert sorted(printed) == ["False\n"] * (count - 1) + ["True\n"]


def test_garbage_is_refused_as_no_sqlite_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes\n" * 100)
    with pytest.raises(UsageError, match=r"not a SQLite database: .*notes\.txt"):
        open_database(str(path))
    assert path.read_text() == "these are my notes\n" * 100


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        open_database(str(tmp_path))


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        open_database(str(tmp_path / "missing" / "benchmark.db"))


@pytest.mark.parametrize("target", ["a\0b", "x" * 5000])
def test_a_path_that_no_system_has_is_refused(target: str) -> None:
    with pytest.raises((UsageError, ToolError)):
        open_database(target)


def test_a_newer_database_names_the_upgrade_command(database: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("update alembic_version set version_num = 'ffffffffffff'")
    connection.close()
    with pytest.raises(UsageError, match=r"newer crt .*ffffffffffff") as caught:
        open_database(database)
    assert "pip install --upgrade coiled-runtime-cli" in (caught.value.hint or "")


@pytest.mark.parametrize("revision", ["2d2405ad", None])
def test_a_database_of_the_predecessor_is_named_as_such_and_left_alone(tmp_path: Path, revision: str | None) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table test_run (id integer primary key, name text)")
        if revision:
            connection.execute("create table alembic_version (version_num text)")
            connection.execute("insert into alembic_version values (?)", [revision])
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="predecessor of crt") as caught:
        open_database(str(path))
    assert f"crt db import {path} --db" in (caught.value.hint or "")
    assert path.read_bytes() == before


def test_another_program_s_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "places.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table moz_places (url text)")
    connection.close()
    with pytest.raises(UsageError, match="another program's database"):
        open_database(str(path))


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no database at"):
        open_database(str(tmp_path / "none.db"), read_only=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"read_only": True}, {"migrate": False}])
def test_an_old_schema_is_not_touched_unless_it_may_be(tmp_path: Path, options: dict[str, bool]) -> None:
    path = tmp_path / "old.db"
    path.touch()
    with pytest.raises(UsageError, match="older") as caught:
        open_database(str(path), **options)
    assert "crt db upgrade" in (caught.value.hint or "")
    assert path.stat().st_size == 0


def test_writing_through_a_read_only_engine_is_explained(database: str) -> None:
    engine = open_database(database, read_only=True)
    with pytest.raises(ToolError, match="read-only"):
        ingest(engine, [SESSION])


def test_a_write_protected_file_can_be_read(database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    odd = tmp_path / "a ?b#c%20.db"
    shutil.move(database, odd)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    engine = open_database(str(odd), read_only=True)
    assert sessions(engine) == []
    assert "?b#" not in str(engine.url.database)
    with pytest.raises(ToolError, match="read-only"):
        ingest(engine, [SESSION])


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which nobody may write")
def test_a_folder_that_takes_no_file_is_explained() -> None:
    with pytest.raises(ToolError, match="cannot open /proc/benchmark"):
        open_database("/proc/benchmark.db")


def _limit_to(engine: Engine, pages: int) -> None:
    @event.listens_for(engine, "connect")
    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_is_explained_and_leaves_what_was_there(database: str) -> None:
    ingest(open_database(database), [SESSION])
    full = open_database(database)
    _limit_to(full, 1)
    many = [SessionStarted(id="big", started=2e9, command=("x" * 1_000_000,))]
    with pytest.raises(ToolError, match="disk is full") as caught:
        ingest(full, many)
    assert "full" in caught.value.message
    assert [each.id for each in sessions(open_database(database))] == ["s"]


def test_a_disk_too_full_for_the_first_migration_leaves_an_empty_file(tmp_path: Path) -> None:
    from coiled_runtime_cli.db.migrate import upgrade

    path = tmp_path / "new.db"
    engine = make_engine(str(path))
    _limit_to(engine, 3)
    with pytest.raises(ToolError, match="disk is full"):
        upgrade(engine)
    assert open_database(str(path)) is not None


def test_a_damaged_database_is_explained(database: str) -> None:
    path = Path(database)
    content = bytearray(path.read_bytes())
    content[4096 : len(content) - 4096] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises((ToolError, UsageError), match=r"damaged|cannot use|not a SQLite"):
        ingest(open_database(database), [SESSION])


def test_what_to_type_names_the_file_as_a_shell_reads_it(database: str, tmp_path: Path) -> None:
    path = tmp_path / "Tom's runs.db"
    shutil.copyfile(database, path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("drop table session")
    with pytest.raises(ToolError, match="lacks a table") as lacking:
        sessions(open_database(str(path)))
    assert shlex.split(lacking.value.hint or "") == ["crt", "db", "upgrade", "--db", str(path)]
    shutil.copyfile(database, path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("select rootpage from sqlite_master where name = 'session'").fetchone()
        (size,) = connection.execute("pragma page_size").fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(content)
    with pytest.raises(ToolError, match="damaged") as damaged:
        sessions(open_database(str(path)))
    assert shlex.split(damaged.value.hint or "")[:3] == ["sqlite3", str(path), ".recover"]


def test_an_unreachable_server_is_a_remote_error_without_the_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(RemoteError, match="cannot reach") as caught:
        open_database("postgresql://crt:s3cret@127.0.0.1:1/runs")
    assert "s3cret" not in str(caught.value.message) + str(caught.value.hint)


def test_a_database_that_the_server_lacks_is_a_remote_error(postgresql: Any) -> None:
    with pytest.raises(RemoteError, match="does not exist"):
        open_database(f"{postgresql.url}/missing")


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ToolError, match="driver") as caught:
        open_database("postgresql://crt:s3cret@127.0.0.1/runs")
    assert caught.value.hint == "python3 -m pip install 'coiled-runtime-cli[postgresql]'"
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize("target", ["nosuch://u:s3cret@host/x", "postgresql://u:s3cret@host:port/x", "://"])
def test_a_wrong_url_is_a_usage_error_without_the_password(target: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_database(target)
    assert "s3cret" not in caught.value.message


def test_reading_a_server_writes_nothing(new_postgresql: object) -> None:
    url = new_postgresql()  # type: ignore[operator]
    open_database(url).dispose()
    engine = open_database(url, read_only=True)
    with pytest.raises(ToolError, match="read-only"):
        ingest(engine, [SESSION])
    engine.dispose()


def test_passwords_are_never_shown() -> None:
    pytest.importorskip("psycopg")
    for url in (
        "postgresql://u:s3cret@h/d",
        "postgresql://h/d?password=s3cret",
        "postgresql://u@h/d?sslpassword=s3cret",
    ):
        assert "s3cret" not in shown(url)
        assert "s3cret" not in shown(make_engine(url))


def test_references_are_enforced(engine: Engine) -> None:
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("insert into metric (run_key, metric_info_key, value) values (99, 1, 1.0)"))
