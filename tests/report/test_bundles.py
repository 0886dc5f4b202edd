from __future__ import annotations

import base64
import dataclasses
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from coiled_runtime_cli.core.history import (
    NO_TIME,
    History,
    HistoryBenchmark,
    HistoryEnvironment,
    HistorySession,
    RunColumns,
)
from coiled_runtime_cli.core.record import OUTCOMES, Package
from coiled_runtime_cli.report import comparisons
from coiled_runtime_cli.report.encode import data_file
from coiled_runtime_cli.report.fingerprints import run_numbers
from coiled_runtime_cli.report.groups import group
from coiled_runtime_cli.report.views import MetricView

DURATION = MetricView(key="duration", label="Duration", unit="s", scale=1.0, better="lower")
MEMORY = MetricView(key="peak_memory", label="Peak memory", unit="GiB", scale=2.0**30, better="lower")
FIRST = datetime(2026, 10, 30, tzinfo=timezone.utc)

Row = tuple[int, int, str, float]  # session, benchmark, outcome, duration


def a_session(number: int, label: str | None, started: datetime | None) -> HistorySession:
    return HistorySession(
        id=str(uuid.UUID(int=number)),
        started=started,
        ended=None,
        interrupted=False,
        label=label,
        scale="smoke",
        host_fingerprint="h",
        host={},
        command=(),
        suites_commit=None,
        suites_dirty=None,
        ci_url=None,
        crt_version=None,
    )


def a_benchmark(name: str, path: str = "benchmarks/test_array.py", **params: Any) -> HistoryBenchmark:
    originalname = name.partition("[")[0]
    return HistoryBenchmark(
        id=f"{path}::{name}",
        former=None,
        epoch=1,
        epoch_reason=None,
        path=path,
        name=name,
        originalname=originalname,
        suite=path.rpartition("/")[2].removeprefix("test_").removesuffix(".py"),
        params=params,
        markers=(),
        source=None,
    )


def an_environment(number: int) -> HistoryEnvironment:
    dask = Package(name="dask", version=f"2026.{number}.0", commit=f"{number:040x}")
    other = Package(name="left-pad", version=str(number))
    return HistoryEnvironment(id=str(number), python="3.11.7.final.0", platform="linux", packages=(dask, other))


def a_history(
    rows: list[Row],
    *,
    labels: tuple[str | None, ...] = ("a", "b"),
    benchmarks: tuple[HistoryBenchmark, ...] | None = None,
) -> History:
    """Sessions a day apart, one environment each; rows in the order of their sessions."""
    benchmarks = benchmarks or (a_benchmark("test_sum"), a_benchmark("test_mean"))
    sessions = tuple(a_session(number, label, FIRST + timedelta(days=number)) for number, label in enumerate(labels))
    count = len(rows)
    session = np.array([row[0] for row in rows], np.int32)
    start = np.array(
        [int((FIRST + timedelta(days=row[0])).timestamp() * 1e6) + place for place, row in enumerate(rows)]
    )
    return History(
        sessions=sessions,
        environments=tuple(an_environment(number) for number in range(len(labels))),
        clusters=(),
        benchmarks=benchmarks,
        metrics=(),
        runs=RunColumns(
            uuid=np.array([uuid.UUID(int=place + 1).bytes for place in range(count)], "V16"),
            session=session,
            benchmark=np.array([row[1] for row in rows], np.int32),
            environment=session.copy(),
            cluster=np.full(count, -1, np.int32),
            outcome=np.array([OUTCOMES.index(row[2]) for row in rows], np.uint8),
            setup=np.ones(count, np.uint8),
            call=np.ones(count, np.uint8),
            teardown=np.ones(count, np.uint8),
            repeat=np.zeros(count, np.int16),
            profiled=np.zeros(count, np.bool_),
            start=start.astype(np.int64),
            end=start.astype(np.int64),
            values={
                "duration": np.array([row[3] for row in rows], np.float64),
                "peak_memory": np.full(count, np.nan),
            },
        ),
        notes={},
    )


ROWS: list[Row] = [
    (0, 0, "passed", 1.0),
    (0, 1, "failed", np.nan),
    (1, 0, "passed", 2.0),
    (1, 1, "passed", 3.0),
    (2, 0, "passed", 4.0),
]
LABELS = ("a", "b", "a")


def numbers(document: dict[str, Any]) -> list[float]:
    kinds = {"f4": "<f4", "f8": "<f8", "u1": "u1", "u2": "<u2", "u4": "<u4"}
    if "n" in document:
        return [document["v"]] * document["n"]
    return np.frombuffer(base64.b64decode(document["b"]), kinds[document["t"]]).tolist()


