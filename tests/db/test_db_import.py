"""Databases of the predecessor are made here as it made them: the last schema, or columns taken away from it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from coiled_runtime_cli.core.record import MEASURES, Environment, Package, Run
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest
from coiled_runtime_cli.db.legacy import Imported, import_history, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

TEST_RUN = {
    "id": "INTEGER NOT NULL PRIMARY KEY",
    "session_id": "VARCHAR NOT NULL",
    "name": "VARCHAR NOT NULL",
    "originalname": "VARCHAR NOT NULL",
    **dict.fromkeys(("path", "setup_outcome", "call_outcome", "teardown_outcome"), "VARCHAR"),
    **dict.fromkeys(("coiled_runtime_version", "coiled_software_name"), "VARCHAR"),
    **dict.fromkeys(("dask_version", "dask_expr_version", "distributed_version"), "VARCHAR"),
    **dict.fromkeys(("python_version", "platform", "ci_run_url"), "VARCHAR"),
    **dict.fromkeys(("start", "end"), "DATETIME"),
    **dict.fromkeys(MEASURES, "FLOAT"),
    "cluster_name": "VARCHAR",
    "cluster_id": "INTEGER",
    "cluster_details_url": "VARCHAR",
    **dict.fromkeys(("performance_report_url", "cluster_dump_url"), "VARCHAR"),
    **dict.fromkeys(("memray_profiles_url", "py_spy_profiles_url"), "VARCHAR"),
}
#: What the first revision lacked.
LATER = (
    "cluster_name",
    "cluster_id",
    "cluster_details_url",
    "scheduler_cpu_avg",
    "scheduler_memory_max",
    "worker_max_tick",
    "scheduler_max_tick",
    "dask_expr_version",
    "memray_profiles_url",
    "py_spy_profiles_url",
)
TPCH_RUN = {
    **{
        name: kind
        for name, kind in TEST_RUN.items()
        if name not in {"coiled_runtime_version", "coiled_software_name", *MEASURES[3:], *LATER[-3:]}
    },
    **dict.fromkeys(("dask_expr_version", "duckdb_version", "pyspark_version", "polars_version"), "VARCHAR"),
    **dict.fromkeys(("scale", "query", "n_workers", "cluster_disk_size"), "INTEGER"),
    "local": "BOOLEAN",
    **dict.fromkeys(("compression", "partition_size", "worker_vm_type"), "VARCHAR"),
}
RUN = {
    "session_id": "5f0c",
    "name": "test_write_wide_data",
    "originalname": "test_write_wide_data",
    "path": "benchmarks/test_parquet.py",
    "setup_outcome": "passed",
    "call_outcome": "passed",
    "coiled_runtime_version": "upstream",
    "coiled_software_name": "package_sync",
    "dask_version": "2024.2.1+17.gabc1234.dirty",
    "distributed_version": "2024.2.1",
    "python_version": "3.9.18.final.0",
    "platform": "linux",
    "ci_run_url": "https://example.com/runs/1",
    "start": "2024-03-01 10:00:00.000000",
    "end": "2024-03-01 10:00:12.500000",
    "duration": 12.5,
    "average_memory": 3e9,
}
TPCH = {
    "session_id": "7a1b",
    "name": "test_query_01",
    "originalname": "test_query_01",
    "path": "tpch/test_dask.py",
    "dask_version": "2024.5.0",
    "python_version": "3.10.14.final.0",
    "platform": "linux",
    "duckdb_version": "1.0.0",
    "polars_version": "0.20.31",
    "scale": 1000,
    "query": 1,
    "local": 0,
    "n_workers": 32,
    "worker_vm_type": "m6i.xlarge",
}


def old(
    path: Path,
    rows: Iterable[dict[str, Any]] = (RUN,),
    tpch: Iterable[dict[str, Any]] | None = None,
    *,
    without: Sequence[str] = (),
    extra: dict[str, str] | None = None,
) -> Path:
    """Write a database of the predecessor; ``without`` names columns that it is too old to have."""
    with closing(sqlite3.connect(path)) as connection:
        schema = {name: kind for name, kind in {**TEST_RUN, **(extra or {})}.items() if name not in without}
        tables = {"test_run": (schema, rows)} | ({} if tpch is None else {"tpch_run": (TPCH_RUN, tpch)})
        for table, (columns, content) in tables.items():
            described = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            connection.execute(f"create table {table} ({described})")
            insert(connection, table, content)
        connection.commit()
    return path


def insert(connection: sqlite3.Connection, table: str, rows: Iterable[dict[str, Any]]) -> None:
    for row in rows:
        names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
        connection.execute(f"insert into {table} ({names}) values ({marks})", tuple(row.values()))


def history(sessions: int, tests: int, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows as the predecessor's CI wrote them, sessions one after the other, with failed and skipped tests."""
    numbers = random.Random(seed)
    for session in range(sessions):
        identity = uuid.UUID(int=numbers.getrandbits(128)).hex
        for test in range(tests):
            name = f"test_{test}[{test % 3}-tasks]" if test % 2 else f"test_{test}"
            row: dict[str, Any] = {
                **RUN,
                "session_id": identity,
                "name": name,
                "originalname": f"test_{test}",
                "path": f"benchmarks/test_{'abc'[test % 3]}.py",
                "coiled_runtime_version": ("upstream", "AB_fast", "0.2.1")[session % 3],
                "dask_version": f"2024.2.1+{session}.g{numbers.getrandbits(28):07x}",
                "dask_expr_version": "1.1.21",
                "ci_run_url": f"https://example.com/runs/{session}",
                "start": None,
                "end": None,
            }
            call = numbers.choice(("passed",) * 8 + ("failed", None))
            if call is None:
                row |= {
                    "setup_outcome": "skipped",
                    "call_outcome": None,
                    "teardown_outcome": "passed",
                    "duration": None,
                }
                row["average_memory"] = None
            else:
                moment = f"2024-{1 + session // 28:02}-{1 + session % 28:02} {test % 24:02}:{test % 60:02}"
                row |= {name: numbers.random() * 1e9 for name in MEASURES}
                row |= {
                    "call_outcome": call,
                    "start": f"{moment}:00.{numbers.getrandbits(19):06}",
                    "end": f"{moment}:59.{numbers.getrandbits(19):06}",
                    "cluster_name": f"c-{session}-{test % 3}",
                    "cluster_id": 100_000 + session,
                    "cluster_details_url": f"https://example.com/clusters/{session}",
                    "cluster_dump_url": f"s3://dumps/{session}-{test}" if call == "failed" else None,
                }
            yield row


