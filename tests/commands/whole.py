"""A history with something of everything that commands show: a change of level, a bisection, names that shells quote."""

from __future__ import annotations

import dataclasses
import uuid
from typing import TYPE_CHECKING

from histories import DAY, START, session
from sqlalchemy import event

from coiled_runtime_cli.core.bisection import Bisection, Candidate, Effect, Probe, Verdict
from coiled_runtime_cli.core.record import Benchmark, Run
from coiled_runtime_cli.db import bisections
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest

if TYPE_CHECKING:
    from pathlib import Path

#: Where a test gets 30 % slower.
STEP = 20

#: Tests whose names have what shells read as something else.
AWKWARD = ("test_write[a b]", "test_write[c:d]", "test_write[$e'f]")

BISECTION = Bisection(
    id="0199aaaa-0000-7000-8000-00000bead001",
    started=START,
    ended=START + 90,
    status="found",
    repository="dask",
    benchmark="benchmarks/test_x.py::test_slower",
    metric="duration",
    unit="s",
    candidates=(Candidate(name="a" * 40, subject="good"), Candidate(name="b" * 40, subject="bad", probability=0.99)),
    probes=(Probe(candidate=1, outcome="measured", value=1.5, at=START), Probe(candidate=0, outcome="unbuildable")),
    verdicts=(
        Verdict(
            first=0, last=1, status="found", culprits=(1,), confidence=0.99, effect=Effect(ratio=1.5, low=1.4, high=1.6)
        ),
    ),
    culprit=1,
    confidence=0.99,
    effect=Effect(ratio=1.5, low=1.4, high=1.6),
)


def make(file: Path) -> None:
    """Write the history into a database that is made."""
    engine = open_database(str(file))
    event.listen(
        engine, "connect", lambda connection, _: connection.execute("pragma synchronous = off")
    )  # nothing to lose
    for number in range(2 * STEP):
        effects = {"same": 1.0, "slower": 1.3 if number >= STEP else 1.0, "faster": 0.7 if number >= STEP else 1.0}
        ingest(engine, session("upstream", number, effects, version=f"2026.{number}.0", throughput={"same": 2.0**20}))
    for label, factor in (("main", 1.0), ("branch", 1.2)):
        for number in range(6):
            ingest(engine, session(label, 100 + number, {"same": 1.0, "slower": factor}, version="2026.9.0"))
    lines = session("main", 110, {}, version="2026.9.0")
    tests = [Benchmark(path="benchmarks/test_tables.py", name=each, originalname="test_write") for each in AWKWARD]
    environment = lines[1]
    runs = [
        Run(
            uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, test.id)),
            session=lines[0].id,
            benchmark=test.id,
            environment=environment.id,
            outcome="passed",
            start=START + 110 * DAY,
            end=START + 110 * DAY + 1,
            duration=1.0,
        )
        for test in tests
    ]
    ingest(engine, [*lines[:-1], *tests, *runs, lines[-1]])
    bisections.store(engine, BISECTION)
    other = dataclasses.replace(
        BISECTION, id="0199aaaa-0000-7000-8000-00000bead002", status="interrupted", culprit=None
    )
    bisections.store(engine, dataclasses.replace(other, verdicts=(), confidence=None, effect=None, ended=None))
    engine.dispose()
