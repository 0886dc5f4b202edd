"""Run the selected tests in the target environment, and follow their journal as typed events.

A round is every selected test once, in fresh processes. A process that dies takes one test with it: the rest of the round goes
on in a new one.
"""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import journal, process
from coiled_runtime_cli.core.artifacts import EXTRA, Artifacts
from coiled_runtime_cli.core.quantity import bytes_text
from coiled_runtime_cli.core.record import Collected, Line, Run, TestStarted
from coiled_runtime_cli.errors import ToolError, UsageError
from coiled_runtime_cli.locations import PACKAGE, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coiled_runtime_cli.core.settings import SessionSettings

#: How often the journal is looked at (s).
_POLL = 0.05
#: Longest teardown (s), and what a hung process gets beyond its limits before it is killed.
_TEARDOWN, _GRACE = 60.0, 15.0
#: How long pytest may take to close its clusters after Ctrl-C (s).
_CLOSING = 40.0

#: pytest, but without the current folder on the path: `import dask` must not find a folder of that name here.
#: And with Ctrl-C in force, which a shell has background jobs ignore: it is how crt asks pytest to stop. It ends without waiting
#: for threads that a test has left, and without being aborted by those of a library that hold Python at that moment.
_START = (
    "import atexit, os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "sys.path[:] = [p for p in sys.path if p]; import pytest; code = int(pytest.main()); "
    "atexit._run_exitfuncs(); sys.stdout.flush(); sys.stderr.flush(); os._exit(code)"
)
_PLUGIN = "coiled_runtime_cli.plugin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to run. ``arguments``: files or node ids for pytest."""

    arguments: tuple[str, ...]
    keyword: str | None = None
    markers: str | None = None
    workers: int = 0  # xdist processes; 0: none
    artifacts: Artifacts = field(default_factory=Artifacts)
    extra: tuple[str, ...] = ()  # arguments for pytest as the user gave them


@dataclass(frozen=True, slots=True)
class Target:
    """The interpreter that runs the tests.

    ``path`` is what PYTHONPATH must hold for the plugin to be found there, ``variables`` what else its environment needs.
    """

    python: str
    path: str | None = None
    variables: tuple[tuple[str, str], ...] = ()
    cores: tuple[int, ...] = ()  # that it may use; (): all


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """One pytest process has ended. ``died``: not by itself. ``log``: the end of what it printed."""

    returncode: int
    died: bool
    log: str


Event = Line | ProcessEnded


def target(python: str | None, folder: Path) -> Target:
    """The environment to measure: this one, or any that has pytest and what the tests import.

    crt is not installed there: a folder in the session's journal holds nothing but a link to this package.
    Raises UsageError if ``python`` is no interpreter, ToolError if it lacks pytest or is too old.
    """
    if python is None:
        return Target(sys.executable)
    asked = _ask(python, "import sys, pytest; print(*sys.version_info[:2], pytest.__version__)")
    if asked.returncode != 0:
        last = asked.stderr.strip().rpartition("\n")[2]
        raise ToolError(f"{python} cannot import pytest: {last}", hint=f"{python} -m pip install pytest")
    major, minor, version = asked.stdout.split()
    if (int(major), int(minor)) < (3, 10):
        raise ToolError(f"{python} is Python {major}.{minor}: the plugin needs 3.10 or newer")
    if int(version.partition(".")[0]) < 7:
        raise ToolError(f"{python} has pytest {version}: the plugin needs 7 or newer")
    link = folder / "path" / PACKAGE.name
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(PACKAGE, target_is_directory=True)
    return Target(python, str(link.parent))


def _ask(python: str, code: str, *arguments: str) -> process.Completed:
    """Run a few lines in another interpreter. Raises UsageError if it is none."""
    try:
        return process.run([python, "-c", code, *arguments], timeout=120)
    except ToolError as error:
        raise UsageError(
            f"--python {python}: {error.message}", hint="name an interpreter: --python env/bin/python"
        ) from error


#: What reads and writes URLs of a kind.
_READERS = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}