def run_import(path: Path, database: str) -> Imported:
    engine = open_database(database)
    try:
        with opened(path) as source:
            return import_history(engine, source)
    finally:
        engine.dispose()


def view(database: str | Path, columns: Sequence[str] = tuple(TEST_RUN)[1:]) -> list[tuple[Any, ...]]:
    """Rows of ``test_run``, of the predecessor's table or of crt's view, in an order of their own."""
    with closing(sqlite3.connect(database)) as connection:
        names = ", ".join(f'"{name}"' for name in columns)
        return sorted(connection.execute(f"select {names} from test_run").fetchall(), key=repr)


def only(database: str, query: str) -> Any:
    with closing(sqlite3.connect(database)) as connection:
        (row,) = connection.execute(query).fetchall()
    return row[0] if len(row) == 1 else row


def crt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DB_NAME", "CRT_"))}
    environment |= {"HOME": str(folder), "COLUMNS": "100"}
    command = [sys.executable, "-W", "error", "-m", "coiled_runtime_cli", "db", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_every_row_of_the_predecessor_is_in_the_view_as_it_was(tmp_path: Path, database: str) -> None:
    path = old(tmp_path / "old.db", history(12, 40))
    done = run_import(path, database)
    assert (done.rows, done.new, done.sessions, done.known, done.duplicates) == (480, 480, 12, 0, 0)
    assert not done.skipped
    assert not done.mended
    assert view(database) == view(path)
    query = "select dask_version, average_memory from test_run where name='test_4' order by 1, 2"
    with closing(sqlite3.connect(path)) as before, closing(sqlite3.connect(database)) as after:
        assert after.execute(query).fetchall() == before.execute(query).fetchall() != []


def test_importing_again_adds_nothing(tmp_path: Path, database: str) -> None:
    path = old(tmp_path / "old.db", history(5, 20))
    run_import(path, database)
    before = Path(database).read_bytes()
    done = run_import(path, database)
    assert (done.rows, done.new, done.known) == (100, 0, 100)
    assert Path(database).read_bytes() == before


def test_another_copy_with_other_ids_and_order_is_the_same_history(tmp_path: Path, database: str) -> None:
    rows = list(history(5, 20))
    run_import(old(tmp_path / "old.db", rows), database)
    random.Random(1).shuffle(rows)
    copy = old(tmp_path / "copy.db", [{"id": 10_000 - place, **row} for place, row in enumerate(rows)])
    done = run_import(copy, database)
    assert (done.new, done.known) == (0, 100)


def test_a_copy_that_grew_adds_its_new_rows_only(tmp_path: Path, database: str) -> None:
    rows = list(history(6, 20))
    run_import(old(tmp_path / "old.db", rows[:50]), database)  # cut within a session
    done = run_import(old(tmp_path / "new.db", rows), database)
    assert (done.new, done.known) == (70, 50)
    assert view(database) == view(tmp_path / "new.db")


def test_a_history_that_a_merge_doubled_is_imported_once(tmp_path: Path, database: str) -> None:
    rows = list(history(5, 20))
    done = run_import(old(tmp_path / "old.db", [*rows, *rows]), database)
    assert (done.rows, done.new, done.duplicates) == (200, 100, 100)
    assert view(database) == view(old(tmp_path / "once.db", rows))


def test_importing_in_either_order_from_two_halves_gives_one_history(tmp_path: Path, empty_database: Path) -> None:
    rows = list(history(6, 20))
    halves = [old(tmp_path / "a.db", rows[:70]), old(tmp_path / "b.db", rows[50:])]
    found = []
    for order in (halves, halves[::-1]):
        database = tmp_path / f"{len(found)}.db"
        shutil.copyfile(empty_database, database)
        for path in order:
            run_import(path, str(database))
        found.append(view(database, ("uuid", *tuple(TEST_RUN)[1:])))
    assert found[0] == found[1]


def test_the_first_revision_had_fewer_columns(tmp_path: Path, database: str) -> None:
    rows = [{name: value for name, value in row.items() if name not in LATER} for row in history(3, 10)]
    path = old(tmp_path / "old.db", rows, without=LATER)
    assert run_import(path, database).new == 30
    columns = [name for name in tuple(TEST_RUN)[1:] if name not in LATER]
    assert view(database, columns) == view(path, columns)


def test_a_column_that_nobody_knows_is_named(tmp_path: Path, database: str) -> None:
    path = old(tmp_path / "old.db", [{**RUN, "compiler": "gcc"}], extra={"compiler": "VARCHAR"})
    with opened(path) as source:
        assert source.unknown == ("test_run.compiler",)
    done = crt(tmp_path, "import", str(path), str(path), "--db", database)
    assert done.returncode == 0
    assert done.stderr.count("test_run.compiler") <= 2


def test_versions_become_packages_with_commits(tmp_path: Path, database: str) -> None:
    run_import(old(tmp_path / "old.db"), database)
    assert json.loads(only(database, "select packages from environment")) == [
        {"name": "dask", "version": "2024.2.1+17.gabc1234.dirty", "commit": "abc1234", "dirty": True},
        {"name": "distributed", "version": "2024.2.1"},
    ]


def test_an_imported_run_is_what_an_ingest_of_the_same_facts_would_have_stored(tmp_path: Path, database: str) -> None:
    path = old(tmp_path / "old.db", [{**RUN, "cluster_name": "c", "cluster_id": 7, "cluster_details_url": "u"}])
    run_import(path, database)
    environment = Environment(
        python="3.9.18.final.0",
        platform="linux",
        packages=(
            Package(name="dask", version="2024.2.1+17.gabc1234.dirty", commit="abc1234", dirty=True),
            Package(name="distributed", version="2024.2.1"),
        ),
    )
    run = Run(
        uuid=only(database, "select uuid from run"),
        session="5f0c",
        benchmark="benchmarks/test_parquet.py::test_write_wide_data",
        environment=environment.id,
        outcome="passed",
        cluster_name="c",
        cluster_id=7,
        cluster_details_url="u",
        coiled_software_name="package_sync",
    )
    tables = ("run", "session", "environment", "benchmark", "cluster", "cluster_spec")
    counts = [only(database, f"select count(*) from {table}") for table in tables]
    engine = open_database(database)
    assert ingest(engine, [environment, run]).runs_known == 1
    assert [only(database, f"select count(*) from {table}") for table in tables] == counts
    again = Run(**{**{name: getattr(run, name) for name in run.__slots__}, "uuid": str(uuid.uuid4())})
    assert ingest(engine, [environment, again]).runs_new == 1
    assert [only(database, f"select count(*) from {table}") for table in tables[1:]] == counts[1:]
    engine.dispose()


@pytest.mark.parametrize(
    ("phases", "outcome"),
    [
        (("passed", "passed", None), "passed"),
        (("passed", "failed", "passed"), "failed"),
        (("passed", "failed", "failed"), "failed"),
        (("passed", "passed", "failed"), "error"),
        (("failed", None, "passed"), "error"),
        (("skipped", None, "passed"), "skipped"),
        (("passed", "skipped", "passed"), "skipped"),
        ((None, None, None), "error"),
        (("passed", None, None), "error"),
        (("odd", "odder", "oddest"), "error"),
    ],
)
def test_the_outcome_is_derived_from_the_phases(
    tmp_path: Path, database: str, phases: tuple[str | None, ...], outcome: str
) -> None:
    names = ("setup_outcome", "call_outcome", "teardown_outcome")
    run_import(old(tmp_path / "old.db", [{**RUN, **dict(zip(names, phases, strict=True))}]), database)
    assert only(database, "select outcome from run") == outcome


@pytest.mark.parametrize("value", ["NaN", "nan", float("inf"), float("-inf"), -1.0, "abc", b"\xff", "1e999"])
def test_a_measurement_that_is_none_is_left_out_and_counted(tmp_path: Path, database: str, value: Any) -> None:
    done = run_import(old(tmp_path / "old.db", [{**RUN, "duration": value}]), database)
    assert sum(done.mended.values()) == 1
    assert only(database, "select duration, average_memory from run") == (None, 3e9)


@pytest.mark.parametrize(
    ("value", "number"), [("", None), (None, None), ("123", 123), (2**62, 2**62), ("my-cluster", None), (1.5, None)]
)
def test_a_cluster_id_is_a_number_or_none(tmp_path: Path, database: str, value: Any, number: int | None) -> None:
    run_import(old(tmp_path / "old.db", [{**RUN, "cluster_name": "c", "cluster_id": value}]), database)
    assert only(database, "select name, cluster_id from cluster") == ("c", number)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2024-03-01 10:00:00", "2024-03-01 10:00:00.000000"),
        ("2024-03-01T10:00:00.250", "2024-03-01 10:00:00.250000"),
        ("2024-03-01 10:00:00+02:00", "2024-03-01 08:00:00.000000"),
        ("2024-02-31 10:00:00", None),
        ("0001-01-01 00:00:00+14:00", None),
        ("soon", None),
        (b"\xff", None),
    ],
)
def test_times_are_utc_or_none(tmp_path: Path, database: str, value: Any, moment: str | None) -> None:
    run_import(old(tmp_path / "old.db", [{**RUN, "start": value, "end": value}]), database)
    assert only(database, 'select start, "end" from run') == (moment, moment)


