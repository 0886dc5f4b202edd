"""How long `crt detect` takes for 1,000 series of 365 runs, first with nothing read before, then again. Figures, no gate.

    python .ci/detect_speed.py [--tests 334] [--days 365]

Each test has three metrics. One series in five has a step; the database is made in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from coiled_runtime_cli.core.record import Benchmark, Environment, Host, Package, Run, SessionEnded, SessionStarted
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest


def fill(database: Path, tests: int, days: int) -> None:
    chance = random.Random(0)
    benchmarks = [
        Benchmark(path="benchmarks/test_x.py", name=f"test_{number}", originalname=f"test_{number}")
        for number in range(tests)
    ]
    steps = {number: chance.randrange(30, days - 10) for number in range(tests) if number % 5 == 0}
    engine = open_database(str(database))
    for day in range(days):
        started = 1.75e9 + day * 86_400
        environment = Environment(
            python="3.11.7.final.0", platform="linux", packages=(Package(name="dask", version=f"{day}"),)
        )
        lines: list[object] = [
            SessionStarted(id=f"session-{day}", started=started, label="upstream", host=Host(cores=2)),
            environment,
            *benchmarks,
        ]
        for number, benchmark in enumerate(benchmarks):
            level = math.log(1.2) if day >= steps.get(number, days) else 0.0
            values = [chance.lognormvariate(level, 0.05) for _ in range(3)]
            lines.append(
                Run(
                    uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{day} {number}")),
                    session=f"session-{day}",
                    benchmark=benchmark.id,
                    environment=environment.id,
                    outcome="passed",
                    start=started + number,
                    end=started + number + 0.5,
                    duration=values[0],
                    average_memory=values[1] * 2**30,
                    peak_memory=values[2] * 2**30,
                )
            )
        lines.append(SessionEnded(id=f"session-{day}", ended=started + 600))
        ingest(engine, lines)  # type: ignore[arg-type]
    engine.dispose()


def timed(folder: Path, *arguments: str) -> tuple[float, float, str]:
    """Wall time and CPU time (s), and what it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "coiled_runtime_cli", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=334)
    parser.add_argument("--days", type=int, default=365)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crt-detect-") as scratch:
        folder = Path(scratch)
        fill(folder / "benchmark.db", arguments.tests, arguments.days)
        for title in ("nothing read before", "again"):
            wall, cpu, told = timed(folder, "detect", "--format", "json", "--no-progress")
            found = json.loads(told)
            count = len(found["regressions"]) + len(found["improvements"])
            print(
                f"crt detect, {title:20} {wall:5.1f} s, {cpu:5.1f} s CPU: "
                f"{found['searched']:,} series of {arguments.days} runs, {count} findings"
            )
    print("budget: 4 s")


if __name__ == "__main__":
    main()
