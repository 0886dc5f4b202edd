from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from coiled_runtime_cli.core.record import (
    OUTCOMES,
    Benchmark,
    Cluster,
    Environment,
    Host,
    Line,
    Metric,
    Package,
    Run,
    SessionEnded,
    SessionStarted,
    encode,
)
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import Ingested, ingest

ENVIRONMENT = Environment(
    python="3.11.7.final.0",
    platform="linux",
    packages=(
        Package(name="dask", version="2026.8.0"),
        Package(name="distributed", version="2026.8.0"),
        Package(name="distributed", version="2026.9.0+g1234567", commit="1234567", dirty=False, imported=True),
        Package(name="dask_expr", version="1.1"),
    ),
)
BENCHMARK = Benchmark(
    path="benchmarks/test_parquet.py",
    name="test_write_wide_data",
    originalname="test_write_wide_data",
    params={"n": [1, {"deep": None}]},
    markers=("client",),
    source="def test_write_wide_data(): ...\n",
)
CLUSTER = Cluster(kind="local", spec={"n_workers": 2}, name="parquet-1", dask_config={"distributed.x": 1})
SESSION = SessionStarted(
    id="s1", started=1000.0, host=Host(cpu_model="x", cores=2), label="upstream", ci_url="https://ci"
)
RUN = Run(
    uuid="r1",
    session="s1",
    benchmark=BENCHMARK.id,
    source_hash=BENCHMARK.source_hash,
    environment=ENVIRONMENT.id,
    cluster=CLUSTER.key,
    cluster_name="parquet-1",
    cluster_id=7,
    coiled_software_name="package_sync",
    outcome="passed",
    setup_outcome="passed",
    call_outcome="passed",
    teardown_outcome="passed",
    start=1001.25,
    end=1003.5,
    duration=2.0,
    average_memory=3e9,
    metrics=(Metric(name="throughput", value=12.5, unit="MB/s", better="higher"),),
)
END = SessionEnded(id="s1", ended=1010.0)
WHOLE: tuple[Line, ...] = (SESSION, ENVIRONMENT, BENCHMARK, CLUSTER, RUN, END)

#: Everything in the database, without the numbers of its rows.
CONTENT = {
    "runs": "select * from test_run",
    "sessions": "select s.id, started, ended, interrupted, label, scale, p.id, e.id, host_fingerprint, host, command"
    " from session s left join cluster_spec p on p.key = cluster_spec_key"
    " left join environment e on e.key = environment_key",
    "environments": "select id, python, python_minor, platform, dask_version, packages from environment",
    "benchmarks": "select id, epoch, source_hash, path, name, originalname, suite, params, markers from benchmark",
    "sources": "select * from source",
    "aliases": "select * from alias",
    "specs": "select id, kind, spec from cluster_spec",
    "clusters": "select id, name, dask_config from cluster",
    "metrics": "select uuid, name, unit, better, value from metric join run on run.key = run_key"
    " join metric_info i on i.key = metric_info_key",
}


def content(engine: Engine) -> dict[str, list[Any]]:
    with engine.connect() as connection:
        return {name: sorted(map(repr, connection.execute(text(query)).all())) for name, query in CONTENT.items()}


def one(engine: Engine, query: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(query)).one()


def test_a_whole_session_is_found_through_the_documented_view(any_database: str) -> None:
    engine = open_database(any_database)
    assert ingest(engine, WHOLE) == Ingested(sessions=("s1",), runs_new=1)
    row = one(engine, "select * from test_run where name = 'test_write_wide_data'")
    assert (row.dask_version, row.distributed_version, row.dask_expr_version) == (
        "2026.8.0",
        "2026.9.0+g1234567",
        "1.1",
    )
    assert (row.coiled_runtime_version, row.coiled_software_name, row.ci_run_url) == (
        "upstream",
        "package_sync",
        "https://ci",
    )
    assert (row.setup_outcome, row.call_outcome, row.teardown_outcome) == ("passed", "passed", "passed")
    assert (row.duration, row.average_memory, row.peak_memory, row.cluster_id) == (2.0, 3e9, None, 7)
    assert row.python_version == "3.11.7.final.0"
    assert (row.benchmark_id, row.epoch, row.environment_id) == (BENCHMARK.id, 1, ENVIRONMENT.id)
    metric = one(
        engine, "select name, unit, better, value, built_in from metric join metric_info i on i.key = metric_info_key"
    )
    assert tuple(metric) == ("throughput", "MB/s", "higher", 12.5, False)
    engine.dispose()