def test_rows_of_which_little_is_known_are_imported(tmp_path: Path, database: str) -> None:
    bare = {"session_id": "", "name": "test_bare", "originalname": ""}
    path = old(tmp_path / "old.db", [bare, {**bare, "name": ""}, {**RUN, "path": None, "name": "test_no_path"}])
    done = run_import(path, database)
    assert (done.rows, done.new, sum(done.skipped.values())) == (3, 2, 1)
    assert len(view(database)) == 2


def test_text_that_is_no_text_is_written_out(tmp_path: Path, database: str) -> None:
    path = old(tmp_path / "old.db", [RUN, {**RUN, "name": "test_nul\0", "platform": b"win\xff"}])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("update test_run set platform = cast(x'6cff' as text) where name = ?", (RUN["name"],))
        connection.commit()
    assert run_import(path, database).new == 2
    assert view(database, ("name", "platform")) == [("test_nul\\x00", "win\\xff"), (RUN["name"], "l\\xff")]


def test_two_labels_of_one_session_stay_two(tmp_path: Path, database: str) -> None:
    rows = [{**RUN, "name": f"test_{label}", "coiled_runtime_version": label} for label in ("upstream", "AB_x")]
    run_import(old(tmp_path / "old.db", rows), database)
    columns = ("name", "coiled_runtime_version")
    assert view(database, columns) == [("test_AB_x", "AB_x"), ("test_upstream", "upstream")]


