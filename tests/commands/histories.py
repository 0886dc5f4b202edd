"""Sessions whose truth is known: each test takes 10 s times an effect and noise, at one session a day."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.record import (
    Benchmark,
    Environment,
    Host,
    Metric,
    Package,
    Run,
    SessionEnded,
    SessionStarted,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

DAY = 86_400.0
START = 1.79e9  # 2026-09-21


def session(
    label: str,
    number: int,
    effects: Mapping[str, float],
    *,
    version: str,
    python: str = "3.11.7.final.0",
    noise: Mapping[str, float] | None = None,
    throughput: Mapping[str, float] | None = None,
    failing: Collection[str] = (),
    host: Host | None = None,
    packages: tuple[Package, ...] | None = None,
) -> list[Any]:
    """One session of each test once, 1 % noise unless ``noise`` says another; ``throughput`` (B/s) is recorded by some."""
    identity = f"{label}-{number}-{python[:4]}"
    chance = random.Random(identity)
    environment = Environment(
        python=python,
        platform="linux",
        packages=packages or (Package(name="dask", version=version, commit=f"{number:07x}abcdef" * 3),),
    )
    started = START + number * DAY
    found: list[Any] = [
        SessionStarted(id=identity, started=started, label=label, host=host or Host(cores=2)),
        environment,
    ]
    for place, (name, effect) in enumerate(effects.items()):
        test = Benchmark(path="benchmarks/test_x.py", name=f"test_{name}", originalname=f"test_{name}")
        factor = chance.lognormvariate(0, (noise or {}).get(name, 0.01))
        rate = (throughput or {}).get(name)
        metrics = () if rate is None else (Metric(name="throughput", value=rate * factor, unit="B/s", better="higher"),)
        failed = name in failing
        run = Run(
            uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{identity} {name}")),
            session=identity,
            benchmark=test.id,
            environment=environment.id,
            outcome="failed" if failed else "passed",
            start=started + place,
            end=started + place + 0.5,
            duration=None if failed else 10 * effect * factor,
            peak_memory=2.0**30 * factor,
            metrics=metrics,
        )
        found += [test, run]
    return [*found, SessionEnded(id=identity, ended=started + 100)]
