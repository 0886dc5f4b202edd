from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from coiled_runtime_cli.core.record import (
    Benchmark,
    Cluster,
    Environment,
    Host,
    Line,
    Metric,
    Run,
    SessionEnded,
    SessionStarted,
)
from coiled_runtime_cli.db import queries
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest

if TYPE_CHECKING:
    from sqlalchemy import Engine

ENVIRONMENT = Environment(python="3.11.7.final.0", platform="linux")
CLUSTER = Cluster(kind="local", spec={"n_workers": 2})
HOST = Host(cpu_model="x", cores=2)
A = Benchmark(path="benchmarks/test_a.py", name="test_a[1]", originalname="test_a", params={"n": 1}, source="one")
B = Benchmark(path="benchmarks/test_b.py", name="test_b", originalname="test_b", source="two")


def session(
    number: int,
    *durations: float | None,
    benchmark: Benchmark = A,
    environment: Environment = ENVIRONMENT,
    cluster: Cluster | None = CLUSTER,
    run: dict[str, Any] | None = None,
    **fields: Any,
) -> list[Line]:
    """Session number ``number`` of a history with one a day: it ran one benchmark, once for each duration."""
    at = 86400.0 * number
    started = SessionStarted(id=f"s{number}", started=at, **{"host": HOST, **fields})
    lines: list[Line] = [started, environment, benchmark, *([cluster] if cluster else [])]
    for index, duration in enumerate(durations):
        values: dict[str, Any] = {
            "uuid": f"{number}-{benchmark.name}-{index}",
            "session": started.id,
            "benchmark": benchmark.id,
            "source_hash": benchmark.source_hash,
            "epoch": benchmark.epoch,
            "environment": environment.id,
            "cluster": cluster.key if cluster else None,
            "repeat": index,
            "outcome": "passed",
            "start": at + 10 * index,
            "end": at + 10 * index + 4,
            "duration": duration,
        }
        lines.append(Run(**{**values, **(run or {})}))
    return [*lines, SessionEnded(id=started.id, ended=at + 1000)]


def test_comparable_values_are_those_of_other_sessions_oldest_first(any_database: str) -> None:
    engine = open_database(any_database)
    for number, values in enumerate([(1.0,), (2.0, 2.5), (3.0,), (9.0, 9.5)]):
        ingest(engine, session(number, *values))
    assert queries.comparable_values(engine, "s3") == {A.id: [1.0, 2.0, 2.5, 3.0]}
    assert queries.comparable_values(engine, "s3", limit=2) == {A.id: [2.5, 3.0]}
    assert queries.comparable_values(engine, "unknown") == {}
    engine.dispose()


@pytest.mark.parametrize(
    "other",
    [
        {"label": "upstream"},
        {"scale": "full"},
        {"host": Host(cpu_model="y", cores=2)},
        {"cluster": Cluster(kind="local", spec={"n_workers": 4})},
        {"cluster": None},
        {"environment": replace(ENVIRONMENT, python="3.12.0.final.0")},
        {"benchmark": replace(A, epoch=2)},
        {"benchmark": replace(A, path="benchmarks/other/test_a.py")},
        {"run": {"outcome": "failed"}},
        {"run": {"profiled": True}},
        {"run": {"duration": None}},
    ],
    ids=lambda other: str(*other),
)
def test_what_differs_in_its_series_key_is_not_compared(engine: Engine, other: dict[str, Any]) -> None:
    ingest(engine, session(1, 1.0, **other))
    ingest(engine, session(2, 2.0))
    assert queries.comparable_values(engine, "s2") == {}


@pytest.mark.parametrize(
    "other",
    [
        {"host": replace(HOST, load=3.0, hostname="elsewhere")},
        {"environment": replace(ENVIRONMENT, python="3.11.9.final.0")},
        {"benchmark": replace(A, source="changed")},
        {"cluster": replace(CLUSTER, name="another", dask_config={"a": 1})},
        {"suites_commit": "abc"},
    ],
    ids=lambda other: str(*other),
)
def test_what_a_series_key_leaves_out_may_differ(engine: Engine, other: dict[str, Any]) -> None:
    ingest(engine, session(1, 1.0, **other))
    ingest(engine, session(2, 2.0))
    assert queries.comparable_values(engine, "s2") == {A.id: [1.0]}