def test_a_profiled_run_is_no_part_of_a_series(tmp_path: Path, database: str) -> None:
    run_import(old(tmp_path / "old.db", [{**RUN, "memray_profiles_url": "s3://profiles/1"}]), database)
    assert only(database, "select profiled from run") == 1


def test_a_tpch_row_tells_more_of_the_run_of_its_session_and_test(tmp_path: Path, database: str) -> None:
    run = {**RUN, **{name: TPCH[name] for name in ("session_id", "name", "originalname", "path")}}
    path = old(tmp_path / "old.db", [run, RUN], [TPCH])
    done = run_import(path, database)
    assert (done.rows, done.new, done.merged) == (3, 2, 1)
    name = TPCH["name"]
    found = only(database, f"select duration, start, coiled_runtime_version from test_run where name = '{name}'")
    assert found == (12.5, RUN["start"], "upstream")
    kind, spec = only(database, "select kind, spec from cluster_spec")
    assert (kind, json.loads(spec)) == ("coiled", {"n_workers": 32, "worker_vm_type": "m6i.xlarge"})
    packages = only(database, "select packages from environment where packages like '%duckdb%'")
    assert {each["name"]: each["version"] for each in json.loads(packages)}["polars"] == "0.20.31"
    scales = only(database, "select group_concat(distinct scale) from test_run")
    assert sorted(scales.split(",")) == ["full", "sf1000"]
    assert run_import(path, database).new == 0