#: Prints, one a line, which of its arguments are missing: modules, the program py-spy, and what a URL needs.
_MISSING = """
import importlib.util, os, shutil, sys
for name in sys.argv[1:]:
    if name == "py-spy":
        beside = os.path.join(os.path.dirname(sys.executable), name)
        there = os.path.exists(beside) or shutil.which(name)
    elif "://" in name:
        try:
            import fsspec
            there = fsspec.get_filesystem_class(name.partition("://")[0])
        except (ImportError, ValueError) as error:
            there = None
            name += " " + " ".join(str(error).split())
    else:
        there = importlib.util.find_spec(name)
    if not there:
        print(name)
"""


def check_artifacts(python: str | None, wanted: Artifacts, url: str | None) -> None:
    """Raise ToolError unless the environment to be measured has what the artefacts need, and what uploads them to ``url``."""
    if not wanted:
        return
    needs = [*wanted.needs(), *([("--artifacts", url)] if url else [])]
    program = python or sys.executable
    asked = _ask(program, _MISSING, *(name for _, name in needs))
    if asked.returncode != 0:
        raise ToolError(f"{program} does not start: {asked.stderr.strip()[-1000:]}")
    for line in asked.stdout.splitlines():
        missing, _, why = line.partition(" ")
        flag = next(flag for flag, name in needs if name == missing)
        where = f" in the environment of {python}" if python else ""
        if flag == "--artifacts":
            kind = missing.partition("://")[0]
            install = _READERS.get(kind, f"what fsspec needs for {kind}")
            raise ToolError(
                f"{flag} {missing}: {why}{where}", hint=f"{program if python else 'python'} -m pip install {install}"
            )
        raise ToolError(
            f"{flag} needs {missing}, which is missing{where}",
            hint=f"{python} -m pip install {missing}" if python else EXTRA,
        )


def command(chosen: Target, selection: Selection, suites: Path, session_file: Path) -> list[str]:
    """The command line of one pytest process."""
    arguments = [chosen.python, "-c", _START, "-p", _PLUGIN, "--benchmark", f"--crt-session={session_file}"]
    if suites.joinpath("pytest.ini").is_file() and all(_is_inside(each, suites) for each in selection.arguments):
        arguments += ["-c", str(suites / "pytest.ini"), f"--rootdir={suites}"]
    arguments += ["-p", "no:cacheprovider", "--continue-on-collection-errors", "-rA", "--tb=short", "--color=no"]
    if selection.workers:
        arguments += ["-n", str(selection.workers), "--dist", "loadscope"]
    if selection.keyword:
        arguments += ["-k", selection.keyword]
    if selection.markers:
        arguments += ["-m", selection.markers]
    return [*arguments, *selection.artifacts.pytest_arguments(), *selection.extra, *selection.arguments]


def _is_inside(argument: str, folder: Path) -> bool:
    return Path(argument.partition("::")[0]).is_relative_to(folder)


def run_round(
    chosen: Target,
    selection: Selection,
    settings: SessionSettings,
    *,
    write_settings: Callable[[SessionSettings], Path],
    stopping: Callable[[], bool] | None = None,
) -> Iterator[Event]:
    """Run every selected test once. Yields the journal's lines as they are written, and a ProcessEnded for each process.

    On KeyboardInterrupt pytest is asked to stop and gets time to close its clusters; a second one ends it at once.
    ``stopping`` is for threads, which no KeyboardInterrupt reaches: when it says so, one is raised here.
    """
    folder = Path(settings.folder)
    follower = journal.Follower(folder)
    list(follower.poll())  # what earlier rounds wrote is known
    ended: set[str] = set()
    collected: dict[str, None] = {}
    current = replace(settings, parent=os.getpid())
    while True:
        before = len(ended)
        last: ProcessEnded | None = None
        for event in _run_process(chosen, selection, current, follower, write_settings(current), stopping):
            if isinstance(event, Run):
                ended.add(event.benchmark)
            elif isinstance(event, Collected):
                collected.update(dict.fromkeys(event.benchmarks))
            elif isinstance(event, ProcessEnded):
                last = event
            yield event
        assert last is not None
        remaining = [each for each in collected if each not in ended]
        if not last.died or not remaining or len(ended) == before:
            return
        current = replace(current, only=remaining)


