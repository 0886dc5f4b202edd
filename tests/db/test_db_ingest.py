"""What a session becomes in the database: its rows, once each, whatever is in them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from one_session import BENCHMARK, CLUSTER, END, ENVIRONMENT, RUN, SESSION, WHOLE, content, one

from coiled_runtime_cli.core.record import Metric, Package, SessionStarted
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import Ingested, ingest

if TYPE_CHECKING:
    from sqlalchemy import Engine


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