def test_a_tpch_row_alone_is_a_run(tmp_path: Path, database: str) -> None:
    measured = {**TPCH, "start": RUN["start"], "end": RUN["end"], "duration": 3.5, "call_outcome": "passed"}
    path = tmp_path / "old.db"
    old(path, [], [measured, {**measured, "scale": 10, "session_id": "other"}])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("drop table test_run")
    done = run_import(path, database)
    assert (done.rows, done.new) == (2, 2)
    assert view(database, ("name", "duration", "session_id")) == [
        ("test_query_01", 3.5, "7a1b"),
        ("test_query_01", 3.5, "other"),
    ]


def test_data_of_another_size_is_another_series(tmp_path: Path, database: str) -> None:
    measured = {**TPCH, "duration": 3.5, "call_outcome": "passed"}
    rows = [{**measured, "session_id": str(scale), "scale": scale} for scale in (10, 100)]
    run_import(old(tmp_path / "old.db", [], rows), database)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("select count(distinct scale) from test_run").fetchone() == (2,)


def test_a_postgresql_database_gets_the_same_history(
    tmp_path: Path, database: str, new_postgresql: Callable[[], str]
) -> None:
    import psycopg

    odd = [
        {**RUN, "name": "test_nul\0", "platform": b"\xff", "cluster_id": "x", "duration": "NaN", "session_id": "odd"},
        {**RUN, "name": "test_far", "start": "0001-01-01 00:00:00", "end": "9999-12-31 23:59:59.999999"},
        {**RUN, "name": "test_bare", "python_version": None, "dask_version": None, "platform": None},
    ]
    path = old(tmp_path / "old.db", [*history(4, 20), *odd], [TPCH])
    url = new_postgresql()
    done, other = run_import(path, database), run_import(path, url)
    assert (done.new, done.mended, done.skipped) == (other.new, other.mended, other.skipped)
    assert run_import(path, url).new == 0
    columns = [name for name in tuple(TEST_RUN)[1:] if name not in {"start", "end"}]
    names = ", ".join(["uuid", *columns])
    with psycopg.connect(url) as connection, closing(sqlite3.connect(database)) as lite:
        found = connection.execute(f"select {names} from test_run order by uuid").fetchall()
        assert found == lite.execute(f"select {names} from test_run order by uuid").fetchall()
        moments = "select uuid, to_char(start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') from run order by uuid"
        assert (
            connection.execute(moments).fetchall()
            == lite.execute("select uuid, start from run order by uuid").fetchall()
        )


