"""One session with everything that one can have, and all that a database says of what it took in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from coiled_runtime_cli.core.record import (
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
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

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