def test_a_failed_run_keeps_its_failure_and_what_it_recorded(engine: Engine) -> None:
    told = {"outcome": "failed", "call_outcome": "failed", "failure": "boom", "repeat": 3, "duration": None}
    ingest(engine, [SESSION, replace(RUN, **told)])
    row = one(
        engine,
        "select outcome, call_outcome, failure, repeat, duration, value from run join metric on run_key = run.key",
    )
    assert tuple(row) == ("failed", "failed", "boom", 3, None, 12.5)


def test_times_are_utc_text_that_sqlite_understands(engine: Engine) -> None:
    ingest(engine, WHOLE)
    row = one(engine, 'select start, "end", (julianday("end") - julianday(start)) * 86400 as took from test_run')
    assert row.start == "1970-01-01 00:16:41.250000"
    assert row.took == pytest.approx(2.25, abs=1e-3)


def test_a_session_told_again_changes_nothing(any_database: str) -> None:
    engine = open_database(any_database)
    ingest(engine, WHOLE)
    before = content(engine)
    assert ingest(engine, WHOLE) == Ingested(sessions=("s1",), runs_new=0, runs_known=1)
    assert content(engine) == before
    engine.dispose()


def test_the_first_run_of_a_uuid_wins(engine: Engine) -> None:
    ingest(engine, [SESSION, RUN, replace(RUN, duration=99.0)])
    ingest(engine, [replace(RUN, duration=98.0)])
    assert one(engine, "select duration from run").duration == 2.0


def test_a_run_alone_goes_in_and_is_completed_later(any_database: str) -> None:
    whole, parts = open_database(any_database), open_database(any_database)
    assert ingest(parts, [RUN]).interrupted == ("s1",)
    row = one(parts, "select name, originalname, path, coiled_runtime_version, dask_version from test_run")
    assert tuple(row) == ("test_write_wide_data", "test_write_wide_data", "benchmarks/test_parquet.py", None, None)
    ingest(parts, WHOLE)
    row = one(parts, "select coiled_runtime_version, dask_version from test_run")
    assert tuple(row) == ("upstream", "2026.8.0")
    session = one(parts, "select interrupted from session")
    assert not session.interrupted
    whole.dispose()
    parts.dispose()


def test_a_placeholder_in_a_class_keeps_its_function_s_name(engine: Engine) -> None:
    ingest(engine, [replace(RUN, benchmark="a/test_x.py::TestX::test_y[z::1-[b]]")])
    row = one(engine, "select path, name, originalname, suite from benchmark")
    assert tuple(row) == ("a/test_x.py", "TestX::test_y[z::1-[b]]", "test_y", "x")


def test_a_session_without_its_end_is_interrupted_when_it_was_last_seen(engine: Engine) -> None:
    assert ingest(engine, WHOLE[:-1]).interrupted == ("s1",)
    row = one(engine, "select interrupted, ended from session")
    assert (row.interrupted, row.ended) == (1, "1970-01-01 00:16:43.500000")
    ingest(engine, [END])
    row = one(engine, "select interrupted, ended from session")
    assert (row.interrupted, row.ended) == (0, "1970-01-01 00:16:50.000000")
    ingest(engine, WHOLE[:-1])
    assert one(engine, "select interrupted from session").interrupted == 0


def test_a_session_that_was_stopped_stays_interrupted(engine: Engine) -> None:
    ingest(engine, [*WHOLE[:-1], replace(END, interrupted=True)])
    assert one(engine, "select interrupted from session").interrupted == 1


def test_each_source_is_kept_once_and_each_version_of_a_benchmark_once(engine: Engine) -> None:
    changed = replace(BENCHMARK, source="def test_write_wide_data(): pass\n")
    other = replace(BENCHMARK, name="test_write_wide_data[2]")
    ingest(engine, [SESSION, BENCHMARK, changed, other, replace(BENCHMARK, epoch=2, epoch_reason="more data")])
    assert one(engine, "select count(*) as n from benchmark").n == 4
    assert one(engine, "select count(*) as n from source").n == 2


def test_a_metric_of_another_unit_is_another_metric(engine: Engine) -> None:
    metrics = (Metric(name="size", value=1.0, unit="MB"), Metric(name="size", value=1e6, unit="bytes"))
    ingest(engine, [replace(RUN, metrics=metrics)])
    assert one(engine, "select count(*) as n from metric").n == 2


def test_the_first_of_two_values_of_one_metric_counts(engine: Engine) -> None:
    ingest(engine, [replace(RUN, metrics=(Metric(name="size", value=1.0), Metric(name="size", value=2.0)))])
    assert one(engine, "select value from metric").value == 1.0