def test_sessions_begin_and_end_with_their_runs(tmp_path: Path, database: str) -> None:
    rows = [
        {**RUN, "name": "test_b", "start": "2024-03-01 11:00:00.000000", "end": "2024-03-01 12:00:00.000000"},
        {**RUN, "name": "test_a", "dask_version": "2024.1.0"},
        {**RUN, "name": "test_skipped", "start": None, "end": None},
    ]
    run_import(old(tmp_path / "old.db", rows), database)
    found = only(database, "select started, ended, interrupted, label, scale, ci_url from session")
    assert found == (RUN["start"], "2024-03-01 12:00:00.000000", 0, "upstream", "full", RUN["ci_run_url"])
    first = "select dask_version from session join environment on environment.key = session.environment_key"
    assert only(database, first) == "2024.1.0"


def test_a_killed_import_is_completed_by_the_next(tmp_path: Path, empty_database: Path) -> None:
    path = old(tmp_path / "old.db", history(60, 40))
    whole = tmp_path / "whole.db"
    shutil.copyfile(empty_database, whole)
    run_import(path, str(whole))
    database = tmp_path / "killed.db"
    shutil.copyfile(empty_database, database)
    # kills itself within a transaction, after one that was committed
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from coiled_runtime_cli.db import legacy\n"
        "from coiled_runtime_cli.db.engine import open_database\n"
        "legacy._TRANSACTION = 500\n"
        "def progress(done):\n"
        "    if done >= int(sys.argv[3]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "with legacy.opened(Path(sys.argv[1])) as source:\n"
        "    legacy.import_history(open_database(sys.argv[2]), source, progress=progress)\n"
    )
    stored = []
    for rows in (600, 1500):
        command = [sys.executable, "-c", script, str(path), str(database), str(rows)]
        assert subprocess.run(command, timeout=120).returncode == -signal.SIGKILL
        stored.append(len(view(database)))
    assert 0 < stored[0] < stored[1] < 2400
    assert all(count % 40 == 0 for count in stored)  # whole sessions
    done = run_import(path, str(database))
    assert (done.new, done.known) == (2400 - stored[1], stored[1])
    columns = ("uuid", *tuple(TEST_RUN)[1:])
    assert view(database, columns) == view(whole, columns)


def test_two_imports_at_once_give_one_history(tmp_path: Path, database: str) -> None:
    path = old(tmp_path / "old.db", history(30, 40))
    command = [sys.executable, "-m", "coiled_runtime_cli", "db", "import", str(path), "--db", database]
    environment = {**os.environ, "HOME": str(tmp_path)}
    started = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for each in started:
        _, said = each.communicate(timeout=120)
        assert each.returncode == 0, said
    assert view(database) == view(path)


def test_the_old_file_and_its_folder_stay_as_they_are(tmp_path: Path, database: str) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    path = old(folder / "old.db", history(3, 10))
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    run_import(path, database)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("left_open", [True, False])
def test_rows_that_are_still_in_a_log_beside_the_file_are_read(tmp_path: Path, database: str, left_open: bool) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    path = old(folder / "old.db", history(3, 10))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma wal_autocheckpoint = 0")
        insert(connection, "test_run", [RUN])
        connection.commit()
        if not left_open:  # as after a kill: the log stays, whoever had it open is gone
            copy = tmp_path / "copy"
            copy.mkdir()
            for name in ("old.db", "old.db-wal"):
                shutil.copyfile(folder / name, copy / name)
            folder, path = copy, copy / "old.db"
        before = {each.name: each.read_bytes() for each in folder.iterdir() if not each.name.endswith("-shm")}
        assert run_import(path, database).new == 31
        after = {each.name: each.read_bytes() for each in folder.iterdir() if not each.name.endswith("-shm")}
    assert after == before


