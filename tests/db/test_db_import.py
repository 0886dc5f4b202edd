from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from coiled_runtime_cli.core.record import Benchmark, Environment, Package, Run, SessionStarted
from coiled_runtime_cli.db import legacy
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.history import read_history
from coiled_runtime_cli.db.ingest import ingest
from coiled_runtime_cli.db.legacy import Imported, import_history, opened
from coiled_runtime_cli.errors import CrtError, ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

FLOATS = [
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
]
COLUMNS = (
    "session_id name originalname path setup_outcome call_outcome teardown_outcome coiled_runtime_version "
    "coiled_software_name dask_version dask_expr_version distributed_version python_version platform ci_run_url start end "
    f"{' '.join(FLOATS)} cluster_name cluster_id cluster_details_url performance_report_url cluster_dump_url "
    "memray_profiles_url py_spy_profiles_url"
).split()
#: What the table had when it was made.
FIRST_COLUMNS = COLUMNS[: COLUMNS.index("compute_time")]
FIRST_COLUMNS.remove("dask_expr_version")
TPCH_COLUMNS = [
    *(each for each in COLUMNS[: COLUMNS.index("compute_time")] if each != "coiled_runtime_version"),
    *["cluster_name", "cluster_id", "cluster_details_url", "performance_report_url"],
    *[
        "duckdb_version",
        "pyspark_version",
        "polars_version",
        "scale",
        "query",
        "local",
        "compression",
        "partition_size",
        "n_workers",
    ],
    *["worker_vm_type", "cluster_disk_size"],
]
TYPES = {
    **dict.fromkeys(FLOATS, "FLOAT"),
    **dict.fromkeys(("start", "end"), "DATETIME"),
    **dict.fromkeys(("cluster_id", "scale", "query", "n_workers", "cluster_disk_size"), "INTEGER"),
    "local": "BOOLEAN",
}

Row = dict[str, Any]


