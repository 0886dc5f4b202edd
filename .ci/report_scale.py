"""What drawing a long history costs: import, first build, a build of nothing new, a build of one session more.

    python .ci/report_scale.py                       # 1,095,000 runs: 250 tests, 3 runtimes, 365 days, 4 sessions a day
    python .ci/report_scale.py --sessions-a-day 1    # 273,750 runs
    python .ci/report_scale.py --runtimes 1 --sessions-a-day 1    # 250 series of 365 points

Each step is a `crt` of its own, as a user starts it. Prints seconds (elapsed and CPU), peak memory and what was written.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

COLUMNS = [
    "session_id", "name", "originalname", "path", "setup_outcome", "call_outcome", "teardown_outcome",
    "coiled_runtime_version", "dask_version", "distributed_version", "python_version", "platform", "start", "end",
    "duration", "average_memory", "peak_memory", "compute_time", "disk_spill_time", "serializing_time",
    "transfer_time", "scheduler_cpu_avg", "scheduler_memory_max", "worker_max_tick", "scheduler_max_tick",
]  # fmt: skip
PYTHONS = ("3.11.7.final.0", "3.12.1.final.0", "3.13.0.final.0")
PARAMETERS = ("tasks", "p2p", "disk")
LAST = dt.datetime(2026, 11, 20)  # noqa: DTZ001 - as the predecessor stored it: UTC without saying so


def write_history(
    path: Path, *, tests: int, runtimes: int, days: int, sessions_a_day: int, parameters: tuple[str, ...] = PARAMETERS
) -> int:
    """A database of the predecessor: noise of 3 to 8 %, one test in six with a step, one run in a hundred failed."""
    seeded = random.Random(0)
    names = []
    for number in range(tests):
        function, parameter = f"test_{number // len(parameters)}", parameters[number % len(parameters)]
        names.append((f"{function}[{parameter}]", function, f"benchmarks/test_{number // (5 * len(parameters))}.py"))
    levels = [(seeded.uniform(1, 60), seeded.uniform(0.03, 0.08), seeded.uniform(1, 20) * 2**30) for _ in names]
    steps = [
        (seeded.randrange(days), seeded.choice((0.7, 1.2, 1.5, 2.0))) if seeded.random() < 1 / 6 else None
        for _ in names
    ]
    connection = sqlite3.connect(path)
    connection.execute(f"create table test_run (id integer primary key, {', '.join(COLUMNS)})")
    insert = f"insert into test_run ({', '.join(COLUMNS)}) values ({', '.join('?' * len(COLUMNS))})"

    def rows():
        for day in range(days):
            moment = LAST - dt.timedelta(days=days - 1 - day)
            version = f"{moment.year}.{moment.month}.0+{day % 30}.g{day:07x}"
            for part in range(sessions_a_day):
                for runtime in range(runtimes):
                    session = uuid.UUID(int=seeded.getrandbits(128)).hex
                    start = moment + dt.timedelta(hours=24 / sessions_a_day * part)
                    for (name, function, file), (level, cv, memory), step in zip(names, levels, steps, strict=True):
                        shift = step[1] if step is not None and day >= step[0] else 1.0
                        duration = level * shift * seeded.lognormvariate(0, cv)
                        start += dt.timedelta(seconds=2)
                        failed = seeded.random() < 0.01
                        yield (
                            session, name, function, file, "passed", "failed" if failed else "passed", "passed", "upstream",
                            version, version, PYTHONS[runtime], "linux", str(start),
                            str(start + dt.timedelta(seconds=duration)), duration, memory * 0.6,
                            memory * seeded.lognormvariate(0, 0.02), duration * 6, duration * 0.02 * seeded.random(),
                            duration * 0.1 * seeded.random(), duration * 0.5 * seeded.random(), 0.2 + 0.2 * seeded.random(),
                            2**30, 0.2 + 0.1 * seeded.random(), 0.1 + 0.1 * seeded.random(),
                        )  # fmt: skip

    connection.executemany(insert, rows())
    connection.commit()
    count: int = connection.execute("select count(*) from test_run").fetchone()[0]
    connection.close()
    return count


def add_session(path: Path) -> None:
    """The last session once more, a day later."""
    connection = sqlite3.connect(path)
    same = [name for name in COLUMNS if name not in ("session_id", "start", "end")]
    (last,) = connection.execute("select session_id from test_run order by id desc limit 1").fetchone()
    connection.execute(
        f"insert into test_run (session_id, start, end, {', '.join(same)})"
        " select 'onemore', datetime(start, '+1 day') || '.000000',"
        f" datetime(end, '+1 day') || '.000000',"
        f" {', '.join(same)} from test_run where session_id = ?",
        (last,),
    )
    connection.commit()
    connection.close()


def crt(folder: Path, *arguments: str) -> tuple[float, float, float, dict]:
    """Run crt; seconds elapsed, seconds of CPU, peak memory in MB, its JSON."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "XDG_STATE_HOME": str(folder / "state")}
    command = [sys.executable, "-m", "coiled_runtime_cli", *arguments, "--format", "json", "--no-progress"]
    started = time.perf_counter()
    with (folder / "out.json").open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(arguments)}: {os.waitstatus_to_exitcode(status)}")
    return (
        elapsed,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1024,
        json.loads((folder / "out.json").read_text()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=250)
    parser.add_argument("--runtimes", type=int, default=3)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--sessions-a-day", type=int, default=4)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crt-scale-"))
    try:
        runs = write_history(folder / "old.db", **vars(given))
        print(f"{runs:,} runs, {(folder / 'old.db').stat().st_size / 1e6:.0f} MB in the predecessor's schema")
        print(f"{'':<34}{'elapsed':>9}{'CPU':>9}{'memory':>10}")

        def tell(title: str, result: tuple[float, float, float, dict], more: str = "") -> dict:
            elapsed, cpu, memory, document = result
            print(f"{title:<34}{elapsed:>7.1f} s{cpu:>7.1f} s{memory:>7.0f} MB  {more.format(**document)}", flush=True)
            return document

        tell("crt db import", crt(folder, "db", "import", "old.db"))
        size = (folder / "benchmark.db").stat().st_size
        written = "{written:,} files written, {unchanged:,} unchanged"
        first = tell("crt report, for the first time", crt(folder, "report", "--out", "site"), written)
        tell("crt report, nothing new", crt(folder, "report", "--out", "site"), written)
        add_session(folder / "old.db")
        crt(folder, "db", "import", "old.db")
        tell("crt report, one session more", crt(folder, "report", "--out", "site"), written)
        index = (folder / "site" / "index.html").stat().st_size
        print(f"database {size / 1e6:.0f} MB, site {first['bytes'] / 1e6:.0f} MB, index {index / 1e3:.0f} KB")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
