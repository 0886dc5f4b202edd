"""Sessions as a journal tells them, and all that a database says: for tests of what moves between databases."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from coiled_runtime_cli.core.record import (
    Benchmark,
    Cluster,
    Environment,
    Host,
    Metric,
    Package,
    Run,
    SessionEnded,
    SessionStarted,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

TODAY = date(2023, 11, 20)


def uuid(session: int, number: int) -> str:
    return f"00000000-0000-4000-8000-{session:06d}{number:06d}"


def lines(session: int, *, runs: int = 4, ended: bool = True, formerly: tuple[str, ...] = ()) -> list[Any]:
    """A session with everything that one can have."""
    environment = Environment(
        python="3.11.7.final.0", platform="linux", packages=(Package(name="dask", version="2026.8.0"),)
    )
    cluster = Cluster(kind="local", spec={"n_workers": 2}, name="c", dask_config={"a.b": 1})
    tests = [
        Benchmark(
            path="benchmarks/test_x.py",
            name=f"test_x[{n}]",
            originalname="test_x",
            params={"n": n},
            source="def test_x(): ...",
            formerly=formerly,
        )
        for n in range(2)
    ]
    found: list[Any] = [
        SessionStarted(
            id=f"s{session}",
            started=1.7e9 + 1e4 * session,
            label="upstream",
            host=Host(cores=2),
            command=("crt", "bench"),
        ),
        environment,
        cluster,
        *tests,
    ]
    found += [
        Run(
            uuid=uuid(session, number),
            session=f"s{session}",
            benchmark=tests[number % 2].id,
            source_hash=tests[number % 2].source_hash,
            environment=environment.id,
            cluster=cluster.key,
            cluster_name="c",
            outcome="passed" if number else "failed",
            failure=None if number else "AssertionError: ü <b>",
            start=1.7e9 + 1e4 * session + number,
            end=1.7e9 + 1e4 * session + number + 0.123456,
            duration=0.1 * number,
            peak_memory=1e9,
            metrics=(
                Metric(name="rows", value=1e6 + number),
                Metric(name="rate", value=0.1, unit="1/s", better="higher"),
            ),
        )
        for number in range(runs)
    ]
    return [*found, SessionEnded(id=f"s{session}", ended=1.7e9 + 1e4 * session + 99)] if ended else found


def everything(engine: Engine) -> dict[str, list[Any]]:
    """All that the database says, without the numbers of its rows."""
    with engine.connect() as connection:
        found = {
            table: sorted(map(str, connection.execute(text(query)).all()))
            for table, query in {
                "test_run": "select * from test_run",
                "session": "select s.key, s.id, started, ended, interrupted, label, scale, host_fingerprint, host, command, "
                "suites_commit, ci_url, crt_version, e.id, c.id from session s "
                "left join environment e on e.key = s.environment_key "
                "left join cluster_spec c on c.key = s.cluster_spec_key",
                "environment": "select * from environment",
                "benchmark": "select * from benchmark b join source s on s.hash = b.source_hash",
                "cluster": "select c.id, c.name, c.dask_config, s.id from cluster c "
                "join cluster_spec s on s.key = c.cluster_spec_key",
                "alias": "select * from alias",
                "metric": "select uuid, i.name, i.unit, i.better, value from metric m join run r on r.key = m.run_key "
                "join metric_info i on i.key = m.metric_info_key",
            }.items()
        }
    for table in ("session", "environment", "benchmark"):  # their numbers come first
        found[table] = sorted(each.partition(", ")[2] for each in found[table])
    return found