def write(
    path: Path, rows: Iterable[Row], *, table: str = "test_run", columns: Sequence[str] = COLUMNS, first_id: int = 1
) -> Path:
    """Add rows to a table as the predecessor's ORM made it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        defined = ", ".join(f'"{each}" {TYPES.get(each, "VARCHAR")}' for each in columns)
        connection.execute(f"create table if not exists {table} (id integer not null primary key, {defined})")
        connection.execute("create table if not exists alembic_version (version_num varchar(32) not null)")
        names = ", ".join(f'"{each}"' for each in columns)
        marks = ", ".join("?" * (len(columns) + 1))
        connection.executemany(
            f"insert into {table} (id, {names}) values ({marks})",
            [(number, *(row.get(each) for each in columns)) for number, row in enumerate(rows, first_id)],
        )
    return path


def row(**fields: Any) -> Row:
    """A run as most are."""
    return {
        "session_id": "5a",
        "name": "test_sum[0.1-tasks]",
        "originalname": "test_sum",
        "path": "benchmarks/test_array.py",
        "setup_outcome": "passed",
        "call_outcome": "passed",
        "coiled_runtime_version": "upstream",
        "coiled_software_name": "package_sync",
        "dask_version": "2024.2.1+17.gabc1234",
        "distributed_version": "2024.2.1+3.g7654321.dirty",
        "dask_expr_version": "1.1.21",
        "python_version": "3.9.18.final.0",
        "platform": "linux",
        "ci_run_url": "https://github.com/coiled/benchmarks/actions/runs/1",
        "start": "2024-03-01 00:30:00.180377",
        "end": "2024-03-01 00:30:37.522070",
        "duration": 37.25,
        "average_memory": 1.5e9,
        "peak_memory": 2e9,
        "cluster_name": "array-fec24805",
        "cluster_id": 100_000,
        "cluster_details_url": "https://cloud.coiled.io/clusters/100000",
        **fields,
    }


def tpch_row(**fields: Any) -> Row:
    return {
        **row(name="test_query_07", originalname="test_query_07", path="tpch/test_dask.py"),
        "coiled_runtime_version": None,
        "duckdb_version": "0.10.1",
        "scale": 1000,
        "query": 7,
        "local": 0,
        "n_workers": 32,
        "worker_vm_type": "m6i.xlarge",
        "cluster_disk_size": 200,
        **fields,
    }


def history(sessions: int = 6, tests: int = 25, seed: int = 0) -> list[Row]:
    """Runs with everything that the table can hold."""
    chance = random.Random(seed)
    rows = []
    for session in range(sessions):
        day = date(2024, 3, 1) + timedelta(days=session)
        label = ("upstream", "latest", "AB_new")[session % 3]
        facts = {
            "session_id": f"{chance.getrandbits(128):032x}",
            "coiled_runtime_version": label,
            "ci_run_url": f"https://github.com/coiled/benchmarks/actions/runs/{session}",
            "dask_version": f"2024.{session + 1}.0+{session}.g{chance.getrandbits(28):07x}",
            "python_version": ("3.9.18.final.0", "3.11.7.final.0")[session % 2],
        }
        for test in range(tests):
            name = f"test_{test // 3}[{test % 3}-tasks]" if test % 2 else f"test_{test}"
            path = f"benchmarks/test_topic{test % 4}.py"
            plain = {"name": name, "originalname": name.partition("[")[0], "path": path}
            if test == 7:
                rows.append({**row(), **facts, **plain, **dict.fromkeys(COLUMNS[COLUMNS.index("start") :])})
                rows[-1] |= {"setup_outcome": "skipped", "call_outcome": None, "coiled_software_name": None}
                continue
            measures = {each: chance.random() * 100 for each in FLOATS if chance.random() < 0.9}
            start = f"{day} {test % 24:02d}:00:{test:02d}.{chance.getrandbits(19):06d}"
            end = f"{day} {test % 24:02d}:01:{test:02d}.{chance.getrandbits(19):06d}"
            rows.append({**row(), **facts, **plain, **measures, "start": start, "end": end})
            rows[-1] |= {"cluster_name": f"topic{test % 4}-{session}", "cluster_id": 10**6 * session + test % 4}
            if test % 9 == 0:
                rows[-1] |= {"call_outcome": "failed", "duration": None, "cluster_dump_url": f"s3://dumps/{test}"}
            if test % 11 == 0:
                rows[-1] |= {"memray_profiles_url": "s3://memray", "teardown_outcome": "passed"}
    return rows


def imported(database: str, *files: Path) -> list[Imported]:
    engine = open_database(database)
    try:
        found = []
        for file in files:
            with opened(file) as source:
                found.append(import_history(engine, source))
        return found
    finally:
        engine.dispose()


def view(database: str, columns: Sequence[str] = COLUMNS, where: str = "true") -> list[tuple[Any, ...]]:
    engine = open_database(database)
    names = ", ".join(f'"{each}"' for each in columns)
    with engine.connect() as connection:
        found = [tuple(each) for each in connection.execute(text(f"select {names} from test_run where {where}"))]
    engine.dispose()
    return sorted(found, key=repr)


def table(path: Path, columns: Sequence[str] = COLUMNS) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        names = ", ".join(f'"{each}"' for each in columns)
        return sorted((tuple(each) for each in connection.execute(f"select {names} from test_run")), key=repr)


def query(database: str, sql: str) -> list[tuple[Any, ...]]:
    engine = open_database(database)
    with engine.connect() as connection:
        found = [tuple(each) for each in connection.execute(text(sql))]
    engine.dispose()
    return found


def accounted(done: Imported) -> bool:
    return done.rows == done.new + done.known + done.duplicates + done.merged + sum(done.skipped.values())


def test_the_view_has_every_old_row_as_it_was(database: str, tmp_path: Path) -> None:
    old = write(tmp_path / "old.db", history())
    (done,) = imported(database, old)
    assert (done.rows, done.new, done.sessions) == (150, 150, 6)
    assert not done.mended
    assert view(database) == table(old)


def test_the_documented_query_gives_what_it_gave(database: str, tmp_path: Path) -> None:
    old = write(tmp_path / "old.db", history())
    imported(database, old)
    sql = "select dask_version, average_memory from test_run where name = 'test_0[1-tasks]' order by start"
    with closing(sqlite3.connect(old)) as connection:
        before = connection.execute(sql).fetchall()
    assert len(before) == 6
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute(sql).fetchall() == before


def test_the_same_runs_come_into_postgresql(new_postgresql: Callable[[], str], database: str, tmp_path: Path) -> None:
    url = new_postgresql()
    old = write(tmp_path / "old.db", [*history(), row(start="2024-03-01 00:30:00+02:00", cluster_id="", name="x\0y")])
    write(old, [tpch_row()], table="tpch_run", columns=TPCH_COLUMNS)
    (first,) = imported(url, old)
    assert (first.rows, first.new) == (152, 152)
    (again,) = imported(url, old)
    assert (again.new, again.known) == (0, 152)
    imported(database, old)
    columns = [each for each in COLUMNS if each not in {"start", "end"}]
    assert view(url, ["uuid", *columns]) == view(database, ["uuid", *columns])
    moments = "uuid, extract(epoch from start) from test_run where start is not null order by uuid"
    assert [round(float(each[1]), 6) for each in query(url, f"select {moments}")] == [
        round(each[1], 6)
        for each in query(
            database,
            "select uuid, unixepoch(start) + cast(substr(start, 20) as real) from test_run where start is not null "
            "order by uuid",
        )
    ]
    # what is stored afterwards gets keys of its own
    engine = open_database(url)
    assert ingest(engine, [SessionStarted(id="s", started=0.0), _run("u", cluster_name="c")]).runs_new == 1
    engine.dispose()


def _run(uuid: str, **fields: Any) -> Run:
    return Run(uuid=uuid, session="s", benchmark="benchmarks/test_x.py::test_x", outcome="passed", **fields)


def test_importing_again_or_another_copy_adds_nothing(database: str, tmp_path: Path) -> None:
    rows = history()
    old = write(tmp_path / "old.db", rows)
    imported(database, old)
    before = view(database, ["uuid", "repeat", *COLUMNS])
    shuffled = rows[75:] + rows[:75]
    copy = write(tmp_path / "copy.db", shuffled, first_id=1000)
    for file in (old, copy):
        (done,) = imported(database, file)
        assert (done.new, done.known) == (0, 150)
    assert view(database, ["uuid", "repeat", *COLUMNS]) == before


def test_a_copy_that_has_grown_adds_its_new_rows(database: str, tmp_path: Path) -> None:
    rows = history()
    imported(database, write(tmp_path / "old.db", rows[:70]))
    grown = write(tmp_path / "grown.db", rows)
    (done,) = imported(database, grown)
    assert (done.new, done.known) == (80, 70)
    assert view(database) == table(grown)
    sessions = query(
        database, "select started, ended, interrupted from session where id = " + repr(rows[60]["session_id"])
    )
    assert sessions == [
        (
            "2024-03-03 00:00:00" + rows[50]["start"][19:],
            max(rows[k]["end"] for k in range(50, 75) if rows[k]["end"]),
            0,
        )
    ]


def test_the_uuids_are_the_same_everywhere(tmp_path: Path) -> None:
    imported(str(tmp_path / "a.db"), write(tmp_path / "old.db", [row()]))
    # frozen: another value would import every history a second time
    assert query(str(tmp_path / "a.db"), "select uuid from run") == [("018df76a-fbf4-841f-ba1a-a8935d6cfa06",)]


def test_rows_that_a_merge_doubled_are_one_run(database: str, tmp_path: Path) -> None:
    rows = history(sessions=2)
    old = write(tmp_path / "old.db", rows + rows)
    (done,) = imported(database, old)
    assert (done.rows, done.new, done.duplicates, done.known) == (100, 50, 50, 0)
    assert view(database) == sorted(set(table(old)), key=repr)


def test_a_test_that_ran_again_in_its_session_is_a_repeat(database: str, tmp_path: Path) -> None:
    old = write(tmp_path / "old.db", [row(), row(start="2024-03-01 01:00:00.000000")])
    (done,) = imported(database, old)
    assert done.new == 2
    assert query(database, "select repeat from run order by start") == [(0,), (1,)]


def test_the_first_revision_had_fewer_columns(database: str, tmp_path: Path) -> None:
    old = write(tmp_path / "old.db", history(), columns=FIRST_COLUMNS)
    (done,) = imported(database, old)
    assert done.new == 150
    assert view(database, FIRST_COLUMNS) == table(old, FIRST_COLUMNS)
    assert query(database, "select count(*) from cluster where name is not null") == [(0,)]


def test_columns_that_nobody_knows_are_named(tmp_path: Path) -> None:
    old = write(tmp_path / "old.db", [{**row(), "colour": "red"}], columns=[*COLUMNS, "colour"])
    write(old, [tpch_row()], table="tpch_run", columns=[*TPCH_COLUMNS, "taste"])
    with opened(old) as source:
        assert source.unknown == ("test_run.colour", "tpch_run.taste")
    done = crt(tmp_path, "import", "old.db")
    assert done.returncode == 0
    assert done.stderr.count("test_run.colour, tpch_run.taste") == 1


def test_versions_become_packages_with_commits(database: str, tmp_path: Path) -> None:
    rows = [
        row(),
        row(name="a", dask_version="2022.8.0", distributed_version="2022.8.0+4.g1234567", dask_expr_version=None),
        row(name="b", dask_version="", distributed_version="nonsense", dask_expr_version="0+unknown"),
        row(name="c", dask_version=None, distributed_version=None, dask_expr_version=None),
        row(name="d", dask_version=None, distributed_version=None, dask_expr_version=None)
        | {"python_version": None, "platform": None},
    ]
    imported(database, write(tmp_path / "old.db", rows))
    found = {
        name: [] if packages is None else json.loads(packages)
        for name, packages in query(
            database,
            "select benchmark.name, packages from run join benchmark on benchmark.key = benchmark_key "
            "left join environment on environment.key = run.environment_key",
        )
    }
    assert found == {
        "test_sum[0.1-tasks]": [
            {"name": "dask", "version": "2024.2.1+17.gabc1234", "commit": "abc1234", "dirty": False},
            {"name": "dask-expr", "version": "1.1.21"},
            {"name": "distributed", "version": "2024.2.1+3.g7654321.dirty", "commit": "7654321", "dirty": True},
        ],
        "a": [
            {"name": "dask", "version": "2022.8.0"},
            {"name": "distributed", "version": "2022.8.0+4.g1234567", "commit": "1234567", "dirty": False},
        ],
        "b": [{"name": "dask-expr", "version": "0+unknown"}, {"name": "distributed", "version": "nonsense"}],
        "c": [],
        "d": [],
    }
    assert query(database, "select count(*) from run where environment_key is null") == [(1,)]


def test_an_ingest_of_the_same_facts_meets_the_same_rows(database: str, tmp_path: Path) -> None:
    imported(database, write(tmp_path / "old.db", [row()]))
    tables = ("environment", "benchmark", "cluster", "session", "source")
    count = " union all ".join(f"select '{each}', count(*) from {each}" for each in tables)
    before = query(database, count)
    packages = (
        Package(name="dask", version="2024.2.1+17.gabc1234", commit="abc1234", dirty=False),
        Package(name="dask-expr", version="1.1.21"),
        Package(name="distributed", version="2024.2.1+3.g7654321.dirty", commit="7654321", dirty=True),
    )
    environment = Environment(python="3.9.18.final.0", platform="linux", packages=packages)
    benchmark = Benchmark(path="benchmarks/test_array.py", name="test_sum[0.1-tasks]", originalname="test_sum")
    run = Run(
        uuid="another",
        session="5a",
        benchmark=benchmark.id,
        environment=environment.id,
        outcome="passed",
        cluster_name="array-fec24805",
        cluster_id=100_000,
        cluster_details_url="https://cloud.coiled.io/clusters/100000",
        coiled_software_name="package_sync",
    )
    engine = open_database(database)
    assert ingest(engine, [environment, benchmark, run]).runs_new == 1
    engine.dispose()
    assert query(database, count) == before
    uuid = query(database, "select uuid from run where uuid <> 'another'")[0][0]
    engine = open_database(database)
    assert ingest(engine, [_run(uuid)]).runs_known == 1
    engine.dispose()


@pytest.mark.parametrize(
    ("setup", "call", "teardown", "outcome"),
    [
        ("passed", "passed", "passed", "passed"),
        ("passed", "passed", None, "passed"),
        ("passed", "failed", None, "failed"),
        ("passed", "failed", "failed", "failed"),
        ("passed", "passed", "failed", "error"),
        ("failed", None, "passed", "error"),
        ("skipped", None, "passed", "skipped"),
        ("passed", "skipped", "passed", "skipped"),
        ("passed", None, None, "error"),
        (None, None, None, "error"),
        ("passed", "exploded", None, "error"),
    ],
)
def test_the_outcome_follows_from_the_phases(
    database: str, tmp_path: Path, setup: str, call: str, teardown: str, outcome: str
) -> None:
    phases = {"setup_outcome": setup, "call_outcome": call, "teardown_outcome": teardown}
    imported(database, write(tmp_path / "old.db", [row(**phases)]))
    assert query(database, "select outcome, setup_outcome, call_outcome, teardown_outcome from run") == [
        (outcome, setup, call, teardown)
    ]


def test_values_that_are_none_are_left_out_and_counted(database: str, tmp_path: Path) -> None:
    measures = {"duration": math.inf, "average_memory": -1.0, "peak_memory": "much", "compute_time": b"\xff"}
    fine = {"disk_spill_time": 3, "transfer_time": math.nan, "worker_max_tick": 0.0}
    old = write(
        tmp_path / "old.db",
        [
            row(**measures, **fine, start="yesterday", end="2024-13-45 00:00:00", cluster_id="abc"),
            row(name="a", cluster_id="", cluster_name="", start="2024-03-01 02:00:00+02:00", end=17.5),
            row(name="b", cluster_id="42", start=None, end=None, path=None, originalname=None),
            row(name=None),
            row(name="", session_id="6"),
        ],
    )
    (done,) = imported(database, old)
    assert dict(done.mended) == {
        "measurements that are no number, not finite or negative: left out": 4,
        "times that no calendar has: left out": 3,
        "cluster ids that are no numbers: left out": 1,
        "tests without a path: put under unknown": 1,
    }
    assert dict(done.skipped) == {"rows that name no test": 2}
    assert accounted(done)
    columns = [*FLOATS[:7], "worker_max_tick", "start", "end", "cluster_id", "path", "originalname"]
    nothing = (None, None, None, None, 3.0, None, None, 0.0, None, None, None)
    measured = (37.25, 1.5e9, 2e9, None, None, None, None, None)
    assert view(database, columns) == sorted(
        [
            (*nothing, "benchmarks/test_array.py", "test_sum"),
            (*measured, "2024-03-01 00:00:00.000000", None, None, "benchmarks/test_array.py", "test_sum"),
            (*measured, None, None, 42, "unknown", "b"),
        ],
        key=repr,
    )


def test_text_of_any_kind_is_kept_readable(database: str, tmp_path: Path) -> None:
    old = write(tmp_path / "old.db", [row(name=f"test_{number}") for number in range(20)])
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("update test_run set name = cast(x'746573745fff' as text) where name = 'test_3'")
        connection.execute("update test_run set cluster_name = cast(x'61fe' as text) where name = 'test_9'")
        connection.execute("update test_run set name = 'test_<script>\"''é漢' where name = 'test_5'")
        connection.execute("update test_run set name = 'a' || char(0) || 'b' where name = 'test_6'")
        connection.execute("update test_run set session_id = cast(x'fe' as text) where name = 'test_8'")
        connection.execute("update test_run set session_id = 7 where name = 'test_10'")
    (done,) = imported(database, old)
    assert (done.new, done.sessions) == (20, 3)
    names = {each[0] for each in view(database, ["name"])}
    assert {"test_\\xff", "test_<script>\"'é漢", "a\\x00b", "test_19"} <= names
    assert view(database, ["cluster_name"], "name = 'test_9'") == [("a\\xfe",)]
    (done,) = imported(database, old)
    assert (done.new, done.known) == (0, 20)


def test_rows_without_a_session_or_with_contradicting_facts_lose_nothing(database: str, tmp_path: Path) -> None:
    rows = [
        row(session_id=None),
        row(session_id=None, name="a", coiled_runtime_version="latest"),
        row(name="b"),
        row(name="c", coiled_runtime_version="latest"),
        row(name="d", coiled_runtime_version=None, ci_run_url=None),
        row(name="e", ci_run_url="https://elsewhere"),
    ]
    (done,) = imported(database, write(tmp_path / "old.db", rows))
    assert (done.new, accounted(done)) == (6, True)
    found = {
        each[0]: each[1:] for each in view(database, ["name", "session_id", "coiled_runtime_version", "ci_run_url"])
    }
    ours = "https://github.com/coiled/benchmarks/actions/runs/1"
    assert {name: facts[1:] for name, facts in found.items()} == {
        "test_sum[0.1-tasks]": ("upstream", ours),
        "a": ("latest", ours),
        "b": ("upstream", ours),
        "c": ("latest", ours),
        "d": ("upstream", ours),
        "e": ("upstream", "https://elsewhere"),
    }
    assert found["b"][0] == found["d"][0] == "5a"
    assert found["c"][0].startswith("5a-")
    assert len({each[0] for each in found.values()}) == 5
    (done,) = imported(database, write(tmp_path / "copy.db", rows[::-1]))
    assert done.known == 6


def test_a_row_of_tpch_run_adds_to_the_run_that_it_doubles(database: str, tmp_path: Path) -> None:
    test = row(name="test_query_07", originalname="test_query_07", path="tpch/test_dask.py", average_memory=None)
    old = write(tmp_path / "old.db", [test, test])
    empty = dict.fromkeys(("start", "end", "duration", "peak_memory", "setup_outcome", "call_outcome", "cluster_name"))
    write(old, [tpch_row(**empty, average_memory=5.0, cluster_id=None)], table="tpch_run", columns=TPCH_COLUMNS)
    (done,) = imported(database, old)
    assert (done.rows, done.new, done.duplicates, done.merged, accounted(done)) == (3, 1, 1, 1, True)
    columns = ["session_id", "coiled_runtime_version", "duration", "average_memory", "outcome", "scale", "cluster_name"]
    assert view(database, columns) == [("5a", "upstream", 37.25, 5.0, "passed", "sf1000", "array-fec24805")]
    engine = open_database(database)
    found = read_history([engine])
    engine.dispose()
    (cluster,) = found.clusters
    assert (cluster.kind, cluster.spec) == (
        "coiled",
        {"n_workers": 32, "worker_vm_type": "m6i.xlarge", "cluster_disk_size": 200},
    )
    assert found.benchmarks[0].params == {"query": 7}
    assert {each.name: each.version for each in found.environments[0].packages}["duckdb"] == "0.10.1"
    (again,) = imported(database, old)
    assert (again.new, again.known, again.duplicates, again.merged) == (0, 1, 1, 1)


def test_rows_of_tpch_run_alone_are_runs(database: str, tmp_path: Path) -> None:
    rows = [
        tpch_row(name="a", polars_version="0.20.19"),
        tpch_row(name="b", session_id="6", scale=10, compression="zstd", partition_size="128 MiB"),
        tpch_row(name="c", session_id="7", local=1, n_workers=None, worker_vm_type=None, cluster_disk_size=None),
        tpch_row(name="d", session_id="8", scale=None, local=None, n_workers=None, worker_vm_type=None)
        | {"cluster_disk_size": None},
    ]
    old = write(tmp_path / "old.db", rows, table="tpch_run", columns=TPCH_COLUMNS)
    (done,) = imported(database, old)
    assert (done.rows, done.new, done.merged) == (4, 4, 0)
    found = query(
        database,
        "select test_run.name, test_run.scale, kind, test_run.duration from test_run join run using (uuid) "
        "join cluster on cluster.key = run.cluster_key "
        "left join cluster_spec on cluster_spec.key = cluster.cluster_spec_key order by 1",
    )
    assert found == [
        ("a", "sf1000", "coiled", 37.25),
        ("b", "sf10-zstd-128 MiB", "coiled", 37.25),
        ("c", "sf1000", "local", 37.25),
        ("d", "full", None, 37.25),
    ]


def test_sizes_of_data_are_series_of_their_own(database: str, tmp_path: Path) -> None:
    named = {"name": "test_query_07", "originalname": "test_query_07", "path": "tpch/test_dask.py"}
    old = write(tmp_path / "old.db", [row(**named), row(**named, session_id="6"), row()])
    tpch = [tpch_row(), tpch_row(session_id="6", scale=10)]
    write(old, tpch, table="tpch_run", columns=TPCH_COLUMNS)
    (done,) = imported(database, old)
    assert (done.new, done.merged) == (3, 2)
    found = view(database, ["session_id", "name", "scale"])
    assert ("6", "test_query_07", "sf10") in found
    assert ("5a", "test_query_07", "sf1000") in found
    (other,) = [each for each in found if each[2] == "full"]
    assert other[0].startswith("5a-")


@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"session_id": st.sampled_from(["1", "2", None, b"\xff"]), "name": st.sampled_from(["a", "b", None, ""])},
            optional={
                each: st.one_of(
                    st.none(),
                    st.text(max_size=5),
                    st.binary(max_size=3),
                    st.integers(-(2**63), 2**63 - 1),
                    st.floats(),
                    st.sampled_from(
                        ["2024-03-01 00:30:00.180377", "2024-03-01", "passed", "failed", "2024.2.1+1.gabc1234"]
                    ),
                )
                for each in COLUMNS[2:]
            },
        ),
        max_size=12,
    ),
    tpch=st.lists(
        st.fixed_dictionaries(
            {"session_id": st.sampled_from(["1", "2"]), "name": st.sampled_from(["a", "b"])},
            optional={
                each: st.one_of(st.none(), st.text(max_size=3), st.binary(max_size=2), st.integers(-5, 5), st.floats())
                for each in TPCH_COLUMNS[2:]
            },
        ),
        max_size=4,
    ),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_whatever_the_rows_hold_each_is_accounted_for_and_comes_once(
    empty_database: Path, tmp_path: Path, rows: list[Row], tpch: list[Row]
) -> None:
    for file in tmp_path.iterdir():
        file.unlink()
    old, database = tmp_path / "old.db", tmp_path / "new.db"
    shutil.copyfile(empty_database, database)
    write(old, rows)
    write(old, tpch, table="tpch_run", columns=TPCH_COLUMNS)
    (first,) = imported(str(database), old)
    assert accounted(first)
    assert first.rows == len(rows) + len(tpch)
    before = view(str(database), ["uuid", *COLUMNS])
    assert len(before) == first.new
    (again,) = imported(str(database), old)
    assert (again.new, again.known, accounted(again)) == (0, first.new + first.known, True)
    assert view(str(database), ["uuid", *COLUMNS]) == before
    engine = open_database(str(database))
    assert len(read_history([engine]).runs) == first.new
    engine.dispose()


def test_a_session_larger_than_a_portion_is_one(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coiled_runtime_cli.db.legacy.sessions._PORTION", 10)
    monkeypatch.setattr("coiled_runtime_cli.db.legacy.source._BATCH", 7)
    rows = [row(name=f"test_{number}") for number in range(95)]
    old = write(tmp_path / "old.db", [*rows, *rows[:5]])
    progress: list[int] = []
    engine = open_database(database)
    with opened(old) as source:
        done = import_history(engine, source, progress=progress.append)
    engine.dispose()
    assert (done.new, done.duplicates, done.sessions) == (95, 5, 1)
    assert progress == sorted(set(progress))
    assert progress[-1] == 100
    assert len(progress) > 5
    assert view(database) == sorted(set(table(old)), key=repr)


def test_rows_of_sessions_that_alternate_are_found(database: str, tmp_path: Path) -> None:
    rows = [row(session_id=str(number % 3), name=f"test_{number}") for number in range(60)]
    old = write(tmp_path / "old.db", rows)
    (done,) = imported(database, old)
    assert (done.new, done.sessions) == (60, 3)
    assert view(database) == table(old)


_IMPORT = """
import sys
from pathlib import Path
from coiled_runtime_cli.db import legacy
from coiled_runtime_cli.db.engine import open_database
legacy._TRANSACTION = 100
engine = open_database(sys.argv[2])
with legacy.opened(Path(sys.argv[1])) as source:
    legacy.import_history(engine, source)
