"""What measures crt itself: its commands as a user starts them, histories of a length, and environments with other tools."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# The predecessor's columns that a history of it is made of.
COLUMNS = [
    "session_id", "name", "originalname", "path", "setup_outcome", "call_outcome", "teardown_outcome",
    "coiled_runtime_version", "dask_version", "distributed_version", "python_version", "platform", "start", "end",
    "duration", "average_memory", "peak_memory", "compute_time", "disk_spill_time", "serializing_time",
    "transfer_time", "scheduler_cpu_avg", "scheduler_memory_max", "worker_max_tick", "scheduler_max_tick",
]  # fmt: skip
PYTHONS = ("3.11.7.final.0", "3.12.1.final.0", "3.13.0.final.0")
LAST = dt.datetime(2026, 11, 20)  # noqa: DTZ001 - as the predecessor stored it: UTC without saying so


@dataclass(frozen=True)
class Shape:
    """A history: so many tests, runtimes (labels that differ in their Python), days and sessions a day."""

    tests: int
    runtimes: int
    days: int
    sessions_a_day: int = 1

    @property
    def runs(self):
        return self.tests * self.runtimes * self.days * self.sessions_a_day


#: Histories by how many runs they have.
SHAPES = {
    1_000: Shape(20, 1, 50),
    10_000: Shape(100, 1, 100),
    100_000: Shape(250, 1, 400),
    1_000_000: Shape(250, 2, 500, 4),
}


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds that passed, seconds of processor, bytes of memory at the most, and what it answered."""

    elapsed: float
    processor: float
    memory: int
    told: dict = field(default_factory=dict)


#: Starts a program and says what it took. The kernel counts the memory of whoever starts a program as the program's own, so a
#: bare interpreter does it, and not a pytest that has grown.
LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
elapsed = time.perf_counter() - began
took = [elapsed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1]
with open(sys.argv[1], "w") as stream:
    json.dump(took, stream)
