"""The commands that measure: bench, with and without a cluster, what is stored after a killed one, ab, bisect."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

import recorded
import slowpoke

from coiled_runtime_cli import config, journal
from coiled_runtime_cli.core.record import TestStarted
from coiled_runtime_cli.db.engine import open_database

from .runs import compared, cut_short, stored, suites_in
from .trial import SIGNALS, Command, Trial, Workbench

if TYPE_CHECKING:
    import random
    from pathlib import Path

SUITE = """
import os, pathlib, time, pytest

@pytest.mark.parametrize("number", range(30))
def test_small(number, request, benchmark_time):
    with pathlib.Path(os.environ["HOME"], "..", "started.log").open("a") as stream:
        stream.write(f"{os.getpid()} {request.node.name}\\n")
    with benchmark_time():
        time.sleep(0.005)
"""


def finished(log: Path) -> set[str]:
    """The tests after which their process began another one: those had finished, whatever happened then."""
    last: dict[str, str] = {}
    found = set()
    for line in log.read_text().splitlines() if log.exists() else []:
        process, _, name = line.partition(" ")
        if process in last:
            found.add(last[process])
        last[process] = name
    return found


class Bench(Command):
    name = "bench"
    faults = (*Command.faults, "killed test process")

    def prepare(self, here: Path, _bench: Workbench) -> None:
        (suites_in(here) / "test_small.py").write_text(SUITE)
        open_database(str(here / "benchmark.db")).dispose()

    def arguments(self, _trial: Trial) -> list[str]:
        return ["bench", "test_small.py", "--label", "trial"]

    def rows(self, trial: Trial, question: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(trial.path("benchmark.db"))) as connection:
            return connection.execute(question).fetchall()

    def between(self, trial: Trial) -> list[str]:
        # the plain command has just stored what the killed session left
        wanted = finished(trial.folder / "started.log")
        names = Counter(row[0] for row in self.rows(trial, "select name from test_run where call_outcome = 'passed'"))
        (trial.folder / "started.log").unlink(missing_ok=True)
        return compared(wanted, names)

    def problems(self, trial: Trial) -> list[str]:
        doubled = self.rows(trial, "select uuid from test_run group by uuid having count(*) > 1")
        whole = self.rows(
            trial,
            "select session_id from test_run where call_outcome = 'passed' group by session_id having count(*) = 30",
        )
        left = journal.pending(trial.path(".crt/runs")) or list(trial.path(".").glob("*runs/*"))
        return (
            [f"doubled: {each}" for each in doubled]
            + ([] if whole else ["lost: no whole session in the end"])
            + ([f"leftover: {left[0].name}"] if left else [])
        )


class Recovery(Command):
    """A killed session's journal, which the next command stores."""

    name = "recovery"
    half = True

    def prepare(self, here: Path, _bench: Workbench) -> None:
        open_database(str(here / "benchmark.db")).dispose()
        self._journal(here / "benchmark.db")

    def _journal(self, database: Path) -> None:
        runs = config.load({"db": str(database)}).runs
        for session in range(3):
            folder = runs / f"s{session}"
            writer = journal.Writer(folder, "main")
            for line in recorded.lines(session, runs=60, ended=False):
                writer.write(line)
            writer.write(TestStarted(uuid=f"died-{session}", benchmark="benchmarks/test_x.py::test_x[0]", at=1.7e9))
            writer.close()
        self.runs = runs.relative_to(database.parent) if runs.is_relative_to(database.parent) else runs

    def arguments(self, _trial: Trial) -> list[str]:
        return ["db", "upgrade"] if _trial.facts.get("second") else ["db", "query", "select count(*) from test_run"]

    def cut(self, trial: Trial, chance: random.Random) -> str:
        files = sorted(trial.path(str(self.runs)).rglob("*.jsonl"))
        file = chance.choice(files)
        name = cut_short(file, chance)
        whole = file.read_bytes().rpartition(b"\n")[0].splitlines()
        lines = [json.loads(each) for each in whole]
        trial.facts["wanted"] = {each["uuid"] for each in lines if each["type"] == "run"} | {
            recorded.uuid(int(each.parent.name[1:]), number) for each in files if each != file for number in range(60)
        }
        # what the cut line began is no run; what came before it is
        return name

    def problems(self, trial: Trial) -> list[str]:
        wanted = trial.facts.get("wanted") or {recorded.uuid(s, n) for s in range(3) for n in range(60)}
        left = list(trial.path(str(self.runs)).glob("*/*.jsonl")) if trial.path(str(self.runs)).exists() else []
        return compared(wanted, stored(trial.path("benchmark.db"), "uuid not like 'died%'")) + [
            f"leftover: {each}" for each in left[:1]
        ]