def test_former_names_become_aliases_of_the_newest_session_that_says_so(engine: Engine) -> None:
    renamed = replace(BENCHMARK, formerly=("old.py::test", BENCHMARK.id))
    ingest(engine, [SESSION, renamed])
    ingest(engine, [SessionStarted(id="s0", started=500.0), renamed])
    assert tuple(one(engine, "select * from alias")) == ("old.py::test", BENCHMARK.id, "1970-01-01 00:16:40.000000")


def test_several_sessions_in_one_call_each_get_their_own(engine: Engine) -> None:
    other = replace(RUN, uuid="r2", session="s2")
    done = ingest(engine, [*WHOLE, SessionStarted(id="s2", started=2000.0), other])
    assert done == Ingested(sessions=("s1", "s2"), runs_new=2, interrupted=("s2",))


def test_lines_of_no_session_are_kept_for_those_that_follow(engine: Engine) -> None:
    ingest(engine, [ENVIRONMENT, BENCHMARK, CLUSTER])
    ingest(engine, [SESSION, RUN])
    assert one(engine, "select dask_version from test_run").dask_version == "2026.8.0"
    assert ingest(engine, []) == Ingested()


HOSTILE = [
    "'; drop table run; --",
    '"quoted" `back` [square]',
    "percent %s %(name)s :bind ? {brace}",
    "new\nline\ttab",
    "nul\0inside",
    "undecodable \udcff byte",
    "ünï 🚀 \u202e",
    "",
]


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_text_is_only_text(any_database: str, label: str) -> None:
    engine = open_database(any_database)
    benchmark = replace(BENCHMARK, name=f"test[{label}]", params={label: label}, formerly=(f"x::{label}",))
    environment = replace(ENVIRONMENT, packages=(Package(name="dask", version=label),))
    run = replace(
        RUN,
        benchmark=benchmark.id,
        environment=environment.id,
        failure=label,
        cluster_name=label,
        metrics=(Metric(name=label, value=1.0, unit=label),),
    )
    lines = [replace(SESSION, label=label, command=(label,)), environment, benchmark, CLUSTER, run]
    ingest(engine, lines)
    before = content(engine)
    assert ingest(engine, lines).runs_known == 1
    assert content(engine) == before
    stored = one(engine, "select coiled_runtime_version, failure, name from test_run")
    if label.isprintable() or (label.isascii() and "\0" not in label):
        assert tuple(stored) == (label, label, f"test[{label}]")
    engine.dispose()


def test_a_moment_that_no_calendar_has_is_missing(engine: Engine) -> None:
    ingest(engine, [replace(RUN, start=1e30, end=-1e30)])
    assert tuple(one(engine, 'select start, "end" from run')) == (None, None)


def test_a_large_session_goes_in_whole(engine: Engine) -> None:
    runs = [replace(RUN, uuid=f"r{number}", benchmark=f"a.py::t[{number % 700}]") for number in range(3000)]
    assert ingest(engine, [SESSION, ENVIRONMENT, CLUSTER, *runs, END]).runs_new == 3000
    assert ingest(engine, runs).runs_known == 3000
    assert one(engine, "select count(*) as n from metric").n == 3000


# Properties of any journal

_environments = st.sampled_from([ENVIRONMENT, replace(ENVIRONMENT, python="3.12.1.final.0", packages=())])
_benchmarks = st.sampled_from(
    [
        BENCHMARK,
        replace(BENCHMARK, source=None),
        replace(BENCHMARK, epoch=2, params={}),
        replace(BENCHMARK, name="test_b", originalname="test_b", formerly=(BENCHMARK.id,)),
    ]
)
_clusters = st.sampled_from(
    [CLUSTER, Cluster(kind="coiled", spec={}), replace(CLUSTER, name="parquet-2", dask_config={})]
)
_seconds = st.none() | st.floats(0, 1e4)


@st.composite
def _runs(draw: st.DrawFn, uuids: st.SearchStrategy[str]) -> Run:
    benchmark = draw(_benchmarks)
    cluster = draw(st.none() | _clusters)
    metrics = st.builds(Metric, name=st.sampled_from("ab"), value=st.floats(-10, 10), unit=st.sampled_from(["", "s"]))
    return Run(
        uuid=draw(uuids),
        session="s1",
        benchmark=benchmark.id,
        source_hash=benchmark.source_hash,
        epoch=benchmark.epoch,
        environment=draw(st.none() | _environments.map(lambda each: each.id)),
        cluster=cluster.key if cluster else None,
        cluster_name=cluster.name if cluster else None,
        outcome=draw(st.sampled_from(OUTCOMES)),
        start=draw(_seconds),
        end=draw(_seconds),
        duration=draw(_seconds),
        metrics=tuple(draw(st.lists(metrics, max_size=2))),
    )


