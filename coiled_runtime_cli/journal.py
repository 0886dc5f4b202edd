"""The journal of a session: what keeps every finished run when a process dies.

A session is a folder ``<runs>/<session id>/``: one ``<process>.jsonl`` per writing process, and ``alive``, on which each of
them holds a shared lock for as long as it lives. A line is written whole and at once, before the next test starts, so that
``kill -9`` costs at most the test that was running. The folder goes away when its rows are in the database.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.record import Benchmark, Line, Run, SessionEnded, TestStarted, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no flock: there a session counts as alive until it has ended
    fcntl = None  # type: ignore[assignment]

#: Lines reach the kernel at once; they are forced to the disk at most this often (s), which bounds what a power cut costs.
_SYNC_INTERVAL = 1.0


#: The file on which the process that began a session holds a lock of its own.
OWNER = "owner"


def new_id() -> str:
    """A UUID of version 7 (RFC 9562): 48 bits of milliseconds, then random bits, so that ids sort by time."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds << 80) | random
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@contextlib.contextmanager
def alone(file: Path) -> Iterator[bool]:
    """Hold a file that one process at a time can hold; False where another one does. Windows has no such locks: always True."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as stream:
        if fcntl is not None:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
        yield True


class Alive:
    """A shared lock that says: a process of this session still lives. The kernel drops it however the process ends."""

    def __init__(self, folder: Path, name: str = "alive") -> None:
        self._descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o644)
        if fcntl is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def is_owned(folder: Path) -> bool:
    """Whether the process that began the session lives. What it had started ends soon after it, and is alive until then."""
    if fcntl is None:
        return False  # type: ignore[unreachable, unused-ignore]
    try:
        descriptor = os.open(folder / OWNER, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[bool]:
    """Hold the session in ``folder`` for oneself: False if one of its processes, or another claimant, still lives."""
    if fcntl is None:
        yield any(  # type: ignore[unreachable, unused-ignore]
            isinstance(line, SessionEnded) for line in read(folder).lines
        )
        return
    try:
        descriptor = os.open(folder / "alive", os.O_RDWR | os.O_CREAT, 0o644)
    except FileNotFoundError:  # another claimant has just finished with it
        yield False
        return
    except OSError:  # a read-only folder: nothing can write there now, and reading is harmless
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    """Make the folder and those above; again, if another session has just removed the one above, being empty."""
    for attempt in range(100):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError:
            if attempt == 99:
                raise
            time.sleep(random.uniform(0, 0.001 * attempt))  # of two that hinder each other one goes first
        else:
            return


class Writer:
    """Appends lines to ``<folder>/<process>.jsonl``. Raises OSError when the disk does not take them."""

    def __init__(self, folder: Path, process: str, *, alive: bool = True) -> None:
        _make(folder)
        self._folder = folder
        self._alive = Alive(folder) if alive else None
        self._owner: Alive | None = None
        path = folder / f"{process}.jsonl"
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        self._synced = time.monotonic()
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")  # a killed process left half a line: do not let ours join it

    def own(self) -> None:
        """Say that the session is this process's, until the writer is closed."""
        self._owner = Alive(self._folder, OWNER)

    def write(self, line: Line) -> None:
        data = memoryview((encode(line) + "\n").encode("ascii"))
        while data:
            data = data[os.write(self._descriptor, data) :]
        now = time.monotonic()
        if now - self._synced >= _SYNC_INTERVAL:
            os.fsync(self._descriptor)
            self._synced = now

    def close(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        for lock in (self._alive, self._owner):
            if lock is not None:
                lock.close()


@dataclass(frozen=True, slots=True)
class Contents:
    """What a journal folder holds. ``damaged`` counts whole lines that are no records; a half last line is no damage."""

    lines: tuple[Line, ...]
    damaged: int = 0


def read(folder: Path) -> Contents:
    """Every record of a session, file by file (a record never refers to a later one of another file)."""
    follower = Follower(folder)
    lines = tuple(follower.poll())
    return Contents(lines, follower.damaged)


@dataclass(slots=True)
class Follower:
    """Reads a journal while it is written: each :meth:`poll` gives the whole lines that are new."""

    folder: Path
    damaged: int = 0
    _offsets: dict[Path, int] = field(default_factory=dict)

    def poll(self) -> Iterator[Line]:
        for path in sorted(self.folder.glob("*.jsonl")):
            offset = self._offsets.get(path, 0)
            if path.stat().st_size <= offset:
                continue
            with path.open("rb") as stream:
                stream.seek(offset)
                data = stream.read()
            whole = data.rfind(b"\n") + 1
            self._offsets[path] = offset + whole
            for raw in data[:whole].splitlines():
                try:
                    line = decode(raw.decode("ascii"))
                except ValueError:
                    # what a killed process had half written, closed by the next writer, is expected; anything else is damage
                    self.damaged += 0 if _is_half_line(raw) else 1
                    continue
                if line is not None:
                    yield line


def _is_half_line(raw: bytes) -> bool:
    return not raw or (raw.startswith(b'{"type":') and not raw.endswith(b"}")) or b'{"type":'.startswith(raw)


def unfinished(lines: tuple[Line, ...]) -> tuple[TestStarted, ...]:
    """The tests that were running when their process died."""
    finished = {line.uuid for line in lines if isinstance(line, Run)}
    return tuple(line for line in lines if isinstance(line, TestStarted) and line.uuid not in finished)


def settle(folder: Path, session: str, *, reason: str, outcome: str = "crashed") -> tuple[Run, ...]:
    """Give each test that died with its process a row of its own, in the journal. Call it when no process writes."""
    contents = read(folder)
    if any(isinstance(line, SessionEnded) and line.interrupted for line in contents.lines):
        return ()
    benchmarks = {line.id: line for line in contents.lines if isinstance(line, Benchmark)}
    runs = []
    for started in unfinished(contents.lines):
        known = benchmarks.get(started.benchmark)
        runs.append(
            Run(
                uuid=started.uuid,
                session=session,
                benchmark=started.benchmark,
                source_hash=known.source_hash if known else None,
                epoch=known.epoch if known else 1,
                repeat=started.repeat,
                outcome=outcome,
                failure=reason,
                start=started.at,
            )
        )
    if runs:
        writer = Writer(folder, "crt", alive=False)
        try:
            for run in runs:
                writer.write(run)
        finally:
            writer.close()
    return tuple(runs)


def pending(runs: Path) -> tuple[Path, ...]:
    """The session folders below ``runs`` that hold a journal, oldest first."""
    try:
        entries = sorted(runs.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return tuple(each for each in entries if not each.name.endswith(".damaged") and any(each.glob("*.jsonl")))


def discard(folder: Path) -> None:
    """Remove the journal of a session whose rows are in the database; keep one with damaged lines, set aside."""
    if read(folder).damaged:
        with contextlib.suppress(OSError):
            folder.rename(folder.with_name(folder.name + ".damaged"))
            return
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()  # only when it was the last one