def made(history: History) -> tuple[comparisons.Bundle, ...]:
    return comparisons.bundles(history, group(history), (DURATION, MEMORY), run_numbers(history))


def test_every_run_is_in_the_bundle_of_its_runtime_and_month() -> None:
    history = a_history(ROWS, labels=LABELS)
    names = {each.name.split("/")[2]: each for each in made(history)}
    by_runtime = {each.name: each for each in made(history)}
    assert sum(each.rows for each in by_runtime.values()) == len(ROWS)
    assert set(names) == {"2026-10", "2026-11"}
    seen = []
    for bundle in by_runtime.values():
        files = bundle.write()
        base, durations = files[bundle.name], numbers(files[f"{bundle.name}.duration"]["values"])
        seen += [
            (base["sessions"][int(session)], base["benchmarks"][int(benchmark)], OUTCOMES[int(outcome)], duration)
            for session, benchmark, outcome, duration in zip(
                numbers(base["session"]), numbers(base["benchmark"]), numbers(base["outcome"]), durations, strict=True
            )
        ]
    assert len(seen) == len(ROWS)
    assert {each[0] for each in seen} == {session.id for session in history.sessions}
    assert sorted(each[3] for each in seen if not np.isnan(each[3])) == [1, 2, 3, 4]
    assert {each[2] for each in seen if np.isnan(each[3])} == {"failed"}


def test_the_files_of_a_bundle_are_known_before_they_are_made() -> None:
    for bundle in made(a_history(ROWS, labels=LABELS)):
        assert set(bundle.files) == set(bundle.write())
        assert bundle.metrics == ("duration",)  # nothing has a peak memory


def test_a_new_session_leaves_the_other_bundles_as_they_are() -> None:
    before = {each.name: each for each in made(a_history(ROWS, labels=LABELS))}
    grown = a_history(
        [*ROWS, (3, 2, "passed", 9.0)],
        labels=(*LABELS, "c"),
        benchmarks=(a_benchmark("test_sum"), a_benchmark("test_mean"), a_benchmark("test_an_older_name")),
    )
    after = {each.name: each for each in made(grown)}
    assert set(before) < set(after)
    for name, bundle in before.items():
        assert after[name].fingerprint == bundle.fingerprint
        assert [data_file(*each) for each in after[name].write().items()] == [
            data_file(*each) for each in bundle.write().items()
        ]


@pytest.mark.parametrize(
    "change",
    [
        lambda runs: runs.values["duration"].__setitem__(0, 1.5),
        lambda runs: runs.outcome.__setitem__(0, 1),
        lambda runs: runs.profiled.__setitem__(0, 1),
        lambda runs: runs.benchmark.__setitem__(0, 1),
        lambda runs: runs.values["peak_memory"].__setitem__(0, 1.0),
    ],
)
def test_a_bundle_with_other_content_has_another_fingerprint(change: Any) -> None:
    history = a_history(ROWS, labels=LABELS)
    before = {each.name: each.fingerprint for each in made(history)}
    change(history.runs)
    after = {each.name: each.fingerprint for each in made(history)}
    assert sum(before[name] != after[name] for name in before) == 1


def test_the_catalogue_says_where_the_runs_of_each_session_are() -> None:
    history = a_history(ROWS, labels=LABELS)
    groups = group(history)
    parts = comparisons.bundles(history, groups, (DURATION,), run_numbers(history))
    found = comparisons.catalogue(history, groups, parts, (DURATION,), {0: "benchmark/x.html"}, baseline="a")
    sessions = found["sessions"]
    assert sessions["id"] == [each.id for each in history.sessions]
    assert [found["labels"][int(each)] for each in numbers(sessions["label"])] == list(LABELS)
    assert numbers(sessions["runs"]) == [2, 2, 1]
    for month, runtimes in zip(numbers(sessions["month"]), numbers(sessions["runtimes"]), strict=True):
        for runtime in found["runtime_sets"][int(runtimes)]:
            name = f"{found['runtimes'][runtime]['id']}/{found['months'][int(month)]}"
            assert found["bundles"][name]["metrics"] == ["duration"]
    assert [found["environments"][int(each)]["versions"] for each in numbers(sessions["environment"])] == [
        {"dask": f"2026.{number}.0"} for number in range(3)
    ]
    assert found["baseline"] == "a"
    tokens = {each["token"] for each in found["benchmarks"]}
    assert tokens == {token for each in parts for token in each.write()[each.name]["benchmarks"]}


