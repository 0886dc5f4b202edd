"""Several processes that take in the same journal, and one that is killed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from one_session import BENCHMARK, CLUSTER, END, ENVIRONMENT, RUN, SESSION, one
from sqlalchemy import text

from coiled_runtime_cli.core.record import encode
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest

if TYPE_CHECKING:
    from pathlib import Path

_INGEST = """
import sys
from pathlib import Path
from coiled_runtime_cli.core.record import decode
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest
lines = [decode(line) for line in Path(sys.argv[2]).read_text().splitlines()]
engine = open_database(sys.argv[1])
"""

_KILLED = """
import os, signal
from sqlalchemy import event
left = int(sys.argv[3])
@event.listens_for(engine, "after_cursor_execute")
def count(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def _journal(path: Path, count: int) -> Path:
    runs = [replace(RUN, uuid=f"r{number}", benchmark=f"a.py::t[{number % 9}]") for number in range(count)]
    path.write_text("".join(encode(line) + "\n" for line in [SESSION, ENVIRONMENT, BENCHMARK, CLUSTER, *runs, END]))
    return path


def test_processes_that_ingest_the_same_journal_at_once_store_each_run_once(any_database: str, tmp_path: Path) -> None:
    engine = open_database(any_database)
    journal = _journal(tmp_path / "a.jsonl", 500)
    command = [sys.executable, "-c", _INGEST + "print(ingest(engine, lines).runs_new)", any_database, str(journal)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    printed = [process.communicate(timeout=120)[0] for process in processes]
    assert sorted(printed) == ["0\n", "0\n", "0\n", "500\n"]
    assert one(engine, "select count(*) as n from test_run").n == 500
    engine.dispose()


def test_a_process_killed_anywhere_in_an_ingest_leaves_nothing_of_the_session(
    empty_database: Path, tmp_path: Path
) -> None:
    journal = _journal(tmp_path / "a.jsonl", 2000)
    killed = 0
    for statements in (1, 3, 7, 12, 17, 20, 23, 26, 29, 32, 40, 60):
        path = tmp_path / f"{statements}.db"
        shutil.copyfile(empty_database, path)
        script = _INGEST + _KILLED + "ingest(engine, lines)"
        done = subprocess.run([sys.executable, "-c", script, str(path), str(journal), str(statements)], timeout=60)
        engine = open_database(str(path))
        runs = one(engine, "select (select count(*) from run) + (select count(*) from session) as n").n
        if done.returncode == -signal.SIGKILL:
            killed += 1
            assert runs == 0
        else:
            assert (done.returncode, runs) == (0, 2001)
        ingest(engine, [RUN])
        with engine.connect() as connection:
            assert connection.scalar(text("PRAGMA integrity_check")) == "ok"
    assert killed >= 8