def test_a_file_that_was_left_half_written_is_read_as_before_that(tmp_path: Path, database: str) -> None:
    path = old(tmp_path / "old.db", history(3, 30))
    script = (
        "import os, signal, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute('pragma cache_size = 1')\n"
        "connection.execute('update test_run set name = name || hex(randomblob(3000))')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], timeout=60).returncode == -signal.SIGKILL
    assert Path(f"{path}-journal").stat().st_size > 0
    before = path.read_bytes()
    run_import(path, database)
    assert path.read_bytes() == before
    assert {row[0] for row in view(database, ("originalname",))} == {f"test_{test}" for test in range(30)}
    assert max(len(row[0]) for row in view(database, ("name",))) < 30


def test_a_closed_file_that_keeps_logs_is_read_without_a_trace(tmp_path: Path, database: str) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    path = old(folder / "old.db", history(3, 10))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = wal")
    assert list(folder.iterdir()) == [path]
    assert run_import(path, database).new == 30
    assert list(folder.iterdir()) == [path]


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    rows = list(history(4, 20))
    old(tmp_path / "a.db", [*rows, rows[0], {**RUN, "name": ""}])
    old(tmp_path / "b.db", [*rows[40:], RUN])
    done = crt(tmp_path, "import", "a.db", "b.db", "--db", "new.db", "--format", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["schema"], document["database"]) == (1, "new.db")
    names = ("rows", "new", "known", "duplicates")
    assert [[each[name] for name in names] for each in document["files"]] == [[82, 80, 0, 1], [41, 1, 40, 0]]
    assert [document[name] for name in names] == [123, 81, 40, 1]
    assert sum(document["skipped"].values()) == 1
    done = crt(tmp_path, "import", "a.db", "--db", "new.db")
    assert done.returncode == 0, done.stderr
    assert "a.db" in done.stdout
    assert "80" in done.stdout
    assert crt(tmp_path, "check", "--db", "new.db").returncode == 0


def _files(folder: Path) -> None:
    old(folder / "old.db", history(3, 30))
    (folder / "empty.db").touch()
    (folder / "notes.txt").write_text("notes " * 100)
    whole = (folder / "old.db").read_bytes()
    (folder / "cut.db").write_bytes(whole[: len(whole) // 2])
    (folder / "stump.db").write_bytes(whole[:50])
    (folder / "damaged.db").write_bytes(whole[:100] + b"\xff" * 4000 + whole[4100:])
    with closing(sqlite3.connect(folder / "places.db")) as connection:
        connection.execute("create table moz_places (url text)")
    with closing(sqlite3.connect(folder / "nothing.db")) as connection:
        connection.execute("vacuum")
    os.link(folder / "old.db", folder / "linked.db")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["missing.db"], 2, "no such file: missing.db"),
        (["."], 2, "is a folder"),
        (["notes.txt"], 2, "not a SQLite database"),
        (["empty.db"], 2, "empty"),
        (["nothing.db"], 2, "no database of the predecessor"),
        (["places.db"], 2, "moz_places"),
        (["crt.db"], 2, "crt's own"),
        (["cut.db"], 3, "cut short"),
        (["stump.db"], 3, "cut short"),
        (["damaged.db"], 3, "damaged"),
        (["old.db", "missing.db"], 2, "no such file: missing.db"),
        (["old.db", "--db", "old.db"], 2, "into itself"),
        (["linked.db", "--db", "old.db"], 2, "into itself"),
        (["old.db", "--db", "linked.db", "--format", "json"], 2, "into itself"),
        (["old.db", "--db", "cut.db"], 3, "damaged"),
        (["old.db", "--db", "places.db"], 2, "another program"),
        (["old.db", "--format", "csv"], 2, "csv"),
        ([], 2, "OLD.db"),
    ],
)
def test_a_mistake_is_one_message_and_changes_nothing(
    tmp_path: Path, empty_database: Path, arguments: list[str], code: int, says: str
) -> None:
    _files(tmp_path)
    shutil.copyfile(empty_database, tmp_path / "crt.db")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir() if each.is_file()}
    done = crt(tmp_path, "import", *arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir() if each.is_file()} == before