def test_an_empty_history_has_an_empty_catalogue() -> None:
    history = a_history([], labels=())
    groups = group(history)
    assert comparisons.bundles(history, groups, (DURATION,), run_numbers(history)) == ()
    found = comparisons.catalogue(history, groups, (), (DURATION,), {})
    assert found["sessions"]["id"] == []
    assert found["benchmarks"] == []
    assert found["last"] is None
    data_file("compare", found)


def test_hostile_text_stays_text() -> None:
    hostile = "</script><script>alert(1)</script>\n\u202e\ud800" + "x" * 10_000
    history = a_history(ROWS, labels=(hostile, None, ""), benchmarks=(a_benchmark(hostile), a_benchmark("test_mean")))
    groups = group(history)
    parts = comparisons.bundles(history, groups, (DURATION,), run_numbers(history))
    text = data_file("compare", comparisons.catalogue(history, groups, parts, (DURATION,), {}))
    assert b"<" not in text
    for bundle in parts:
        assert all(name.replace("/", "").isascii() and ".." not in name for name in bundle.files)
        for each in bundle.write().items():
            data_file(*each)


def test_sessions_without_any_time_have_a_place() -> None:
    history = a_history(ROWS, labels=LABELS)
    history.runs.start[:] = NO_TIME
    sessions = tuple(dataclasses.replace(each, started=None) for each in history.sessions)
    timeless = dataclasses.replace(history, sessions=sessions)
    assert {each.name.split("/")[2] for each in made(timeless)} == {comparisons.UNKNOWN_MONTH}


@pytest.mark.parametrize(
    ("path", "name", "params", "found"),
    [
        ("tpch/test_dask.py", "test_query_1", {}, ("dask", 1, None)),
        ("tpch/test_duckdb.py", "test_query_07[100]", {"scale": 100}, ("duckdb", 7, "100")),
        ("tpch/test_polars.py", "test_query22", {}, ("polars", 22, None)),
        ("tpch/test_dask.py", "test_optimization", {}, None),
        ("benchmarks/test_dask.py", "test_query_1", {}, None),
    ],
)
def test_tpch_queries_are_told_by_path_and_name(
    path: str, name: str, params: dict[str, Any], found: tuple[str, int, str | None] | None
) -> None:
    tpch = comparisons.tpch(a_benchmark(name, path, **params))
    assert (None if tpch is None else (tpch.engine, tpch.query, tpch.scale)) == found


def test_the_catalogue_names_the_sessions_that_ran_tpch() -> None:
    benchmarks = (a_benchmark("test_sum"), a_benchmark("test_query_1", "tpch/test_dask.py"))
    history = a_history(ROWS, labels=LABELS, benchmarks=benchmarks)
    groups = group(history)
    found = comparisons.catalogue(history, groups, (), (DURATION,), {})
    assert found["tpch"]["sessions"] == [0, 1]
    assert len(found["tpch"]["version"]) == 2
    assert comparisons.has_tpch(history)


@pytest.mark.parametrize(
    ("scale", "factor"),
    [("smoke", "0.01"), ("laptop", "1"), ("0.1", "0.1"), ("full", "1000"), ("large", None), (None, None)],
)
def test_a_runtime_says_which_scale_factor_of_tpch_its_scale_is(scale: str | None, factor: str | None) -> None:
    history = a_history(ROWS, labels=LABELS)
    sessions = tuple(dataclasses.replace(each, scale=scale) for each in history.sessions)
    history = dataclasses.replace(history, sessions=sessions)
    found = comparisons.catalogue(history, group(history), (), (DURATION,), {})
    assert {each["factor"] for each in found["runtimes"]} == {factor}


def test_engines_of_tpch_have_the_versions_of_their_sessions() -> None:
    benchmarks = (a_benchmark("test_query_1", "tpch/test_dask.py"), a_benchmark("test_query_1", "tpch/test_duckdb.py"))
    history = a_history(ROWS, labels=LABELS, benchmarks=benchmarks)
    packages = (
        Package(name="dask", version="2026.8.0"),
        Package(name="duckdb", version="1.5.5"),
        Package(name="dask", version="2026.8.0+3.gabc", imported=True),
        Package(name="numpy", version="2.0"),
    )
    history = dataclasses.replace(
        history, environments=tuple(dataclasses.replace(each, packages=packages) for each in history.environments)
    )
    found = comparisons.catalogue(history, group(history), (), (DURATION,), {})["tpch"]
    assert found["versions"] == [{"dask": "2026.8.0+3.gabc", "duckdb": "1.5.5"}]
    assert set(found["version"]) == {0}