class Ab(Command):
    name = "ab run"
    faults = (*SIGNALS, "disk full", "clock jumps back")
    codes = (0, 5)

    def prepare(self, here: Path, _bench: Workbench) -> None:
        (suites_in(here) / "test_timed.py").write_text(
            "import time\n\ndef test_steady(benchmark_time):\n    with benchmark_time():\n        time.sleep(0.01)\n"
        )
        (here / "arms").mkdir()
        python = json.dumps(sys.executable)
        (here / "arms" / "baseline.toml").write_text(f"interpreter = {python}\n")
        (here / "arms" / "newer.toml").write_text(f"interpreter = {python}\n[config]\nab.factor = 3.0\n")
        (here / "arms" / "experiment.toml").write_text('suites = ["timed"]\nblocks = 1\nseed = 7\n')
        open_database(str(here / "benchmark.db")).dispose()

    def arguments(self, _trial: Trial) -> list[str]:
        return ["ab", "run", "arms"]

    def problems(self, trial: Trial) -> list[str]:
        with contextlib.closing(sqlite3.connect(trial.path("benchmark.db"))) as connection:
            counts = dict(connection.execute("select coiled_runtime_version, count(*) from test_run group by 1"))
        told = [f"lost: {counts}"] if len(counts) != 3 else []
        # a round that had ended when the fault came may not be measured again, but for the one that was running
        return told + ([f"doubled: {counts}"] if sum(counts.values()) > 2 * 3 + 1 else [])


class Bisect(Command):
    name = "bisect"
    faults = (*SIGNALS, "disk full", "clock jumps back")
    next: ClassVar[list[str]] = ["bisect", "--list"]

    def prepare(self, here: Path, _bench: Workbench) -> None:
        slowpoke.with_a_slow_commit(here / "clone", 4, 2, seconds=(0.02, 0.12))
        (here / "repro.py").write_text(slowpoke.COMMAND)
        open_database(str(here / "benchmark.db")).dispose()

    def arguments(self, trial: Trial) -> list[str]:
        if trial.facts.get("second"):
            with contextlib.closing(sqlite3.connect(trial.path("benchmark.db"))) as connection:
                begun = connection.execute("select count(*) from bisection").fetchone()[0]
            if begun and "no bisection is open" not in trial.run(["bisect", "--list"]).err:
                return ["bisect", "--resume", "--format", "json"]
        return [
            "bisect", "--good", "v0", "--bad", "v1", "--repo", "clone", "--metric", "stdout", "--no-verify",
            "--format", "json", "--", sys.executable, "repro.py",
        ]  # fmt: skip

    codes = (0, 2)  # resumed where it had ended: none is open

    def problems(self, trial: Trial) -> list[str]:
        with contextlib.closing(sqlite3.connect(trial.path("benchmark.db"))) as connection:
            found = [json.loads(row[0]) for row in connection.execute("select document from bisection")]
        states = [each.get("status") or each.get("state") for each in found]
        return [] if any(each in ("found", "finished", "done") for each in states) else [f"lost: it is {states}"]


CLUSTER_SUITE = """
import os, pathlib, signal, sys, time
import pytest
from distributed import get_client

WHAT = pathlib.Path(os.environ["HOME"], "..", "what").read_text()


@pytest.mark.parametrize("number", range(3))
def test_clustered(number, small_client):
    small_client.submit(lambda: 1, pure=False).result()
    if number == 1 and WHAT == "killed worker":
        pid = small_client.run(os.getpid, workers=[list(small_client.scheduler_info()["workers"])[0]])
        os.kill(next(iter(pid.values())), signal.SIGKILL)
    if number == 1 and WHAT == "killed nanny and worker":
        import psutil
        for each in psutil.Process().children(recursive=True):
            each.kill()
    if number == 1 and WHAT == "killed scheduler":
        def stop(dask_scheduler):
            import asyncio
            asyncio.get_running_loop().call_later(0.05, lambda: asyncio.ensure_future(dask_scheduler.close()))
        small_client.run_on_scheduler(stop)
        time.sleep(0.3)
    if number == 1 and WHAT == "worker out of memory":
        def eat():
            held = []
            for _ in range(100_000):
                held.append(bytearray(os.urandom(1)) * 8_000_000)
                time.sleep(0.01)
        small_client.submit(eat, retries=0).result(timeout=60)
    assert small_client.submit(lambda: 2, pure=False).result(timeout=30) == 2
"""


class BenchCluster(Command):
    """Parts of the cluster die while it is measured: the tests around it are measured, or say why they could not be."""

    name = "bench, with a cluster"
    faults = ("killed worker", "killed scheduler", "worker out of memory")
    codes = (0, 1)
    again = False

    def prepare(self, here: Path, _bench: Workbench) -> None:
        (here.parent / "what").write_text("nothing")
        (suites_in(here) / "test_clustered.py").write_text(CLUSTER_SUITE)
        (here / "crt.toml").write_text(
            '[clusters.tiny]\nkind = "local"\nn_workers = 2\nthreads_per_worker = 1\nmemory_limit = "300MiB"\n'
        )
        open_database(str(here / "benchmark.db")).dispose()

    def arguments(self, _trial: Trial) -> list[str]:
        return ["bench", "test_clustered.py", "--cluster", "tiny"]

    def problems(self, trial: Trial) -> list[str]:
        with contextlib.closing(sqlite3.connect(trial.path("benchmark.db"))) as connection:
            rows = dict(connection.execute("select name, coalesce(call_outcome, failure) from test_run").fetchall())
        before, after = rows.get("test_clustered[0]"), rows.get("test_clustered[2]") or ""
        # without a scheduler the tests of this module have no cluster any more, and their rows say so
        told = after == "passed" or "has died; the next module gets a new one" in after
        return [] if before == "passed" and told and len(rows) == 3 else [f"lost: {rows}"]