"""


@pytest.mark.parametrize("wait_for", [1, 700, 2000])
def test_an_import_that_is_killed_goes_on_where_it_was(database: str, tmp_path: Path, wait_for: int) -> None:
    old = write(tmp_path / "old.db", history(sessions=120, tests=30))
    process = subprocess.Popen([sys.executable, "-c", _IMPORT, str(old), database])
    deadline = time.monotonic() + 60
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        while connection.execute("select count(*) from run").fetchone()[0] < wait_for:
            assert process.poll() is None or wait_for > 0
            if process.poll() is not None or time.monotonic() > deadline:
                break
    process.send_signal(signal.SIGKILL)
    process.wait()
    stored = len(view(database))
    # whole sessions only
    assert {each[0] for each in query(database, "select count(*) from run group by session_key")} <= {30}
    (done,) = imported(database, old)
    assert (done.known, done.new) == (stored, 3600 - stored)
    assert view(database) == table(old)


def test_two_imports_at_once_add_each_run_once(database: str, tmp_path: Path) -> None:
    old = write(tmp_path / "old.db", history(sessions=40, tests=20))
    found: list[Imported] = []
    threads = [threading.Thread(target=lambda: found.extend(imported(database, old))) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(each.new for each in found) == 800
    assert view(database) == table(old)


def listing(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def old_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "old"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_the_old_file_and_its_folder_stay_as_they_are(database: str, tmp_path: Path, mode: str) -> None:
    folder = old_folder(tmp_path)
    old = write(folder / "it's 100% #1?.db", history())
    with closing(sqlite3.connect(old)) as connection:
        connection.execute(f"pragma journal_mode = {mode}")
    before = listing(folder)
    assert len(before) == 1
    (done,) = imported(database, old)
    assert done.new == 150
    assert listing(folder) == before


def test_a_write_ahead_log_that_was_left_behind_is_read(database: str, tmp_path: Path) -> None:
    folder = old_folder(tmp_path)
    live = write(tmp_path / "live.db", history(sessions=2))
    with closing(sqlite3.connect(live)) as writer:
        writer.execute("pragma journal_mode = wal")
        writer.execute("pragma wal_autocheckpoint = 0")
        writer.execute(
            "insert into test_run select null, 'ff', "
            + ", ".join(COLUMNS[1:]).replace("end", '"end"')
            + " from test_run limit 25"
        )
        writer.commit()
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{live}{suffix}", folder / f"old.db{suffix}")
        # and one that somebody has open
        (done,) = imported(str(tmp_path / "other.db"), live)
        assert done.new == 75
    before = listing(folder)
    assert sorted(before) == ["old.db", "old.db-wal"]
    (done,) = imported(database, folder / "old.db")
    assert done.new == 75
    assert listing(folder) == before


_HALF_WRITTEN = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("pragma cache_size = 5")
connection.execute("begin")
connection.execute("update test_run set name = name || '_changed', path = path || printf('%0500d', 1)")
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_writer_left_half_written_is_not_read(database: str, tmp_path: Path) -> None:
    folder = old_folder(tmp_path)
    old = write(folder / "old.db", history(sessions=20))
    expected = table(old)
    subprocess.run([sys.executable, "-c", _HALF_WRITTEN, str(old)], check=False)
    before = listing(folder)
    assert sorted(before) == ["old.db", "old.db-journal"]
    imported(database, old)
    assert view(database) == expected
    assert listing(folder) == before


def crt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DB_NAME", "CRT_"))}
    environment |= {"HOME": str(folder), "COLUMNS": "100"}
    command = [sys.executable, "-W", "error", "-m", "coiled_runtime_cli", "db", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    rows = history(sessions=2)
    write(tmp_path / "a.db", rows + rows[:3])
    write(tmp_path / "b.db", [*rows[:10], row(name=None), row(duration="long")])
    done = crt(tmp_path, "import", "a.db", "b.db", "--format", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    counts = {name: document[name] for name in ("schema", "rows", "new", "known", "duplicates", "merged")}
    assert counts == {"schema": 1, "rows": 65, "new": 51, "known": 10, "duplicates": 3, "merged": 0}
    assert document["skipped"] == {"rows that name no test": 1}
    assert [each["rows"] for each in document["files"]] == [53, 12]
    assert "1 measurements that are no number" in done.stderr
    done = crt(tmp_path, "import", "a.db", "b.db")
    assert done.returncode == 0
    assert "1 rows that name no test" in done.stdout
    assert "crt report" in done.stderr
    assert "importing" in done.stderr


def test_a_table_without_rows_is_no_mistake(tmp_path: Path) -> None:
    write(tmp_path / "old.db", [])
    done = crt(tmp_path, "import", "old.db", "--format", "json")
    assert (done.returncode, json.loads(done.stdout)["rows"]) == (0, 0)


@pytest.mark.parametrize(
    ("file", "code", "says", "hint"),
    [
        ("missing.db", 2, "no such file", "predecessor"),
        ("folder", 2, "is a folder", "benchmark.db"),
        ("notes.txt", 2, "not a SQLite database", "predecessor"),
        ("tiny.txt", 2, "not a SQLite database", "predecessor"),
        ("scrambled.db", 2, "not a SQLite database", "predecessor"),
        ("empty.db", 2, "is empty", "another file"),
        ("own.db", 2, "crt's own database", "crt report --db own.db"),
        ("places.db", 2, "no table test_run or tpch_run (it has moz_places)", "predecessor"),
        ("bare.db", 2, "it has no tables at all", "predecessor"),
        ("nameless.db", 2, "has no column name", "predecessor"),
        ("short.db", 3, "is cut short", ".recover"),
        ("stub.db", 3, "is cut short", ".recover"),
        ("damaged.db", 3, "damaged", ".recover"),
        ("benchmark.db", 2, "cannot be imported into itself", "--db crt.db"),
        ("link.db", 2, "cannot be imported into itself", "--db crt.db"),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_message(
    tmp_path: Path, empty_database: Path, file: str, code: int, says: str, hint: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("notes " * 100)
    (tmp_path / "tiny.txt").write_text("hi")
    (tmp_path / "empty.db").touch()
    shutil.copyfile(empty_database, tmp_path / "own.db")
    for name, sql in (("places", "create table moz_places (url)"), ("bare", "pragma user_version = 1")):
        with closing(sqlite3.connect(tmp_path / f"{name}.db")) as connection:
            connection.execute(sql)
    write(tmp_path / "nameless.db", [row()], columns=["session_id", "duration"])
    whole = write(tmp_path / "benchmark.db", history(sessions=20)).read_bytes()
    (tmp_path / "link.db").symlink_to("benchmark.db")
    (tmp_path / "short.db").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "stub.db").write_bytes(whole[:50])
    (tmp_path / "damaged.db").write_bytes(whole[: len(whole) // 2] + b"\xff" * (len(whole) - len(whole) // 2))
    (tmp_path / "scrambled.db").write_bytes(b"\0" * 16 + whole[16:])
    target = [] if code == 2 and "itself" in says else ["--db", "target.db"]
    done = crt(tmp_path, "import", file, *target)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert says in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert "bug in crt" not in done.stderr
    assert (tmp_path / "benchmark.db").read_bytes() == whole


def test_a_mistake_in_one_file_imports_none(tmp_path: Path) -> None:
    write(tmp_path / "old.db", [row()])
    assert crt(tmp_path, "import", "old.db", "missing.db").returncode == 2
    assert not (tmp_path / "benchmark.db").exists()


def test_opening_an_old_file_names_the_import(tmp_path: Path) -> None:
    write(tmp_path / "old.db", [row()])
    done = crt(tmp_path, "upgrade", "--db", "old.db")
    assert done.returncode == 2
    assert "crt db import old.db --db crt.db" in done.stderr


def test_what_was_imported_is_read_as_history(engine: Engine, tmp_path: Path) -> None:
    with opened(write(tmp_path / "old.db", history())) as source:
        import_history(engine, source)
    found = read_history([engine])
    assert len(found.runs) == 150
    assert {each.label for each in found.sessions} == {"upstream", "latest", "AB_new"}
    assert {each.suite for each in found.benchmarks} == {"topic0", "topic1", "topic2", "topic3"}
    assert {each.scale for each in found.sessions} == {"full"}
    assert all(each.started is not None and each.ended is not None for each in found.sessions)


def test_errors_are_of_the_kind_that_the_docstring_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError), opened(tmp_path / "missing.db"):
        pass
    (tmp_path / "short.db").write_bytes(b"SQLite format 3\0")
    with pytest.raises(ToolError), opened(tmp_path / "short.db"):
        pass
    with pytest.raises(CrtError), opened(tmp_path / "a\0b"):
        pass
    assert legacy.__doc__