_context = st.lists(_environments | _benchmarks | _clusters | st.just(SESSION) | st.just(END), max_size=6)
_any_uuid = st.integers(0, 4).map(lambda number: f"r{number}")


@st.composite
def _journals(draw: st.DrawFn) -> list[Line]:
    """Records of one session in any order, some told twice, some runs of the same uuid with other content."""
    lines: list[Line] = [*draw(_context), *draw(st.lists(_runs(_any_uuid), max_size=6))]
    return list(draw(st.permutations(lines)))


class _Databases:
    """New copies of an empty database."""

    def __init__(self, template: Path) -> None:
        self._template = template
        self._folder = tempfile.TemporaryDirectory()
        self._count = 0

    def new(self) -> Engine:
        self._count += 1
        path = Path(self._folder.name) / f"{self._count}.db"
        shutil.copyfile(self._template, path)
        return open_database(str(path))

    def close(self) -> None:
        self._folder.cleanup()


@settings(deadline=None, max_examples=60)
@given(lines=_journals(), at=st.integers(0, 12))
def test_any_journal_half_then_whole_then_again_gives_the_rows_of_the_whole(
    empty_database: Path, lines: list[Line], at: int
) -> None:
    with closing(_Databases(empty_database)) as databases:
        once, parts = databases.new(), databases.new()
        ingest(once, lines)
        ingest(parts, lines[:at])
        ingest(parts, lines)
        ingest(parts, lines[at:])
        assert content(parts) == content(once)
        runs = one(parts, "select (select count(*) from run) as runs, (select count(*) from test_run) as seen")
        assert runs.runs == runs.seen == len({line.uuid for line in lines if isinstance(line, Run)})


@settings(deadline=None, max_examples=40)
@given(lines=_journals(), data=st.data())
def test_any_order_of_records_that_do_not_contradict_each_other_gives_the_same_rows(
    empty_database: Path, lines: list[Line], data: st.DataObject
) -> None:
    distinct = {line.uuid if isinstance(line, Run) else encode(line): line for line in lines}
    told = list(distinct.values())
    with closing(_Databases(empty_database)) as databases:
        once, shuffled = databases.new(), databases.new()
        ingest(once, told)
        ingest(shuffled, data.draw(st.permutations(told)))
        assert content(shuffled) == content(once)


# Several processes, and one that dies

_INGEST = """
import sys
from pathlib import Path
from coiled_runtime_cli.core.record import decode
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest
lines = [decode(line) for line in Path(sys.argv[2]).read_text().splitlines()]
engine = open_database(sys.argv[1])
"""

_KILLED = """
import os, signal
from sqlalchemy import event
left = int(sys.argv[3])
@event.listens_for(engine, "after_cursor_execute")
def count(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def _journal(path: Path, count: int) -> Path:
    runs = [replace(RUN, uuid=f"r{number}", benchmark=f"a.py::t[{number % 9}]") for number in range(count)]
    path.write_text("".join(encode(line) + "\n" for line in [SESSION, ENVIRONMENT, BENCHMARK, CLUSTER, *runs, END]))
    return path


def test_processes_that_ingest_the_same_journal_at_once_store_each_run_once(any_database: str, tmp_path: Path) -> None:
    engine = open_database(any_database)
    journal = _journal(tmp_path / "a.jsonl", 500)
    command = [sys.executable, "-c", _INGEST + "print(ingest(engine, lines).runs_new)", any_database, str(journal)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    printed = [process.communicate(timeout=120)[0] for process in processes]
    assert sorted(printed) == ["0\n", "0\n", "0\n", "500\n"]
    assert one(engine, "select count(*) as n from test_run").n == 500
    engine.dispose()


def test_a_process_killed_anywhere_in_an_ingest_leaves_nothing_of_the_session(
    empty_database: Path, tmp_path: Path
) -> None:
    journal = _journal(tmp_path / "a.jsonl", 2000)
    killed = 0
    for statements in (1, 3, 7, 12, 17, 20, 23, 26, 29, 32, 40, 60):
        path = tmp_path / f"{statements}.db"
        shutil.copyfile(empty_database, path)
        script = _INGEST + _KILLED + "ingest(engine, lines)"
        done = subprocess.run([sys.executable, "-c", script, str(path), str(journal), str(statements)], timeout=60)
        engine = open_database(str(path))
        runs = one(engine, "select (select count(*) from run) + (select count(*) from session) as n").n
        if done.returncode == -signal.SIGKILL:
            killed += 1
            assert runs == 0
        else:
            assert (done.returncode, runs) == (0, 2001)
        ingest(engine, [RUN])
        with engine.connect() as connection:
            assert connection.scalar(text("PRAGMA integrity_check")) == "ok"
    assert killed >= 8
