"""One folder, the commands run in it, and how long they take when nothing happens to them."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from s3_servers import KEYS

from coiled_runtime_cli import cli

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from postgresql_server import Server

    from .proxy import Proxy

ROOT = Path(__file__).resolve().parents[2]

#: Named in the environment of all that a trial starts: whoever still has it afterwards was left behind.
MARK = "FAULT_TRIAL"


SIGNALS = ("kill", "ctrl-c", "ctrl-c to the process", "ctrl-c twice", "sigterm")
DISKS = ("disk full", "read-only folder")
CLOCKS = ("clock back", "clock jumps back")
NETWORK = ("no DNS", "503 SlowDown", "500", "cut connections", "half answers", "answers lost")


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
            "PYTHONPATH": f"{self.bench.hook}{os.pathsep}{ROOT}",
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
    """What all trials share: the folder, the hook, templates, the servers and what stands before that of S3."""

    folder: Path
    hook: Path
    seed: int
    mounts: bool
    clock: Path | None
    proxy: Proxy | None = None
    server: str = ""
    postgresql: Server | None = None
    templates: dict[str, Path] = field(default_factory=dict)
    references: dict[str, tuple[float, int, int]] = field(default_factory=dict)  # seconds, actions, bytes


class Command:
    """A command that does work. ``prepare`` fills the folder ``here``; ``problems`` says what is lost or doubled."""

    name: ClassVar[str]
    faults: ClassVar[tuple[str, ...]] = (*SIGNALS, *DISKS, *CLOCKS, "locked database")
    codes: ClassVar[tuple[int, ...]] = (0,)  # of an undisturbed one
    full_disk_codes: ClassVar[tuple[int, ...]] = (3,)
    next: ClassVar[list[str]] = ["db", "current"]
    next_codes: ClassVar[tuple[int, ...]] = (0,)
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
def trial_in(command: Command, bench: Workbench, name: str, *, disk: bool = False) -> Iterator[Trial]:
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