def _run_process(
    chosen: Target,
    selection: Selection,
    settings: SessionSettings,
    follower: journal.Follower,
    session_file: Path,
    stopping: Callable[[], bool] | None,
) -> Iterator[Event]:
    folder = Path(settings.folder)
    log = folder / "pytest.log"
    offset = log.stat().st_size if log.exists() else 0
    arguments = command(chosen, selection, Path(settings.suites), session_file)
    child = process.Child(arguments, log=log, search_path=chosen.path, environment=dict(chosen.variables))
    if chosen.cores:
        child.pin(chosen.cores)
    running: dict[str, tuple[TestStarted, float]] = {}  # and when it was seen, on a clock that nobody sets

    def lines() -> Iterator[Line]:
        for line in follower.poll():
            if isinstance(line, TestStarted):
                running[line.uuid] = line, time.monotonic()
            elif isinstance(line, Run):
                running.pop(line.uuid, None)
            yield line

    hung = False
    try:
        while (code := child.returncode()) is None:
            yield from lines()
            if any(_is_hung(*each) for each in running.values()):
                hung = True
                break
            if stopping is not None and stopping():
                raise KeyboardInterrupt  # noqa: TRY301  as one that the main thread would get
            time.sleep(_POLL)
    except BaseException:
        _stop(child)
        raise
    child.kill_group()  # nothing that it started may outlive it
    code = child.returncode()
    yield from lines()
    text = _tail(log, offset)
    died = hung or code is None or code < 0 or code > 5
    if running and (died or selection.workers):
        if hung:
            seconds = max(each.timeout or 0 for each, _ in running.values())
            reason, outcome = f"timed out after {seconds:g} s and did not react: its process was killed", "timeout"
        else:
            reason, outcome = f"{_cause(code)} while this test ran\n\n{text[-2000:]}", "crashed"
        journal.settle(folder, settings.session, reason=reason, outcome=outcome)
        yield from lines()
    yield ProcessEnded(code if code is not None else -9, died, text)


def _is_hung(started: TestStarted, seen: float) -> bool:
    if not started.timeout:
        return False
    return time.monotonic() > seen + started.timeout + min(started.timeout, _TEARDOWN) + _GRACE


def _stop(child: process.Child) -> None:
    """Ask pytest to close its clusters; a second Ctrl-C, or too long a wait, ends it."""
    try:
        child.interrupt()
        child.wait(_CLOSING)
    except KeyboardInterrupt:
        pass
    finally:
        child.kill_group()


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        import signal

        names = {each.value: each.name for each in signal.Signals}
        return f"the process died by {names.get(-code, f'signal {-code}')}"
    return f"the process ended with code {code}"


def size_of_artifacts(settings: SessionSettings) -> tuple[Path, str]:
    """The folder of a session's artefacts here, and how large it is as text."""
    folder = Path(settings.artifacts) / settings.session
    return folder, bytes_text(size_of(folder))


def _tail(log: Path, offset: int) -> str:
    with log.open("rb") as stream:
        stream.seek(max(offset, log.stat().st_size - 20_000))
        return stream.read().decode("utf-8", "replace")


def explain(ended: ProcessEnded) -> ToolError | UsageError | None:
    """Why pytest did not run all that it should have, as an error for the user; None if it did."""
    text = ended.log.strip()
    unwritten = re.search(r"crt: (cannot write the journal .*?)(?: !+)?$", text, re.MULTILINE)
    if unwritten:
        return ToolError(unwritten[1], hint="make room there, and run the command again: what was written is kept")
    if ended.returncode == 4:
        lines = [line for line in text.splitlines() if re.match(r"(ERROR|.*error:)", line)]
        if any("unrecognized arguments: -n" in line for line in lines):
            return ToolError(
                "pytest-xdist is missing in the environment under test", hint="pip install pytest-xdist there"
            )
        return UsageError("pytest: " + ("; ".join(lines[:3]) or text[-1000:]))
    if ended.returncode == 3 or ended.died or ended.returncode == 1:
        return ToolError(f"pytest did not get as far as a test:\n{text[-3000:]}")
    return None