def test_the_host_does_not_matter_where_the_work_runs_elsewhere(engine: Engine) -> None:
    coiled = Cluster(kind="coiled", spec={"n_workers": 2})
    ingest(engine, session(1, 1.0, cluster=coiled, host=Host(cpu_model="y")))
    ingest(engine, session(2, 2.0, cluster=coiled))
    assert queries.comparable_values(engine, "s2") == {A.id: [1.0]}


def test_a_renamed_benchmark_keeps_its_history(engine: Engine) -> None:
    renamed = replace(A, name="test_new", originalname="test_new", formerly=(A.id,))
    again = replace(A, path="benchmarks/test_moved.py", formerly=(renamed.id,))
    ingest(engine, session(1, 1.0))
    ingest(engine, session(2, 2.0, benchmark=renamed))
    ingest(engine, session(3, 3.0, benchmark=again))
    assert queries.comparable_values(engine, "s3") == {again.id: [1.0, 2.0]}
    assert queries.comparable_values(engine, "s1") == {A.id: [2.0, 3.0]}
    assert queries.last_duration(engine, [again.id, A.id]) == {again.id: 4.0, A.id: 4.0}


def test_a_recorded_metric_is_compared_by_its_name(engine: Engine) -> None:
    for number in (1, 2):
        metric = Metric(name="rate", value=float(number), unit="1/s")
        ingest(engine, session(number, 1.0, run={"metrics": (metric,)}))
    assert queries.comparable_values(engine, "s2", measure="rate") == {A.id: [1.0]}
    assert queries.comparable_values(engine, "s2", measure="peak_memory") == {}


def test_a_series_that_paused_for_long_is_still_found(engine: Engine) -> None:
    ingest(engine, session(0, 1.0, benchmark=B))
    for number in range(1, 30):
        ingest(engine, session(number, float(number)))
    ingest(engine, [*session(30, 5.0, benchmark=B)[:-1], *session(30, 6.0)])
    found = queries.comparable_values(engine, "s30", limit=3)
    assert found == {A.id: [27.0, 28.0, 29.0], B.id: [1.0]}


def test_sessions_are_listed_newest_first_with_their_counts(any_database: str) -> None:
    engine = open_database(any_database)
    ingest(engine, session(1, 1.0, 2.0))
    ingest(engine, session(2, 1.0, run={"outcome": "failed"}, command=("crt", "bench")))
    ingest(engine, session(3)[:-1])
    found = queries.sessions(engine, 3)
    assert [(each.id, each.runs, each.passed, each.interrupted) for each in found] == [
        ("s3", 0, 0, True),
        ("s2", 1, 0, False),
        ("s1", 2, 2, False),
    ]
    assert (found[1].command, found[1].cluster_kind) == (("crt", "bench"), "local")
    assert [each.id for each in queries.sessions(engine, 1)] == ["s3"]
    assert len(queries.sessions(engine)) == 3
    engine.dispose()


def test_labels_are_listed_by_their_latest_session(any_database: str) -> None:
    engine = open_database(any_database)
    ingest(engine, session(1, label="upstream"))
    ingest(engine, session(2, label="0.1.0"))
    ingest(engine, session(3, label="upstream"))
    assert [(each.label, each.sessions) for each in queries.labels(engine)] == [("upstream", 2), ("0.1.0", 1)]
    newest = queries.labels(engine)[0].newest
    assert newest is not None
    assert newest.timestamp() == 3 * 86400.0
    engine.dispose()


def test_the_last_duration_is_the_newest_at_that_scale(engine: Engine) -> None:
    ingest(engine, session(1, 1.0, run={"end": 86400.0 + 7}))
    ingest(engine, session(2, 1.0, scale="smoke"))
    assert queries.last_duration(engine, [A.id, "unknown::x"]) == {A.id: 4.0}
    assert queries.last_duration(engine, [A.id], scale="laptop") == {A.id: 7.0}
    assert queries.last_duration(engine, []) == {}
