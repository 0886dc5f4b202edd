"""Break crt on purpose, at many moments, and see what is left: is a finished run lost, or there twice?

Every command that does work is run as a user types it, in a folder of its own, and something happens to it: a signal, a full or
read-only disk, a clock that jumps back, a network that fails, a locked database, a file that is half there. Then the next plain
command is run, then the same one again, and then all that is promised in docs/reliability.md is checked. One seed makes the
same plan: moments are numbers of the process's own actions (files opened to write, renamed, removed, connections, programs
started), or shares of the time that the command takes undisturbed.

    python .ci/faults.py --seed 1                         # the whole table, minutes
    python .ci/faults.py --only report --rounds 20        # one command, or one fault: --only disk
    python .ci/faults.py --write                          # the table, into docs/reliability.md
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import http.server
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

sys.path.extend(
    str(Path(__file__).resolve().parents[1] / "tests" / each) for each in ("sync", "db", "bisect", "commands")
)
import recorded
import slowpoke
from s3_servers import KEYS, MissingServerError, free_ports, moto_server, s3_client, seaweedfs_server

from coiled_runtime_cli import journal
from coiled_runtime_cli.core import segment
from coiled_runtime_cli.core.record import TestStarted
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest

HERE = Path(__file__).resolve().parents[1]
PAGE = HERE / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"

#: Named in the environment of all that a trial starts: whoever still has it afterwards was left behind.
MARK = "FAULT_TRIAL"
#: How long what was started may outlive the command (s): pytest closes its clusters.
PATIENCE = 30.0

SIGNALS = ("kill", "ctrl-c", "ctrl-c to the process", "ctrl-c twice", "sigterm")
DISKS = ("disk full", "read-only folder")
CLOCKS = ("clock back", "clock jumps back")
NETWORK = ("no DNS", "503 SlowDown", "500", "cut connections", "half answers", "answers lost")

#: Counts what a process of crt does to the world, and strikes at the number that it was told. As sitecustomize.
HOOK = """
import os, sys
plan, begun = os.environ.pop("FAULT_PLAN", ""), os.environ.pop("FAULT_BEGUN", "")
if begun and "coiled_runtime_cli" in sys.orig_argv:
    def note(event, arguments):
        global begun
        if begun and event == "import" and arguments[0] == "coiled_runtime_cli.cli":
            file, begun = begun, ""
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT))
    sys.addaudithook(note)