"""


def process_cost(command, folder, environment, out):
    """Run a program to its end. Processor time includes that of children which it waited for; memory is of the largest one."""
    took = out.with_suffix(".took")
    launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(took), *map(str, command)]
    with out.open("wb") as stdout, out.with_suffix(".err").open("wb") as stderr:
        subprocess.run(launch, cwd=folder, env=environment, stdout=stdout, stderr=stderr, check=True)
    elapsed, processor, memory, code = json.loads(took.read_text())
    if code:
        said = out.with_suffix(".err").read_text(errors="replace") or out.read_text(errors="replace")
        pytest.fail(f"{' '.join(map(str, command))} ended with {code}: {said[-2000:]}")
    return Cost(elapsed, processor, memory * (1 if sys.platform == "darwin" else 1024))


@pytest.fixture(scope="session")
def clean_environment(tmp_path_factory):
    """Variables of a user who has configured nothing, with a home and caches of its own."""
    if sys.platform == "win32":
        pytest.skip("the processor time of a child is not known on Windows")
    pytest.importorskip("typer", reason="crt itself is measured: pip install coiled-runtime-cli")
    home = tmp_path_factory.mktemp("home")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("CRT_", "PYTEST_", "DB_", "COV_"))
    }
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # without bytecode every start-up doubles
    places = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CACHE", "CONFIG", "STATE", "DATA")}
    return {**kept, **places, "NO_COLOR": "1"}


@pytest.fixture
def run(clean_environment, test_run_benchmark, tmp_path):
    """``run(command, folder=..., variables=...)``: a program to its end, and what it took.

    The peak memory of the run is that of the largest, unless ``record_cost`` says which one is meant.
    """

    def start(command, folder=tmp_path, variables=None):
        out = tmp_path / "out"
        environment = {**clean_environment, **(variables or {})}
        cost = process_cost([str(each) for each in command], folder, environment, out)
        if test_run_benchmark is not None:
            test_run_benchmark.peak_memory = max(test_run_benchmark.peak_memory or 0, cost.memory)
        return cost

    return start


@pytest.fixture
def crt(run, tmp_path):
    """``crt("report", "--out", "site", folder=...)``: a command of crt as a user starts it, its cost and its JSON."""

    def start(*arguments, folder=tmp_path, variables=None):
        ours, rest = list(arguments), []
        if "--" in ours:
            ours, rest = ours[: ours.index("--")], ours[ours.index("--") :]
        command = [sys.executable, "-m", "coiled_runtime_cli", *ours, "--no-progress", "--format", "json", *rest]
        cost = run(command, folder, variables)
        return Cost(cost.elapsed, cost.processor, cost.memory, json.loads((tmp_path / "out").read_text()))

    return start


@pytest.fixture
def record_cost(record_metric, test_run_benchmark):
    """``record_cost(cost)``: duration and peak memory of the run are those of the process; its processor time is a metric."""

    def record(cost):
        if test_run_benchmark is not None:
            test_run_benchmark.timed, test_run_benchmark.duration = True, cost.elapsed  # and not the test as a whole
            test_run_benchmark.end = time.time()
            test_run_benchmark.start = test_run_benchmark.end - cost.elapsed
            test_run_benchmark.peak_memory = cost.memory
        record_metric("processor_time", cost.processor, unit="s")

    return record


@pytest.fixture
def alternate():
    """``alternate({"one": f, "other": g}, rounds)``: calls them in turn, in random order, and returns their answers by name.

    What is to be compared is measured side by side: a machine that gets slower does so for all of them.
    """

    def rounds_of(arms, rounds, seed=0):
        chance = random.Random(seed)
        found = {name: [] for name in arms}
        for _ in range(rounds):
            names = list(arms)
            chance.shuffle(names)
            for name in names:
                found[name].append(arms[name]())
        return found

    return rounds_of


@pytest.fixture
def record_ratio(record_metric):
    """``record_ratio("ratio_to_asv", ours, theirs)``: of medians, of values measured in turn; below 1, ours takes less."""

    def record(name, ours, theirs):
        record_metric(name, statistics.median(ours) / statistics.median(theirs), unit="ratio")

    return record


def write_history(path, shape, *, parameters=("tasks", "p2p", "disk"), seed=0):
    """Write a database of the predecessor: noise of 3 to 8 %, one test in six with a step, one run in a hundred failed."""
    seeded = random.Random(seed)
    names = []
    for number in range(shape.tests):
        function, parameter = f"test_{number // len(parameters)}", parameters[number % len(parameters)]
        names.append((f"{function}[{parameter}]", function, f"benchmarks/test_{number // (5 * len(parameters))}.py"))
    levels = [(seeded.uniform(1, 60), seeded.uniform(0.03, 0.08), seeded.uniform(1, 20) * 1e9) for _ in names]
    steps = [
        (seeded.randrange(shape.days), seeded.choice((0.7, 1.2, 1.5, 2.0))) if seeded.random() < 1 / 6 else None
        for _ in names
    ]

    def rows():
        for day in range(shape.days):
            moment = LAST - dt.timedelta(days=shape.days - 1 - day)
            version = f"{moment.year}.{moment.month}.0+{day % 30}.g{day:07x}"
            for part in range(shape.sessions_a_day):
                for runtime in range(shape.runtimes):
                    session = uuid.UUID(int=seeded.getrandbits(128)).hex
                    start = moment + dt.timedelta(hours=24 / shape.sessions_a_day * part)
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
                            1e9, 0.2 + 0.1 * seeded.random(), 0.1 + 0.1 * seeded.random(),
                        )  # fmt: skip

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"create table test_run (id integer primary key, {', '.join(COLUMNS)})")
        connection.executemany(
            f"insert into test_run ({', '.join(COLUMNS)}) values ({', '.join('?' * len(COLUMNS))})", rows()
        )
        return connection.execute("select count(*) from test_run").fetchone()[0]


@pytest.fixture(params=list(SHAPES), ids=[f"1e{len(str(runs)) - 1}" for runs in SHAPES])
def shape(request, scale):
    """A history of 1,000 to 1,000,000 runs, as long as the scale goes."""
    longest = scale.count(smoke=1_000, laptop=100_000, full=1_000_000)
    if request.param > longest:
        pytest.skip(f"a history of {request.param:,} runs is longer than the {longest:,} of --scale {scale.name}")
    return SHAPES[request.param]


@pytest.fixture(scope="session")
def predecessor(tmp_path_factory):
    """``predecessor(shape)``: a database of the predecessor with a history of that shape, made once."""
    made = {}

    def make(shape):
        if shape not in made:
            made[shape] = tmp_path_factory.mktemp("predecessor") / "old.db"
            assert write_history(made[shape], shape) == shape.runs
        return made[shape]

    return make


@pytest.fixture(scope="session")
def imported(predecessor, clean_environment, tmp_path_factory):
    """``imported(shape)``: ``benchmark.db`` with that history, made once; to be copied by who writes to it."""
    made = {}

    def make(shape):
        if shape not in made:
            folder = tmp_path_factory.mktemp("imported")
            command = [sys.executable, "-m", "coiled_runtime_cli", "db", "import", str(predecessor(shape))]
            process_cost(command, folder, clean_environment, folder / "out")
            made[shape] = folder / "benchmark.db"
        return made[shape]

    return make


@pytest.fixture(scope="session")
def shape_of():
    """``shape_of(tests, days)``: a history with a session a day, of one runtime or of several."""
    return lambda tests, days, runtimes=1: Shape(tests, runtimes, days)


@pytest.fixture
def history_of(crt, tmp_path):
    """``history_of(shape, parameters)``: a folder with a history whose tests have these parameters."""

    def make(shape, parameters):
        folder = tmp_path / "parametrised"
        folder.mkdir()
        write_history(folder / "old.db", shape, parameters=parameters)
        crt("db", "import", "old.db", folder=folder)
        return folder

    return make


@pytest.fixture
def repository():
    """``repository(folder, trees)``: a new repository whose commits, a day apart, hold these files; returns the commits."""

    def make(folder, trees):
        folder.mkdir(parents=True)
        stream = []
        for day, tree in enumerate(trees):
            who = f"Somebody <somebody@example.org> {1_700_000_000 + 86_400 * day} +0000"
            stream.append(f"commit refs/heads/main\nauthor {who}\ncommitter {who}\n{_data(f'Day {day}')}")
            stream += [f"M 644 inline {name}\n{_data(text)}" for name, text in tree.items()]
        _git(folder, "init", "-q", "-b", "main")
        _git(folder, "fast-import", "--quiet", stdin="".join(stream))
        _git(folder, "reset", "-q", "--hard", "main")
        return _git(folder, "rev-list", "--reverse", "main").split()

    return make


def _data(text):
    return f"data {len(text.encode())}\n{text}\n"


def _git(folder, *arguments, stdin=""):
    done = subprocess.run(["git", *arguments], cwd=folder, input=stdin.encode(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="session")
def after(imported, clean_environment, tmp_path_factory):
    """``after(shape, "report", "--out", "site")``: a folder with that history in which the command ran; made once."""
    made = {}

    def make(shape, *command):
        if (shape, command) not in made:
            folder = tmp_path_factory.mktemp("after")
            shutil.copyfile(imported(shape), folder / "benchmark.db")
            crt = [sys.executable, "-m", "coiled_runtime_cli", *command, "--no-progress"]
            process_cost(crt, folder, clean_environment, folder / "out")
            made[shape, command] = folder
        return made[shape, command]

    return make


@pytest.fixture
def history(imported, after, tmp_path):
    """``history(shape, *command)``: a folder of one's own with that history in ``benchmark.db``, after a command ran there."""

    def make(shape, *command):
        folder = tmp_path / "work"
        if command:
            shutil.copytree(after(shape, *command), folder)
        else:
            folder.mkdir()
            shutil.copyfile(imported(shape), folder / "benchmark.db")
        return folder

    return make


