"""Histories as the report reads them: real records, ingested into a real database."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from coiled_runtime_cli.core import record
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.history import read_history
from coiled_runtime_cli.db.ingest import ingest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = datetime(2026, 9, 1, 3, tzinfo=timezone.utc).timestamp()
DAY = 86_400.0


@dataclass
class Story:
    """What happened, one session a day: written down, then ingested. Times and noise come from a seed."""

    seed: int = 0
    lines: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def session(
        self,
        day: float,
        tests: dict[str, Any],
        *,
        label: str = "local",
        dask: str = "2026.8.0",
        commit: str | None = None,
        suite: str = "benchmarks/test_parquet.py",
        python: str = "3.11.7.final.0",
        interrupted: bool = False,
        scale: str = "laptop",
        **fields: Any,
    ) -> str:
        """One session: ``tests`` maps a name to its seconds, or to keywords of its run."""
        session, started = self.uuid(), START + day * DAY
        packages = (
            record.Package(name="dask", version=dask, commit=commit),
            record.Package(name="distributed", version=dask.partition("+")[0]),
            record.Package(name="numpy", version="2.1.0"),
        )
        environment = record.Environment(python=python, platform="linux", packages=packages)
        host = record.Host(cpu_model="a processor", cores=8, memory=2**34, machine="x86_64", system="Linux")
        self.lines += [
            record.SessionStarted(id=session, started=started, label=label, scale=scale, host=host, **fields),
            environment,
        ]
        for number, (name, what) in enumerate(tests.items()):
            run = dict(what) if isinstance(what, dict) else {"duration": what}
            original = name.partition("[")[0]
            benchmark = record.Benchmark(
                path=run.pop("path", suite) if isinstance(what, dict) else suite,
                name=name,
                originalname=original,
                source=run.pop("source", f'def {original}():\n    """Do {original}."""\n')
                if isinstance(what, dict)
                else None,
                epoch=run.get("epoch", 1),
            )
            began = started + 60.0 * number
            self.lines += [
                benchmark,
                record.Run(
                    uuid=self.uuid(),
                    session=session,
                    benchmark=benchmark.id,
                    source_hash=benchmark.source_hash,
                    environment=environment.id,
                    start=began,
                    end=began + 30,
                    **{"outcome": "passed", "call_outcome": "passed", **run},
                ),
            ]
        if not interrupted:
            self.lines.append(record.SessionEnded(id=session, ended=started + 3600))
        return session

    def noisy(self, level: float, cv: float = 0.03) -> float:
        return level * self.random.lognormvariate(0, cv)

    def database(self, path: Path) -> str:
        engine = open_database(str(path))
        ingest(engine, self.lines)
        engine.dispose()
        return str(path)

    def history(self, path: Path) -> Any:
        engine = open_database(self.database(path))
        try:
            return read_history([engine])
        finally:
            engine.dispose()


def a_regression(days: int = 40, since: int = 25, *, seed: int = 0) -> Story:
    """Two parameters of one test and another test; one parameter is half as fast again since a day; runs fail now and then."""
    story = Story(seed)
    for day in range(days):
        slow = 1.5 if day >= since else 1.0
        story.session(
            day,
            {
                "test_read[tasks]": {"duration": story.noisy(2.0), "peak_memory": story.noisy(2**30, 0.01)},
                "test_read[p2p]": {
                    "duration": story.noisy(1.0 * slow),
                    "compute_time": story.noisy(4.0),
                    "transfer_time": 0.5,
                },
                "test_write": story.noisy(5.0)
                if day % 9
                else {"outcome": "failed", "call_outcome": "failed", "failure": "AssertionError: day\nassert 1 == 2"},
            },
            dask=f"2026.{8 if day < since else 9}.0",
        )
    return story


@pytest.fixture(scope="session")
def new_story() -> type[Story]:
    return Story


@pytest.fixture(scope="session")
def regression() -> Callable[..., Story]:
    return a_regression