if plan and "coiled_runtime_cli" in sys.orig_argv:
    count_file, at, what, again = plan.split("|")
    ACTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "shutil.copyfile", "sqlite3.connect",
            "socket.connect", "subprocess.Popen", "os.link", "os.symlink", "os.truncate"}
    WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    state = {"count": 0, "inside": False}
    strikes = [int(each) for each in (at, again) if each]
    tally = os.open(count_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if count_file else -1

    def watch(event, arguments):
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & WRITES or "__pycache__" in str(path) or path == os.devnull:
                return
        elif event not in ACTS or "__pycache__" in str(arguments[:1]):
            return
        if state["inside"]:
            return
        state["inside"] = True
        state["count"] += 1
        if tally >= 0:
            os.write(tally, b".")
        if state["count"] in strikes:
            os.kill(os.getpid() if what != "2g" else 0, {"9": 9, "2": 2, "2g": 2, "15": 15}[what])
        state["inside"] = False

    sys.addaudithook(watch)
"""


#: The time of day, moved by the seconds that a file says. (libfaketime has Python's absolute sleeps fail.)
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
    const char *name = getenv("FAULT_CLOCK");
    char text[32] = {0};
    int file = name ? open(name, O_RDONLY) : -1;
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
    close(file);
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, at);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


# -- what a trial is -------------------------------------------------------------------------------------------------


@dataclass
class Ended:
    code: int
    out: str
    err: str
    took: float


@dataclass
class Trial:
    """One folder, and the commands run in it."""

    folder: Path
    bench: Workbench
    name: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CRT_", "DB_NAME", "AWS_", "DASK_", "PYTHONPATH", "GITHUB_", "NO_COLOR", "FORCE"))
        }
        home = self.folder / "home"
        tmp = self.folder / "tmp"
        return kept | {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_DATA_HOME": str(home / "data"),
            "TMPDIR": str(tmp),
            "PYTHONPATH": f"{self.bench.hook}{os.pathsep}{HERE}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "CRT_SUITES": str(self.folder / "suites"),
            MARK: self.name,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": "us-east-1",
            **KEYS,
        }

    def start(self, arguments: list[str], *, plan: str = "", **extra: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "coiled_runtime_cli", *arguments]
        wrap = extra.pop("wrap", "")
        limit = int(extra.pop("limit", "0"))
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - read after the process
        self.began = time.monotonic()
        return subprocess.Popen(
            [*wrap.split(), *command],
            cwd=self.folder / "here",
            env=self.environment | extra | ({"FAULT_PLAN": plan} if plan else {}),
            stdin=subprocess.DEVNULL,
            stdout=self.out,
            stderr=self.err,
            start_new_session=True,
            preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None,  # noqa: PLW1509
        )

    def ended(self, process: subprocess.Popen[bytes], timeout: float = 180) -> Ended:
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        took = time.monotonic() - self.began
        texts = []
        for stream in (self.out, self.err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
            stream.close()
        return Ended(process.returncode, *texts, took)

    def run(self, arguments: list[str], **extra: str) -> Ended:
        return self.ended(self.start(arguments, **extra))

    def inside(self, arguments: list[str]) -> Ended:
        """The same in this process, without the second that a start takes: for what only looks."""
        from coiled_runtime_cli import cli

        out, err, before, place = io.StringIO(), io.StringIO(), dict(os.environ), Path.cwd()
        try:
            os.environ.clear()
            os.environ.update(self.environment)
            os.chdir(self.folder / "here")
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = cli.run(arguments)
        finally:
            os.environ.clear()
            os.environ.update(before)
            os.chdir(place)
        return Ended(code, out.getvalue(), err.getvalue(), 0.0)

    def path(self, name: str) -> Path:
        return self.folder / "here" / name

    def left(self) -> list[str]:
        """The command lines of what this trial started and still lives."""
        found = []
        for each in Path("/proc").iterdir():
            if not each.name.isdigit() or int(each.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if f"{MARK}={self.name}".encode() in (each / "environ").read_bytes().split(b"\0"):
                    status = (each / "stat").read_text().rpartition(")")[2].split()[0]
                    if status != "Z":
                        found.append((each / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:150])
        return found


@dataclass
class Workbench:
    """What all trials share: the folder, the hook, templates, the S3 server and what stands before it."""

    folder: Path
    hook: Path
    seed: int
    mounts: bool
    clock: Path | None
    proxy: Proxy | None = None
    server: str = ""
    templates: dict[str, Path] = field(default_factory=dict)
    references: dict[str, tuple[float, int, int]] = field(default_factory=dict)  # seconds, actions, bytes


class Command:
    """A command that does work. ``prepare`` fills the folder ``here``; ``problems`` says what is lost or doubled."""

    name: ClassVar[str]
    faults: ClassVar[tuple[str, ...]] = (*SIGNALS, *DISKS, *CLOCKS, "locked database")
    codes: ClassVar[tuple[int, ...]] = (0,)  # of an undisturbed one
    next: ClassVar[list[str]] = ["db", "current"]
    again: ClassVar[bool] = True
    database: ClassVar[str | None] = "benchmark.db"
    half: ClassVar[bool] = False

    def arguments(self, _trial: Trial) -> list[str]:
        raise NotImplementedError

    def prepare(self, here: Path, bench: Workbench) -> None:
        raise NotImplementedError

    def between(self, _trial: Trial) -> list[str]:
        """What is wrong after the next plain command, before this one is run again."""
        return []

    def problems(self, _trial: Trial) -> list[str]:
        return []

    def cut(self, _trial: Trial, _chance: random.Random) -> str | None:
        """Cut a file short, as a power cut leaves it; which one."""
        return None


# -- material --------------------------------------------------------------------------------------------------------

SESSIONS, RUNS = 8, 4


def fill(database: Path, sessions: range) -> None:
    engine = open_database(str(database))
    for number in sessions:
        ingest(engine, recorded.lines(number, runs=RUNS))
    engine.dispose()


def uuids(sessions: range) -> set[str]:
    return {recorded.uuid(session, number) for session in sessions for number in range(RUNS)}


def stored(database: Path, where: str = "true") -> Counter[str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return Counter(row[0] for row in connection.execute(f"select uuid from test_run where {where}"))


def compared(wanted: set[str], found: Counter[str]) -> list[str]:
    lost, doubled = wanted - set(found), [each for each, count in found.items() if count > 1]
    return [
        *(f"lost: {len(lost)} runs, {min(lost)}" for _ in lost and (1,)),
        *(f"doubled: {each}" for each in doubled[:1]),
    ]


def cut_short(file: Path, chance: random.Random) -> str:
    size = file.stat().st_size
    os.truncate(file, chance.randrange(size) if size else 0)
    return str(file.name)


SUITE = """
import os, pathlib, time, pytest

@pytest.mark.parametrize("number", range(30))
def test_small(number, request, benchmark_time):
    with pathlib.Path(os.environ["HOME"], "..", "started.log").open("a") as stream:
        stream.write(f"{os.getpid()} {request.node.name}\\n")
    with benchmark_time():
        time.sleep(0.005)
"""

PYTEST_INI = "[pytest]\naddopts = --strict-markers --import-mode=importlib\n"


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
        suites = here.parent / "suites"
        suites.mkdir()
        (suites / "pytest.ini").write_text(PYTEST_INI)
        (suites / "test_small.py").write_text(SUITE)
        open_database(str(here / "benchmark.db")).dispose()

    def arguments(self, _trial: Trial) -> list[str]:
        return ["bench", "test_small.py", "--label", "trial"]

    def between(self, trial: Trial) -> list[str]:
        # the plain command has just stored what the killed session left
        wanted = finished(trial.folder / "started.log")
        with contextlib.closing(sqlite3.connect(trial.path("benchmark.db"))) as connection:
            names = Counter(
                row[0] for row in connection.execute("select name from test_run where call_outcome = 'passed'")
            )
        (trial.folder / "started.log").unlink(missing_ok=True)
        return compared(wanted, names)

    def problems(self, trial: Trial) -> list[str]:
        with contextlib.closing(sqlite3.connect(trial.path("benchmark.db"))) as connection:
            doubled = connection.execute("select uuid from test_run group by uuid having count(*) > 1").fetchall()
            whole = connection.execute(
                "select count(*) from (select 1 from test_run where call_outcome = 'passed' group by session_id "
                "having count(*) = 30)"
            ).fetchone()[0]
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
        from coiled_runtime_cli import config

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


class SyncPush(Command):
    name = "sync push"
    faults = (*Command.faults, *NETWORK)

    def prepare(self, here: Path, _bench: Workbench) -> None:
        fill(here / "benchmark.db", range(SESSIONS))
        (here / "remote").mkdir()

    def remote(self, trial: Trial) -> list[str]:
        if "endpoint" in trial.facts:
            return ["--remote", f"s3://history/{trial.name}", "--endpoint-url", trial.facts["endpoint"]]
        return ["--remote", str(trial.path("remote"))]

    def arguments(self, trial: Trial) -> list[str]:
        return ["sync", self.name.split()[1], *self.remote(trial)]

    def seed_remote(self, trial: Trial) -> None:
        """What an S3 remote has before the trial; a folder has it from its template."""

    def store(self, trial: Trial) -> dict[str, bytes]:
        if "endpoint" in trial.facts:
            client = s3_client(trial.bench.server)
            listed = client.list_objects_v2(Bucket="history", Prefix=f"{trial.name}/segments/").get("Contents", [])
            return {
                each["Key"].removeprefix(f"{trial.name}/"): client.get_object(Bucket="history", Key=each["Key"])[
                    "Body"
                ].read()
                for each in listed
            }
        root = trial.path("remote")
        return {str(each.relative_to(root)): each.read_bytes() for each in root.glob("segments/**/*.gz")}

    def problems(self, trial: Trial) -> list[str]:
        found: Counter[str] = Counter()
        for key, packed in self.store(trial).items():
            found.update(row["uuid"] for row in segment.from_bytes(segment.unpack(key, packed)).tables["run"])
        checked = trial.inside(["sync", "verify", *self.remote(trial)])
        told = [] if checked.code == 0 else [f"broken: sync verify says {checked.code}: {checked.err[-200:]}"]
        return compared(uuids(range(SESSIONS)), found) + told


def pushed(here: Path) -> None:
    """A remote with all sessions."""
    from coiled_runtime_cli.db.shared import SharedHistory
    from coiled_runtime_cli.sharing import today
    from coiled_runtime_cli.sync.folder import FolderStore
    from coiled_runtime_cli.sync.push import push

    fill(here / "all.db", range(SESSIONS))
    (here / "remote").mkdir()
    store = FolderStore(here / "remote")
    with SharedHistory(open_database(str(here / "all.db")), store.identity) as history:
        push(store, history, history.pending(), today())
    (here / "all.db").unlink()


class SyncPull(SyncPush):
    name = "sync pull"
    half = True

    def prepare(self, here: Path, _bench: Workbench) -> None:
        pushed(here)
        open_database(str(here / "benchmark.db")).dispose()

    def seed_remote(self, trial: Trial) -> None:
        client = s3_client(trial.bench.server)
        root = trial.path("remote")
        for each in root.rglob("*"):
            if each.is_file():
                client.put_object(
                    Bucket="history", Key=f"{trial.name}/{each.relative_to(root)}", Body=each.read_bytes()
                )

    def cut(self, trial: Trial, chance: random.Random) -> str:
        files = sorted(trial.path("remote").glob("segments/**/*.gz"))
        file = chance.choice(files)
        trial.facts["whole"] = file, file.read_bytes()
        return cut_short(file, chance)

    def problems(self, trial: Trial) -> list[str]:
        told = []
        if "whole" in trial.facts:
            # with one segment damaged the others have come; whole again, it comes too
            file, content = trial.facts["whole"]
            if len(stored(trial.path("benchmark.db"))) != (SESSIONS - 1) * RUNS:
                told = ["lost: not all of the undamaged sessions came"]
            if trial.inside(["sync", "verify", *self.remote(trial)]).code == 0:
                told += ["broken: sync verify did not see the damage"]
            file.write_bytes(content)
            again = trial.run(self.arguments(trial))
            if again.code != 0:
                told += [f"broken: pull of the mended remote ends with {again.code}"]
        return told + compared(uuids(range(SESSIONS)), stored(trial.path("benchmark.db")))


class SyncPublish(SyncPull):
    name = "sync publish"
    half = False

    def problems(self, trial: Trial) -> list[str]:
        target = trial.folder / "published.db"
        if "endpoint" in trial.facts:
            s3_client(trial.bench.server).download_file("history", f"{trial.name}/benchmark.db", str(target))
        else:
            shutil.copyfile(trial.path("remote/benchmark.db"), target)
        found = compared(uuids(range(SESSIONS)), stored(target))
        checked = trial.inside(["sync", "verify", *self.remote(trial)])
        target.unlink()
        return found + ([] if checked.code == 0 else [f"broken: sync verify says {checked.code}: {checked.err[-200:]}"])


def site_problems(site: Path) -> list[str]:
    """A page that names a file which is not there, or a data file that is not whole."""
    if not site.exists():
        return []
    for page in site.rglob("*.html"):
        if any(part.startswith(".crt-building") for part in page.parts):
            continue
        for link in re.findall(r'(?:src|href)="([^"#?:]+)(?:[#?][^"]*)?"', page.read_text()):
            if not (page.parent / link).exists():
                return [f"broken: {page.relative_to(site)} names {link}, which is not there"]
    for data in site.glob("data/**/*.js"):
        if not data.read_text().endswith(");\n"):
            return [f"broken: {data.name} is half there"]
    return []


class Report(Command):
    name = "report"
    half = True

    def prepare(self, here: Path, bench: Workbench) -> None:
        fill(here / "benchmark.db", range(SESSIONS - 3))
        trial = Trial(here.parent, bench, "template-report")
        done = trial.run(self.arguments(trial))
        assert done.code == 0, done.err
        fill(here / "benchmark.db", range(SESSIONS))

    def arguments(self, _trial: Trial) -> list[str]:
        return ["report", "--out", "site"]

    def between(self, trial: Trial) -> list[str]:
        return [] if trial.facts.get("cut") else site_problems(trial.path("site"))

    def cut(self, trial: Trial, chance: random.Random) -> str:
        files = sorted(each for each in trial.path("site").rglob("*") if each.is_file() and each.stat().st_size)
        trial.facts["cut"] = chance.choice(files)
        return cut_short(trial.facts["cut"], chance)

    def problems(self, trial: Trial) -> list[str]:
        site = trial.path("site")
        told = site_problems(site)
        manifest = json.loads((site / "manifest.json").read_text())
        for name, (digest, size) in manifest["files"].items():
            content = (site / name).read_bytes()
            if len(content) != size or hashlib.blake2b(content, digest_size=12).hexdigest() != digest:
                told += [f"broken: {name} is not what the manifest says"]
        extra = [
            each for each in site.rglob("*") if each.is_file() and str(each.relative_to(site)) not in manifest["files"]
        ]
        return told + [f"leftover: {each}" for each in extra if each.name != "manifest.json"][:1]


class Import(Command):
    name = "db import"
    half = True

    def prepare(self, here: Path, _bench: Workbench) -> None:
        import test_db_import as old

        (here / "old").mkdir()
        old.write(here / "old" / "benchmark.db", old.history(sessions=8, tests=60))
        open_database(str(here / "benchmark.db")).dispose()

    def arguments(self, _trial: Trial) -> list[str]:
        return ["db", "import", "old/benchmark.db", "--db", "benchmark.db"]

    def cut(self, trial: Trial, chance: random.Random) -> str:
        trial.facts["whole"] = trial.path("old/benchmark.db").read_bytes()
        return cut_short(trial.path("old/benchmark.db"), chance)

    def problems(self, trial: Trial) -> list[str]:
        told = []
        if "whole" in trial.facts:
            trial.path("old/benchmark.db").write_bytes(trial.facts["whole"])
            again = trial.run(self.arguments(trial))
            told = (
                [] if again.code == 0 else [f"broken: the whole file is imported with {again.code}: {again.err[-300:]}"]
            )
        found = stored(trial.path("benchmark.db"))
        return told + compared(set(), found) + ([] if len(found) == 480 else [f"lost: {480 - len(found)} of 480 rows"])


class Merge(Command):
    name = "db merge"

    def prepare(self, here: Path, _bench: Workbench) -> None:
        fill(here / "benchmark.db", range(2))
        fill(here / "other.db", range(1, SESSIONS))

    def arguments(self, _trial: Trial) -> list[str]:
        return ["db", "merge", "other.db", "--db", "benchmark.db"]

    def problems(self, trial: Trial) -> list[str]:
        return compared(uuids(range(SESSIONS)), stored(trial.path("benchmark.db")))


class Prune(Command):
    name = "db prune"

    def prepare(self, here: Path, _bench: Workbench) -> None:
        fill(here / "benchmark.db", range(SESSIONS))

    def arguments(self, _trial: Trial) -> list[str]:
        return ["db", "prune", "--yes", *(f"--session=s{each}" for each in range(3))]

    codes = (0, 2)  # those sessions are not there any more

    def between(self, trial: Trial) -> list[str]:
        found = stored(trial.path("benchmark.db"))
        parts = {len([u for u in uuids(range(each, each + 1)) if u in found]) for each in range(SESSIONS)}
        return [] if parts <= {0, RUNS} else ["broken: a session is half removed"]

    def problems(self, trial: Trial) -> list[str]:
        found = stored(trial.path("benchmark.db"))
        return compared(uuids(range(3, SESSIONS)), found) + (
            [] if len(found) == (SESSIONS - 3) * RUNS else ["broken: what was to go is there"]
        )


class Upgrade(Command):
    name = "db upgrade"
    next: ClassVar[list[str]] = ["db", "check"]

    def prepare(self, here: Path, _bench: Workbench) -> None:
        from coiled_runtime_cli.db.engine import make_engine
        from coiled_runtime_cli.db.migrate import apply_migrations, migrating
        from coiled_runtime_cli.db.revisions import read_revisions

        first = min(read_revisions().known, key=lambda each: len(_ancestors(each)))
        engine = make_engine(str(here / "benchmark.db"))
        with migrating(engine) as connection:
            apply_migrations(connection, until=first)
        engine.dispose()

    def arguments(self, _trial: Trial) -> list[str]:
        return ["db", "upgrade"]

    def problems(self, trial: Trial) -> list[str]:
        checked = trial.inside(["db", "check"])
        return [] if checked.code == 0 else [f"broken: db check says {checked.err}"]


def _ancestors(revision: str) -> list[str]:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(HERE / "alembic"))
    return [each.revision for each in ScriptDirectory.from_config(config).iterate_revisions(revision, "base")]


class Accept(Command):
    name = "detect accept"

    def prepare(self, here: Path, bench: Workbench) -> None:
        import histories

        engine = open_database(str(here / "benchmark.db"))
        for number in range(40):
            ingest(
                engine,
                histories.session("main", number, {"slow": 1.0 if number < 25 else 1.5}, version=f"2026.{number}.0"),
            )
        engine.dispose()
        found = Trial(here.parent, bench, "template-detect").run(["detect", "--format", "json"])
        self.id = json.loads(found.out)["regressions"][0]["id"]

    def arguments(self, _trial: Trial) -> list[str]:
        return ["detect", "accept", self.id, "--reason", "meant so"]

    def problems(self, trial: Trial) -> list[str]:
        found = trial.inside(["detect", "--format", "json"])
        states = [each["state"] for each in json.loads(found.out)["regressions"]]
        return [] if states in ([], ["accepted"]) else [f"lost: what was accepted is {states}"]


class DataMake(Command):
    name = "data make"
    faults = (*SIGNALS, *DISKS, *CLOCKS)
    database = None
    half = True
    next: ClassVar[list[str]] = ["data", "list", "--scale", "smoke"]

    def prepare(self, here: Path, _bench: Workbench) -> None:
        suites = here.parent / "suites"
        suites.mkdir()
        (suites / "pytest.ini").write_text(PYTEST_INI)

    def arguments(self, _trial: Trial) -> list[str]:
        return ["data", "make", "nex_gddp", "--scale", "smoke", "-n", "2"]

    def cut(self, trial: Trial, chance: random.Random) -> str:
        done = trial.run(self.arguments(trial))
        assert done.code == 0, done.err
        files = sorted(each for each in (trial.folder / "home").rglob("*") if each.is_file() and each.stat().st_size)
        return cut_short(chance.choice(files), chance)

    def problems(self, trial: Trial) -> list[str]:
        checked = trial.inside(["data", "verify", "nex_gddp", "--scale", "smoke"])
        return (
            []
            if checked.code == 0
            else [f"broken: data verify says {checked.code}: {checked.out[-200:]}{checked.err[-200:]}"]
        )


class Ab(Command):
    name = "ab run"
    faults = (*SIGNALS, "disk full", "clock jumps back")
    codes = (0, 5)

    def prepare(self, here: Path, _bench: Workbench) -> None:
        suites = here.parent / "suites"
        suites.mkdir()
        (suites / "pytest.ini").write_text(PYTEST_INI)
        (suites / "test_timed.py").write_text(
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


class Build(Command):
    name = "build"
    faults = (*SIGNALS, *DISKS, *CLOCKS)
    database = None
    half = True
    next: ClassVar[list[str]] = ["config", "show"]

    def prepare(self, here: Path, _bench: Workbench) -> None:
        shutil.copytree(HERE / "recipe", here / "recipe")

    def arguments(self, _trial: Trial) -> list[str]:
        return ["build"]

    def cut(self, trial: Trial, chance: random.Random) -> str:
        done = trial.run(self.arguments(trial))
        assert done.code == 0, done.err
        files = sorted(each for each in trial.path("dist").rglob("*") if each.is_file() and each.stat().st_size)
        return cut_short(chance.choice(files), chance)

    def problems(self, trial: Trial) -> list[str]:
        listed = json.loads(trial.path("dist/conda/noarch/repodata.json").read_text())
        packages = listed.get("packages", {}) | listed.get("packages.conda", {})
        told = []
        for name, entry in packages.items():
            file = trial.path(f"dist/conda/noarch/{name}")
            if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != entry["sha256"]:
                told.append(f"broken: {name} is not what the channel says")
        return told or ([] if packages else ["lost: the channel lists no package"])


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
        suites = here.parent / "suites"
        suites.mkdir()
        (suites / "pytest.ini").write_text(PYTEST_INI)
        (suites / "test_clustered.py").write_text(CLUSTER_SUITE)
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


#: The quick ones first.
COMMANDS: tuple[Command, ...] = (
    Recovery(), SyncPush(), SyncPull(), SyncPublish(), Import(), Merge(), Prune(), Upgrade(), Accept(), Report(),
    Build(), DataMake(), BenchCluster(), Bench(), Bisect(), Ab(),
)  # fmt: skip


# -- the network that fails ------------------------------------------------------------------------------------------


class Proxy:
    """Stands before the S3 server; some requests meet what ``fault`` says."""

    def __init__(self, server: str) -> None:
        self.server = server.removeprefix("http://")
        self.fault, self.rate, self.chance = "", 0.0, random.Random(0)
        self.lock = threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with proxy.lock:
                    struck = bool(proxy.fault) and proxy.chance.random() < proxy.rate
                    place = proxy.chance.random()
                if struck and proxy.fault in ("503 SlowDown", "500"):
                    code, name = (503, "SlowDown") if proxy.fault.startswith("503") else (500, "InternalError")
                    text = f"<?xml version='1.0'?><Error><Code>{name}</Code><Message>wait</Message></Error>".encode()
                    self.send_response(code)
                    self.send_header("Content-Type", "application/xml")
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(text)
                    return
                if struck and proxy.fault == "cut connections":
                    self.close_connection = True
                    self.connection.close()
                    return
                link = http.client.HTTPConnection(proxy.server, timeout=30)
                link.request(self.command, self.path, body=body, headers=dict(self.headers))
                answer = link.getresponse()
                content = answer.read()
                link.close()
                if struck and proxy.fault == "answers lost":
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(content)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                if struck and proxy.fault == "half answers" and content:
                    self.wfile.write(content[: int(place * len(content))])
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.close()
                    return
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815

        (port,) = free_ports(1)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self.http = Server(("127.0.0.1", port), Handler)
        self.address = f"http://127.0.0.1:{port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


# -- one trial -------------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    command: str
    fault: str
    moment: str
    code: int
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    @property
    def survived(self) -> bool:
        return not (self.lost or self.doubled or self.tracebacks or self.codes or self.leftovers)


def template(command: Command, bench: Workbench) -> Path:
    if command.name not in bench.templates:
        folder = bench.folder / "templates" / command.name
        for name in ("here", "home", "tmp"):
            (folder / name).mkdir(parents=True)
        command.prepare(folder / "here", bench)
        bench.templates[command.name] = folder
    return bench.templates[command.name]


def size_of(folder: Path) -> int:
    return sum(
        -(-each.stat().st_size // 4096) * 4096 for each in folder.rglob("*") if each.is_file() and not each.is_symlink()
    )


def reference(command: Command, bench: Workbench) -> tuple[float, int, int]:
    """How long it takes undisturbed, how many actions and how many bytes."""
    if command.name not in bench.references:
        with trial_in(command, bench, "reference") as trial:
            arguments = command.arguments(trial)
            before = size_of(trial.folder)
            count = bench.folder / "count"
            count.unlink(missing_ok=True)
            if isinstance(command, BenchCluster):
                (trial.folder / "what").write_text("nothing")
            done = trial.ended(trial.start(arguments, plan=f"{count}|||"))
            if done.code not in command.codes:
                raise SystemExit(f"{command.name} ends with {done.code} undisturbed:\n{done.err}")
            trial.run(command.next)
            wrong = command.between(trial) + command.problems(trial)
            if wrong:
                raise SystemExit(f"{command.name} is wrong undisturbed: {wrong}\n{done.out}\n{done.err}")
            actions = count.stat().st_size if count.exists() else 0
            bench.references[command.name] = done.took, actions, max(4096, size_of(trial.folder) - before)
    return bench.references[command.name]


@contextlib.contextmanager
def trial_in(command: Command, bench: Workbench, name: str, *, disk: bool = False) -> Any:
    folder = bench.folder / "trials" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if disk:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m", "crt-faults", folder], check=True)
    try:
        shutil.copytree(template(command, bench), folder, dirs_exist_ok=True, symlinks=True)
        trial = Trial(folder, bench, name)
        yield trial
    finally:
        deadline = time.monotonic() + 5
        while (
            disk and subprocess.run(["umount", folder], capture_output=True).returncode and time.monotonic() < deadline
        ):
            time.sleep(0.2)
        shutil.rmtree(folder, ignore_errors=True)


def strike(command: Command, fault: str, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    """Run the command under the fault; how it ended, and when the fault came."""
    if fault in SIGNALS:
        return with_signal(command, fault, trial, chance)
    if fault in DISKS:
        return with_disk(command, fault, trial, chance)
    if fault in CLOCKS:
        return with_clock(command, fault, trial, chance)
    if fault in NETWORK:
        return with_network(command, fault, trial, chance)
    if fault == "locked database":
        return with_lock(command, trial, chance)
    if fault == "killed test process":
        return with_killed_tests(command, trial, chance)
    if fault == "half-written file":
        name = command.cut(trial, chance)
        return trial.run(command.arguments(trial)), f"{name}"
    (trial.folder / "what").write_text(fault)
    return trial.run(command.arguments(trial)), "in the second of three tests"


def with_signal(command: Command, fault: str, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    seconds, actions, _ = reference(command, trial.bench)
    what = {"kill": "9", "ctrl-c": "2g", "ctrl-c to the process": "2", "ctrl-c twice": "2", "sigterm": "15"}[fault]
    number = {"9": signal.SIGKILL, "15": signal.SIGTERM}.get(what, signal.SIGINT)
    second = chance.choice((0.0, 0.01, 0.1, 0.5)) if fault.endswith("twice") else None
    if chance.random() < 0.6 and actions:
        at = chance.randint(1, actions)
        later = str(at + chance.randint(1, 4)) if second is not None and chance.random() < 0.6 else ""
        process = trial.start(command.arguments(trial), plan=f"|{at}|{what}|{later}")
        if second is not None and not later:
            _after(process, second + seconds * at / actions, number)
        return trial.ended(process), f"action {at}{f' and {later}' if later else ''} of {actions}"
    # before Python has come as far as crt it says itself what it thinks of a signal
    moment = chance.uniform(0, seconds)
    begun = trial.folder / "begun"
    process = trial.start(command.arguments(trial), FAULT_BEGUN=str(begun))
    while not begun.exists() and process.poll() is None:
        time.sleep(0.005)
    time.sleep(moment)
    for wait in (0.0, *(() if second is None else (second,))):
        time.sleep(wait)
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if what == "2g" else os.kill)(process.pid, number)
    return trial.ended(process), f"{moment:.2f} s of {seconds:.2f}"


def with_disk(command: Command, fault: str, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    _, _, growth = reference(command, trial.bench)
    if fault == "disk full":
        room = int(chance.uniform(0, 1.1) * growth) // 4096 * 4096
        if not trial.bench.mounts:
            return trial.run(command.arguments(trial), limit=str(max(room, 4096))), f"files of {room} bytes at most"
        place = os.statvfs(trial.folder)
        _remount(trial.folder, f"size={(place.f_blocks - place.f_bfree) * place.f_frsize + room}")
        try:
            return trial.run(command.arguments(trial)), f"{room} of {growth} bytes left"
        finally:
            _remount(trial.folder, "size=512m")
    everything = (trial.folder, *trial.folder.rglob("*"))
    if trial.bench.mounts:
        _remount(trial.folder, "ro")
    else:
        for each in everything:
            each.chmod(0o555 if each.is_dir() else 0o444)
    try:
        return trial.run(command.arguments(trial)), "from the start"
    finally:
        if trial.bench.mounts:
            _remount(trial.folder, "rw")
        else:
            for each in everything:
                each.chmod(0o755 if each.is_dir() else 0o644)


def with_clock(command: Command, fault: str, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    seconds, _, _ = reference(command, trial.bench)
    offset = trial.folder / "clock"
    faked = {"LD_PRELOAD": str(trial.bench.clock), "FAULT_CLOCK": str(offset)}
    if fault == "clock back":
        days = chance.choice((1, 40, 400, 9000))
        offset.write_text(f"-{days * 86_400}")
        return trial.run(command.arguments(trial), **faked), f"{days} days"
    offset.write_text("0")
    moment = chance.uniform(0, seconds)
    process = trial.start(command.arguments(trial), **faked)
    time.sleep(moment)
    offset.write_text(f"-{3 * 86_400}")
    return trial.ended(process), f"3 days at {moment:.2f} s"


def with_lock(command: Command, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    held = chance.uniform(0.2, 2.0)
    lock = sqlite3.connect(trial.path(str(command.database)), isolation_level=None)
    lock.execute("begin exclusive")
    process = trial.start(command.arguments(trial))
    time.sleep(held)
    lock.execute("rollback")
    lock.close()
    return trial.ended(process), f"{held:.1f} s"


def with_network(command: Command, fault: str, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    assert isinstance(command, SyncPush)
    bench = trial.bench
    assert bench.proxy is not None
    trial.facts["endpoint"] = bench.server
    command.seed_remote(trial)
    if fault == "no DNS":
        trial.facts["endpoint"] = "http://no-such-host.invalid:8333"
        apart = chance.random() < 0.5 and bench.mounts
        done = trial.run(command.arguments(trial), wrap="unshare -n" if apart else "")
        trial.facts["endpoint"] = bench.server
        return done, "no network at all" if apart else "an address that nobody knows"
    trial.facts["endpoint"] = bench.proxy.address
    bench.proxy.chance = random.Random(chance.random())
    bench.proxy.fault, bench.proxy.rate = fault, chance.choice((0.1, 0.3, 0.6, 1.0))
    try:
        return trial.run(command.arguments(trial)), f"{bench.proxy.rate:.0%} of the requests"
    finally:
        bench.proxy.fault = ""
        trial.facts["endpoint"] = bench.server


def with_killed_tests(command: Command, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    target = chance.randint(1, 29)
    process = trial.start(command.arguments(trial))
    log = trial.folder / "started.log"
    while process.poll() is None and (not log.exists() or log.read_bytes().count(b"\n") < target):
        time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError, IndexError, OSError):
        os.kill(int(log.read_text().splitlines()[-1].split()[0]), signal.SIGKILL)
    return trial.ended(process), f"in test {target} of 30"


def _after(process: subprocess.Popen[bytes], seconds: float, number: int) -> None:
    def send() -> None:
        time.sleep(seconds)
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)

    threading.Thread(target=send, daemon=True).start()


def _remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", folder], check=True)


def allowed(command: Command, fault: str) -> set[int]:
    usual = set(command.codes)
    if fault == "kill":
        return usual | {-9}
    if fault in SIGNALS:
        # what comes while Python ends, the work being done, ends it: a shell says 130 and 143
        return usual | {130, -15 if fault == "sigterm" else -2}
    if fault == "disk full":  # where the remote is a folder, that is what was full
        return usual | ({3, 4} if isinstance(command, SyncPush) else {3})
    if fault == "read-only folder":
        return usual | {2, 3, 4}
    if fault in NETWORK:
        return {4} if fault == "no DNS" else usual | {4}
    if fault == "half-written file":
        return usual | {2, 3, 4}
    if fault == "killed test process":
        return {1}
    return usual


def judge(outcome: Outcome, what: str, ended: Ended) -> None:
    text = ended.err + ended.out
    for sign in (
        "Traceback (most recent call last)",
        "this is a bug in crt",
        "Exception ignored",
        "Fatal Python error",
    ):
        if sign in text:
            outcome.tracebacks.append(f"{what}: {text[max(0, text.index(sign) - 200) :][-1500:]}")
            break


def one(command: Command, fault: str, bench: Workbench, number: int) -> Outcome:
    chance = random.Random(f"{bench.seed}-{command.name}-{fault}-{number}")
    name = re.sub(r"[^a-z0-9]+", "-", f"{command.name} {fault} {number}")
    disk = bench.mounts and fault in DISKS
    reference(command, bench)
    with trial_in(command, bench, name, disk=disk) as trial:
        first, moment = strike(command, fault, trial, chance)
        outcome = Outcome(command.name, fault, moment, first.code)
        judge(outcome, "struck", first)
        if first.code not in allowed(command, fault):
            outcome.codes.append(f"{first.code}: {first.err[-600:]}")
        deadline = time.monotonic() + PATIENCE
        while (left := trial.left()) and time.monotonic() < deadline:
            time.sleep(0.05)
        outcome.leftovers += [f"process {each}" for each in left]
        plain = trial.run(command.next)
        judge(outcome, "next", plain)
        if plain.code != 0 and not (isinstance(command, Upgrade) and plain.code in (1, 2)):
            outcome.codes.append(f"next command: {plain.code}: {plain.err[-600:]}")
        sort(outcome, command.between(trial))
        trial.facts["second"] = True
        if command.again:
            again = trial.run(command.arguments(trial))
            judge(outcome, "again", again)
            fine = {*command.codes, *((2, 3, 4) if fault == "half-written file" and "whole" in trial.facts else ())}
            if again.code not in fine:
                outcome.codes.append(f"again: {again.code}: {again.err[-600:]}")
        sort(outcome, command.problems(trial))
        if command.database is not None:
            database = trial.path(command.database)
            with contextlib.closing(sqlite3.connect(database)) as connection:
                if connection.execute("pragma integrity_check").fetchall() != [("ok",)]:
                    outcome.lost.append("broken: integrity_check")
            if (checked := trial.inside(["db", "check"])).code != 0:
                outcome.lost.append(f"broken: db check: {checked.err}")
        strange = [each for each in trial.folder.rglob("*") if odd(each, trial)]
        if fault != "kill":
            # Dask's folder for spilling stays, empty or with the locks that guard it
            strange += [each for each in (trial.folder / "tmp").rglob("*") if not of_dask(each)]
        outcome.leftovers += [str(each.relative_to(trial.folder)) for each in strange]
    return outcome


def of_dask(path: Path) -> bool:
    return path.name == "dask-scratch-space" or (path.parent.name == "dask-scratch-space" and path.suffix == ".lock")


def odd(path: Path, trial: Trial) -> bool:
    """A file that nobody asked for, and that the command after the fault should have removed."""
    if (trial.folder / "tmp") in path.parents:
        return False
    return path.name.endswith((".part", "-journal", "-wal", "-shm", ".tmp", ".damaged")) or (
        path.name.startswith(".crt-") and path.name != ".crt-ab"
    )


def sort(outcome: Outcome, problems: list[str]) -> None:
    for each in problems:
        kind = each.partition(":")[0]
        {"lost": outcome.lost, "broken": outcome.lost, "doubled": outcome.doubled, "leftover": outcome.leftovers}[
            kind
        ].append(each)


# -- the table -------------------------------------------------------------------------------------------------------

COLUMNS = ("command", "fault", "tries", "survived", "lost", "doubled", "tracebacks", "wrong codes", "leftovers")


def rows_of(outcomes: list[Outcome]) -> list[tuple[str, ...]]:
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for each in outcomes:
        groups[each.command, each.fault].append(each)
    found = []
    for (command, fault), group in groups.items():
        counts = [len(group), sum(each.survived for each in group)]
        counts += [
            sum(bool(getattr(each, name)) for each in group)
            for name in ("lost", "doubled", "tracebacks", "codes", "leftovers")
        ]
        found.append((command, fault, *map(str, counts)))
    return found


def table(outcomes: list[Outcome], format_: str) -> str:
    if format_ == "json":
        faults = [dict(zip(COLUMNS, row, strict=True)) for row in rows_of(outcomes)]
        failed = [vars(each) | {"survived": False} for each in outcomes if not each.survived]
        return json.dumps({"schema": 1, "faults": faults, "failures": failed}, indent=2)
    rows = [COLUMNS, *rows_of(outcomes)]
    total = [sum(int(row[place]) for row in rows[1:]) for place in range(2, len(COLUMNS))]
    rows.append(("all", "", *map(str, total)))
    if format_ == "markdown":
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([lines[0], "|---|---|" + "---:|" * 7, *lines[1:]])
    widths = [max(len(row[place]) for row in rows) for place in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def write(text: str, told: str) -> None:
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{told}\n\n{text}\n\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1, help="trials of each command and fault")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a command, a fault, or COMMAND:FAULT"
    )
    parser.add_argument(
        "--minutes", type=float, default=0, help="begin no trial later than this; 0: as long as it takes"
    )
    parser.add_argument("--format", choices=("table", "json", "markdown"), default="table")
    parser.add_argument("--write", action="store_true", help="the table into docs/reliability.md")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server and the mounts go away
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs this in the background has it ignored
    root = Path(tempfile.mkdtemp(prefix="crt-faults-"))
    (root / "hook").mkdir()
    (root / "hook" / "sitecustomize.py").write_text(HOOK)
    mounts = os.geteuid() == 0 and shutil.which("mount") is not None and can_mount(root)
    bench = Workbench(root, root / "hook", options.seed, mounts, clock_in(root))
    plan = [
        (command, fault)
        for command in COMMANDS
        for fault in (*command.faults, *(("half-written file",) if command.half else ()))
        if wanted(command.name, fault, options.only)
    ]
    missing = set()
    if bench.clock is None:
        missing.add("clocks: no C compiler for what stands before the C library")
        plan = [each for each in plan if each[1] not in CLOCKS]
    began = time.monotonic()
    outcomes: list[Outcome] = []
    with contextlib.ExitStack() as stack:
        if any(fault in NETWORK for _, fault in plan):
            try:
                bench.server = stack.enter_context(seaweedfs_server())
            except MissingServerError:
                bench.server = stack.enter_context(moto_server())
                s3_client(bench.server).create_bucket(Bucket="history")
            bench.proxy = Proxy(bench.server)
        try:
            for number in range(options.rounds):
                for command, fault in plan:
                    if options.minutes and time.monotonic() - began > 60 * options.minutes:
                        missing.add(f"{command.name}, {fault} (round {number + 1}): out of time")
                        continue
                    outcome = one(command, fault, bench, number)
                    outcomes.append(outcome)
                    show(outcome)
        finally:
            shutil.rmtree(root, ignore_errors=True)
    print(table(outcomes, options.format))
    disk = "a small tmpfs" if mounts else "RLIMIT_FSIZE"
    took = (time.monotonic() - began) / 60
    print(
        f"seed {options.seed}, {options.rounds} rounds, {len(outcomes)} trials in {took:.1f} minutes; full disk: {disk}",
        file=sys.stderr,
    )
    for each in sorted(missing):
        print(f"not tried: {each}", file=sys.stderr)
    if options.write:
        write(
            table(outcomes, "markdown"),
            f"`python .ci/faults.py --seed {options.seed} --rounds {options.rounds} --write`: {len(outcomes)} trials in "
            f"{took:.0f} minutes. "
            f"A full disk was {disk}.",
        )
    sys.exit(0 if all(each.survived for each in outcomes) else 1)


def wanted(command: str, fault: str, only: list[str]) -> bool:
    return not only or any(each in (command, fault, f"{command}:{fault}") for each in only)


def clock_in(root: Path) -> Path | None:
    """What a process loads to have its own time of day; None where nothing can be compiled."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    (root / "clock.c").write_text(CLOCK)
    command = [compiler, "-shared", "-fPIC", "-o", root / "clock.so", root / "clock.c", "-ldl"]
    return root / "clock.so" if subprocess.run(command, capture_output=True).returncode == 0 else None


def can_mount(root: Path) -> bool:
    probe = root / "probe"
    probe.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "crt-faults", probe], capture_output=True)
    if done.returncode == 0:
        subprocess.run(["umount", probe], check=True)
    return done.returncode == 0


def show(outcome: Outcome) -> None:
    word = "survived" if outcome.survived else "BROKEN"
    print(f"{outcome.command}, {outcome.fault} ({outcome.moment}): {outcome.code}, {word}", file=sys.stderr, flush=True)
    for name in ("lost", "doubled", "tracebacks", "codes", "leftovers"):
        for text in getattr(outcome, name):
            print(f"  {name}: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