@pytest.fixture
def write_session():
    """``write_session(folder, id, started, values, packages)``: the journal of a session that was killed before it was stored.

    ``values`` are durations (s) by the name of a test. The next command of crt in that folder stores them.
    """
    record = pytest.importorskip("coiled_runtime_cli.core.record")

    def write(folder, session, started, values, packages=()):
        environment = record.Environment(python="3.12.1.final.0", platform="linux", packages=packages)
        tests = [record.Benchmark(path="benchmarks/test_new.py", name=name, originalname=name) for name in values]
        lines = [
            record.SessionStarted(id=session, started=started, label="local", host=record.Host(cores=2)),
            environment,
            *tests,
        ]
        for number, (test, seconds) in enumerate(zip(tests, values.values(), strict=True)):
            run = record.Run(
                uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{session} {number}")),
                session=session,
                benchmark=test.id,
                environment=environment.id,
                outcome="passed",
                start=started + number,
                end=started + number + seconds,
                duration=seconds,
                average_memory=1e9,
                peak_memory=2e9,
            )
            lines.append(run)
        journal = folder / "crt-runs" / session / "main.jsonl"
        journal.parent.mkdir(parents=True)
        journal.write_text("".join(record.encode(line) + "\n" for line in lines))

    return write


@pytest.fixture
def session_of_250(write_session):
    """``session_of_250(folder)``: the journal of a session of 250 runs of other tests, in an environment of 100 packages."""
    record = pytest.importorskip("coiled_runtime_cli.core.record")
    seeded = random.Random(1)

    def write(folder):
        packages = tuple(record.Package(name=f"package-{number}", version="1.0") for number in range(100))
        values = {f"test_{number}": seeded.lognormvariate(0, 0.05) for number in range(250)}
        write_session(folder, str(uuid.UUID(int=seeded.getrandbits(128))), time.time() - 3600, values, packages)

    return write


@pytest.fixture
def one_session_more(session_of_250, crt):
    """``one_session_more(folder)``: such a session, stored in its database."""

    def store(folder):
        session_of_250(folder)
        crt("db", "query", "select count(*) as runs from test_run", folder=folder)

    return store


@pytest.fixture(scope="session")
def peer(tmp_path_factory):
    """``peer("asv==0.6.6")``: the interpreter of an environment of its own with that tool; a skip where it cannot be had."""
    made = {}

    def make(requirement):
        if requirement not in made:
            folder = tmp_path_factory.mktemp("peer") / "environment"
            python = folder / "bin" / "python"
            steps = (
                ["venv", "--python", sys.executable, str(folder)],
                ["pip", "install", "--python", str(python), "--compile-bytecode", requirement],
            )
            said = ""
            for step in steps:
                done = subprocess.run(
                    [shutil.which("uv") or str(Path(sys.executable).with_name("uv")), *step],
                    capture_output=True,
                    text=True,
                )
                if done.returncode:
                    said = done.stderr.strip().splitlines()[-1]
                    break
            made[requirement] = (python, said)
        python, said = made[requirement]
        if said:
            pytest.skip(f"{requirement} cannot be installed here: {said}")
        return python

    return make
