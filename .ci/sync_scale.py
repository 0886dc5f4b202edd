"""What sharing a long history costs: the first push, a push of one session more, pulls, publishing, merging.

    python .ci/sync_scale.py                       # 1,095,000 runs: 250 tests, 3 runtimes, 365 days, 4 sessions a day
    python .ci/sync_scale.py --sessions-a-day 1 --runtimes 1    # 91,250 runs

Each step is a `crt` of its own, as a user starts it, on a real S3 server (SeaweedFS, on this machine) or a folder (--folder).
Requests and bytes are those that `crt` counts. In the end the rows that were pulled elsewhere are compared with those here.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import uuid
from contextlib import closing, nullcontext
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests" / "sync"))
sys.path.insert(0, str(Path(__file__).parents[1] / "suites" / "toolkit"))
from conftest import COLUMNS, Cost, Shape, process_cost, write_history
from s3_servers import KEYS, seaweedfs_server


def crt(folder: Path, *arguments: str) -> Cost:
    """Run crt as a user does; what it took, and its JSON."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "XDG_STATE_HOME": str(folder / "state")}
    command = [sys.executable, "-m", "coiled_runtime_cli", *arguments, "--format", "json", "--no-progress"]
    out = folder / "out.json"
    cost = process_cost(command, folder, environment, out)
    return Cost(cost.elapsed, cost.processor, cost.memory, json.loads(out.read_text()))


def add_session(path: Path) -> None:
    """The last session once more, a day later."""
    with closing(sqlite3.connect(path)) as connection, connection:
        same = ", ".join(name for name in COLUMNS if name not in ("session_id", "start", "end"))
        (last,) = connection.execute("select session_id from test_run order by id desc limit 1").fetchone()
        connection.execute(
            f"insert into test_run (session_id, start, end, {same}) select 'onemore', datetime(start, '+1 day') || '.000000',"
            f" datetime(end, '+1 day') || '.000000', {same} from test_run where session_id = ?",
            (last,),
        )


def some_new_rows(path: Path, history: Path, count: int) -> None:
    """Another laptop's database of the predecessor: its newest rows, as runs of sessions of its own."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("attach ? as history", (str(history),))
        connection.execute(f"create table test_run (id integer primary key, {', '.join(COLUMNS)})")
        same = [name for name in COLUMNS if name != "session_id"]
        connection.create_function("other", 1, lambda session: uuid.uuid5(uuid.NAMESPACE_OID, session).hex)
        connection.execute(
            f"insert into test_run (session_id, {', '.join(same)}) select other(session_id), {', '.join(same)} "
            "from history.test_run order by id desc limit ?",
            (count,),
        )


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("select * from test_run order by uuid").fetchall()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=250)
    parser.add_argument("--runtimes", type=int, default=3)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--sessions-a-day", type=int, default=4)
    parser.add_argument("--folder", action="store_true", help="share through a folder instead of a server")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crt-scale-"))
    sizes = {name: value for name, value in vars(given).items() if name != "folder"}
    try:
        with nullcontext("") if given.folder else seaweedfs_server() as address:
            remote = folder / "remote" if given.folder else "s3://history/benchmarks"
            os.environ.update({**KEYS, "AWS_REGION": "us-east-1", "CRT_SYNC_REMOTE": str(remote)})
            if address:
                os.environ["CRT_SYNC_ENDPOINT_URL"] = address
            measure(folder, sizes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, sizes: dict[str, int]) -> None:
    runs = write_history(folder / "old.db", Shape(**sizes))
    print(f"{runs:,} runs\n{'':<44}{'elapsed':>9}{'CPU':>9}{'memory':>10}{'requests':>10}{'bytes':>14}")

    def step(title: str, *arguments: str) -> dict:
        cost = crt(folder, *arguments)
        told = cost.told
        requests, size = told.get("requests", 0), told.get("bytes", 0)
        took = f"{cost.elapsed:>7.1f} s{cost.processor:>7.1f} s{cost.memory / 2**20:>7.0f} MB"
        print(f"{title:<44}{took}{requests:>10,}{size:>14,}", flush=True)
        return told

    crt(folder, "db", "import", "old.db")
    whole = (folder / "benchmark.db").stat().st_size
    step("push of everything", "sync", "push")
    step("push of nothing new", "sync", "push")
    step("publish", "sync", "publish")
    step("publish, nothing new", "sync", "publish")
    step("pull into an empty database", "sync", "pull", "--db", "elsewhere.db")
    step("pull of nothing new", "sync", "pull", "--db", "elsewhere.db")
    add_session(folder / "old.db")
    crt(folder, "db", "import", "old.db")
    one = step("push of one session more", "sync", "push")
    assert one["pushed"] == 1, one
    print(f"    {one['bytes'] / whole:.4%} of the {whole:,} bytes of the database")
    step("pull of it", "sync", "pull", "--db", "elsewhere.db")
    nothing = step("pull of nothing new", "sync", "pull", "--db", "elsewhere.db")
    assert nothing["pulled"] == 0, nothing
    assert nothing["requests"] <= 3, nothing
    step("status", "sync", "status")
    some_new_rows(folder / "other-old.db", folder / "old.db", 10_000)
    crt(folder, "db", "import", "other-old.db", "--db", "other.db")
    merged = step("merge of 10,000 rows of another database", "db", "merge", "other.db", "--db", "elsewhere.db")
    again = step("merge of the same again", "db", "merge", "other.db", "--db", "elsewhere.db")
    assert (merged["new"], again["new"]) == (10_000, 0), (merged, again)
    crt(folder, "db", "merge", "other.db")
    here, there = rows(folder / "benchmark.db"), rows(folder / "elsewhere.db")
    assert here == there
    print(f"{len(there):,} rows elsewhere, equal to those here")


if __name__ == "__main__":
    main()
