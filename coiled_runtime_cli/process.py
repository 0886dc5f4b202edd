"""The one owner of subprocesses: no shell, output captured or streamed to a file; of a Child never an orphan."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Completed:
    returncode: int
    stdout: str
    stderr: str


def run(
    arguments: Sequence[str | Path],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> Completed:
    """Run a program to its end. Raises ToolError if it cannot be started or takes longer than ``timeout`` seconds."""
    command = [str(each) for each in arguments]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=None if environment is None else {**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, ValueError) as error:  # ValueError: an argument that no program can be given
        raise ToolError(f"cannot start {command[0]}: {getattr(error, 'strerror', None) or error}") from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{command[0]} did not end within {timeout:g} s") from error
    return Completed(done.returncode, done.stdout, done.stderr)


def installed_program(name: str) -> str | None:
    """Where a program of a Python package is: beside this Python, or on the path; None: nowhere."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def first_on_path(folder: Path) -> str:
    """PATH with a folder before all others: its programs are the ones that are found."""
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PATH")]))


def joined_path(folders: Sequence[str], *, inherit: bool = False) -> str:
    """A path of folders as PYTHONPATH has it; with ``inherit`` what it says here comes after."""
    return os.pathsep.join(filter(None, [*folders, os.environ.get("PYTHONPATH") if inherit else None]))


def is_running(pid: int) -> bool:
    """Whether there is a process of this number, whosever it is. Where that cannot be told it is taken for one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def end_workers(pids: set[int]) -> None:
    """End the workers (processes that multiprocessing started here) that outlived their cluster, so that none goes on unseen."""
    import multiprocessing

    for child in multiprocessing.active_children():
        if child.pid in pids:
            child.kill()
            child.join(5)


class Child:
    """A program that runs beside this one, in a process group of its own, with its output in a file.

    The group is what makes an end sure: whatever the program started ends with it.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        log: Path,
        folder: Path | None = None,
        search_path: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``search_path`` goes before whatever PYTHONPATH says, ``environment`` over what the variables are here."""
        command = [str(each) for each in arguments]
        environment = {**os.environ, **(environment or {})}
        if search_path is not None:
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, [search_path, environment.get("PYTHONPATH")]))
        with log.open("ab") as stream:
            try:
                self._process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                raise ToolError(f"cannot start {command[0]}: {getattr(error, 'strerror', None) or error}") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def pin(self, cores: Sequence[int]) -> None:
        """Let it, and what it will start, run on these cores alone."""
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(self._process.pid, cores)

    def wait(self, timeout: float) -> int | None:
        """Wait at most ``timeout`` seconds; None if it still runs."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def interrupt(self) -> None:
        """Ask it to stop, as Ctrl-C would."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)

    def kill_group(self) -> None:
        """End it and everything that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
