"""Data sets on disk: generated once, verified on reuse, repaired file by file.

``<cache>/<name>-<key>/`` holds the files and, written last, ``manifest.json``: size and SHA-256 of each file. Beside
it, ``.<name>-<key>.lock`` lets one process at a time write, and ``.<name>-<key>.partial-*`` is what a process is
writing; a folder of that name found under the lock belongs to a process that died. Who reads a data set holds a shared
lock on its manifest, so that nobody removes it meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

from coiled_runtime_cli import atomic
from coiled_runtime_cli.core.quantity import bytes_text, counted
from coiled_runtime_cli.datasets import files as making
from coiled_runtime_cli.datasets import parallel
from coiled_runtime_cli.datasets.files import Failure, StoredFile
from coiled_runtime_cli.datasets.recipe import MissingLibrary
from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe

try:
    import fcntl
except ImportError:  # no POSIX: two first runs at once do the work twice, and the first to finish wins
    fcntl = None  # type: ignore[assignment]

MANIFEST = "manifest.json"
_MANIFEST_SCHEMA = 1
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class _Files:
    """What is said of all files of a data set together."""

    __slots__ = ()
    files: tuple[StoredFile, ...]

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.files)

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.files)

    @property
    def sha256(self) -> str:
        """One hash for all files: that of the lines which ``sha256sum`` would write of them."""
        return hashlib.sha256("".join(f"{each.sha256}  {each.path}\n" for each in self.files).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Manifest(_Files):
    """What a data set's folder is said to hold."""

    name: str
    version: int
    seed: int
    parameters: Parameters
    files: tuple[StoredFile, ...]


@dataclass(frozen=True, slots=True)
class Stored(_Files):
    """A complete data set in its folder, and what this call had to do for it."""

    folder: Path
    files: tuple[StoredFile, ...]
    generated: bool = False
    repaired: bool = False


# What happens while data sets are made


@dataclass(frozen=True, slots=True)
class Checking:
    """What is there of a data set is about to be read."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Another process is writing this data set."""

    name: str


@dataclass(frozen=True, slots=True)
class Serial:
    """No processes could be started: the files are made one after another."""

    reason: str


@dataclass(frozen=True, slots=True)
class Step:
    """``done`` of ``total`` bytes (approximate, over all data sets) are written; ``name`` had the last of them."""

    name: str
    done: float
    total: float


@dataclass(frozen=True, slots=True)
class Ready:
    name: str
    stored: Stored


@dataclass(frozen=True, slots=True)
class Failed:
    name: str
    error: ToolError


Event: TypeAlias = "Checking | Waiting | Serial | Step | Ready | Failed"


#: What this process has verified: by folder, its files and their (size, modification time) at that moment.
_verified: dict[Path, tuple[Stored, tuple[tuple[int, int] | None, ...]]] = {}

#: What this process reads: by folder, the open manifest that it holds a shared lock on.
_held: dict[Path, int] = {}


def obtain(recipe: Recipe, parameters: Parameters, cache: Path, progress: Callable[[float, float], None]) -> Stored:
    """The data set of ``recipe`` below ``cache``, to be read: verified if it is there, else generated or repaired.

    ``progress(done, total)`` is called in (approximate) bytes while data are generated. Raises ToolError where the
    folder cannot be written.
    """
    folder = folder_of(recipe, parameters, cache)
    known = _verified.get(folder)
    if known is not None and known[1] == _stamps(folder, known[0].files):
        return known[0]
    stored: Stored | None = None
    with contextlib.closing(produce([(recipe, parameters)], cache)) as events:
        for event in events:
            if isinstance(event, Step):
                progress(event.done, event.total)
            elif isinstance(event, Failed):
                raise event.error
            elif isinstance(event, Ready):
                stored = event.stored
    assert stored is not None
    _hold(folder)
    settled = Stored(stored.folder, stored.files)
    _verified[folder] = (settled, _stamps(folder, settled.files))
    return stored


def produce(
    wanted: Sequence[tuple[Recipe, Parameters]], cache: Path, *, workers: int | None = None
) -> Generator[Event, None, None]:
    """Have the data sets below ``cache``, verified: those that are damaged or not there are made, one event at a time.

    ``workers`` processes share the files; None: as many as it takes. What is complete stays when a later one fails.
    Raises ToolError before the first byte where the folder cannot be written, or has not the space.
    """
    missing = []
    for recipe, parameters in wanted:
        plan = recipe.plan(parameters)
        folder = folder_of(recipe, parameters, cache)
        # Most calls find everything in order, and need no lock for that.
        stored = _as_planned(folder, plan)
        if stored is not None:
            yield Checking(recipe.name, stored.bytes)
        if stored is None or _damaged(stored):
            missing.append(_Job(recipe, parameters, plan, folder))
        else:
            yield Ready(recipe.name, stored)
    while missing:
        # What another process is writing comes last; and nobody waits for a lock while holding one.
        with contextlib.ExitStack() as stack:
            for job in missing:
                stack.callback(job.close)
            busy = [job for job in missing if not job.open(wait=False)]
            if len(busy) == len(missing):
                yield Waiting(busy[0].recipe.name)
                busy.pop(0).open(wait=True)
            jobs = []
            for job in missing:
                if job.chosen and job not in busy:
                    jobs.append(job)
                elif job not in busy:  # another process has done it meanwhile
                    yield Ready(job.recipe.name, job.ready())
            if jobs:
                _require_space(jobs, cache)
                yield from _run(jobs, workers)
        missing = busy


class _Job:
    """A data set to be made: from ``open`` to ``close`` it has a lock and a folder of its own to write to."""

    def __init__(self, recipe: Recipe, parameters: Parameters, plan: tuple[PlannedFile, ...], folder: Path) -> None:
        self.recipe, self.parameters, self.plan, self.folder = recipe, parameters, plan, folder
        self.chosen = plan  # the files to make; the others are there
        self.written: dict[str, StoredFile] = {}
        self.over = False  # finished or failed: nothing more is to be done
        self.stored: Stored | None = None
        self.partial = folder  # until there is one
        self._stack = contextlib.ExitStack()

    def open(self, *, wait: bool) -> bool:
        """Take the lock, and see what there is to do. False: another process has the lock, and ``wait`` is not wanted.

        Raises ToolError where the folder cannot be written.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            alone = self._stack.enter_context(locked(lock_of(self.folder), wait=wait))
            if alone:
                _remove_abandoned(self.folder)
            self.stored = _as_planned(self.folder, self.plan)
            if self.stored is not None:
                damaged = {each.path for each in _damaged(self.stored)}
                self.chosen = tuple(each for each in self.plan if each.path in damaged)
            if self.chosen:
                self._make_folders()
        except BlockingIOError:
            return False
        except OSError as error:
            raise self.unwritable(error.errno, error.strerror or str(error)) from error
        return True

    def _make_folders(self) -> None:
        """All that files are written to: who writes one makes none, lest they come back when all is over."""
        self.partial = Path(tempfile.mkdtemp(prefix=f".{self.folder.name}.partial-", dir=self.folder.parent))
        self._stack.callback(shutil.rmtree, self.partial, ignore_errors=True)
        for path in {(self.partial / each.path).parent for each in self.chosen}:
            path.mkdir(parents=True, exist_ok=True)

    def ready(self) -> Stored:
        assert self.stored is not None
        return self.stored

    def finish(self) -> Event:
        """Move what was written into place, and let go of the lock."""
        self.over = True
        written = tuple(self.written[each.path] for each in self.chosen)
        try:
            if self.stored is None:
                stored = _publish(self.recipe, self.parameters, written, self.partial, self.folder)
            else:
                stored = _repair(self.recipe, self.parameters, self.stored, written, self.partial)
        except OSError as error:
            return Failed(self.recipe.name, self.unwritable(error.errno, error.strerror or str(error)))
        finally:
            self.close()
        return Ready(self.recipe.name, stored)

    def close(self) -> None:
        """Remove what is not in place, and let go of the lock."""
        self._stack.close()

    def fail(self, failure: Failure) -> Failed:
        self.over = True
        error: ToolError
        if failure.missing:
            error = MissingLibrary(failure.reason, hint=failure.hint)
        elif failure.errno is not None:
            error = self.unwritable(failure.errno, failure.reason)
        else:
            error = ToolError(
                f"cannot make {failure.path} of data set {self.recipe.name}: {failure.reason}", hint=failure.hint
            )
        error.__cause__ = RuntimeError(f"in the process that made it\n{failure.traceback}")
        return Failed(self.recipe.name, error)

    def unwritable(self, number: int | None, reason: str) -> ToolError:
        cache = self.folder.parent
        hint = "name another folder for data sets: CRT_DATA=/path, or `data` in crt.toml"
        if number in _FULL:
            needed = bytes_text(sum(each.bytes for each in self.plan))
            return ToolError(
                f"no space left in {cache}: data set {self.recipe.name} needs about {needed}",
                hint=f"free some, or {hint}",
            )
        return ToolError(f"cannot write data set {self.recipe.name} to {cache}: {reason}", hint=hint)


def _require_space(jobs: Sequence[_Job], cache: Path) -> None:
    """Raise ToolError before the first byte where the disk cannot hold all of it."""
    needed = sum(file.bytes for job in jobs for file in job.chosen)
    free = shutil.disk_usage(cache).free
    if free >= needed:
        return
    if len(jobs) == 1:
        raise jobs[0].unwritable(errno.ENOSPC, os.strerror(errno.ENOSPC))
    raise ToolError(
        f"no space left in {cache}: {counted(len(jobs), 'data set')} need about {bytes_text(needed)}, "
        f"{bytes_text(free)} are free",
        hint="make fewer, a smaller --scale, or name another folder for data sets: CRT_DATA=/path, or `data` in crt.toml",
    )


def _run(jobs: list[_Job], workers: int | None) -> Iterator[Event]:
    """Make the files of all jobs, and finish each job with its last file."""
    # What has the largest file comes first, or all would wait for it in the end.
    jobs = sorted(jobs, key=lambda job: -max(each.bytes for each in job.chosen))
    tally = _Tally(sum(file.bytes for job in jobs for file in job.chosen))
    batches = [
        parallel.Batch(number, job.recipe, job.parameters, files, job.partial)
        for number, job in enumerate(jobs)
        for files in parallel.batches(job.chosen)
    ]
    count = parallel.workers_for(tally.total, len(batches)) if workers is None else min(workers, len(batches))
    waiting = (each for each in batches if not jobs[each.job].over)  # asked for the next one when there is room
    done = 0.0
    yield Step(jobs[0].recipe.name, done, tally.total)
    events = parallel.made(waiting, count) if count > 1 else parallel.made_here(waiting)
    with contextlib.closing(events):
        for told in events:
            if isinstance(told, str):
                yield Serial(told)
                continue
            number, file, news = told
            job = jobs[number]
            now = tally.count(number, file, news)
            if now > done:
                done = now
                yield Step(job.recipe.name, done, tally.total)
            if isinstance(news, Failure) and not job.over:
                yield job.fail(news)
            elif isinstance(news, StoredFile):
                job.written[file.path] = news
                if len(job.written) == len(job.chosen) and not job.over:
                    yield job.finish()


class _Tally:
    """How many bytes are written, as planned. What a worker says may come after its file is finished."""

    def __init__(self, total: float) -> None:
        self.total = float(max(1, total))
        self._finished = 0
        self._over: set[tuple[int, int]] = set()
        self._open: dict[tuple[int, int], float] = {}  # of files that are not finished

    def count(self, job: int, file: PlannedFile, news: float | StoredFile | Failure) -> float:
        """Take note, and return how many bytes are written now."""
        place = job, file.index
        if isinstance(news, float):
            if place not in self._over:
                self._open[place] = min(float(file.bytes), self._open.get(place, 0.0) + news)
        elif place not in self._over:
            self._over.add(place)
            self._finished += file.bytes
            self._open.pop(place, None)
        return min(self.total, self._finished + sum(self._open.values()))


# What is there


def folder_of(recipe: Recipe, parameters: Parameters, cache: Path) -> Path:
    return cache.absolute() / f"{recipe.name}-{recipe.key(parameters)}"


def lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def read_manifest(folder: Path) -> Manifest | None:
    """What the manifest promises, unverified; None where there is none that can be read."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if content["schema"] != _MANIFEST_SCHEMA:
            return None
        return Manifest(
            str(content["name"]),
            int(content["version"]),
            int(content["seed"]),
            dict(content["parameters"]),
            tuple(
                StoredFile(_inside(each["path"]), int(each["bytes"]), str(each["sha256"]), int(each["rows"]))
                for each in content["files"]
            ),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _inside(path: Any) -> str:
    """The path, if it leads to a place below the data set's folder. Raises ValueError if not."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise ValueError(f"not below the folder: {path}")
    return str(path)


def _as_planned(folder: Path, plan: tuple[PlannedFile, ...]) -> Stored | None:
    """What is there, unverified; None where no manifest says so, or one that is about other files."""
    found = read_manifest(folder)
    if found is None or [(each.path, each.rows) for each in found.files] != [(each.path, each.rows) for each in plan]:
        return None
    return Stored(folder, found.files)


def _damaged(stored: Stored) -> tuple[StoredFile, ...]:
    """The files that are missing, or whose size or hash is not what the manifest says."""
    return tuple(each for each, harm in harms(stored.folder, stored.files) if harm is not None)


def harms(folder: Path, files: Sequence[StoredFile]) -> Iterator[tuple[StoredFile, str | None]]:
    """Read every file, several at once, and say what is wrong with it; None: nothing."""
    pool = ThreadPoolExecutor(min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 8))
    try:
        yield from zip(files, pool.map(lambda each: _harm(folder / each.path, each), files), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _harm(path: Path, promised: StoredFile) -> str | None:
    try:
        size = path.stat().st_size
        if size != promised.bytes:
            return f"{size:,} bytes instead of {promised.bytes:,}"
        return None if making.sha256(path) == promised.sha256 else "other content"
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return error.strerror or str(error)


def _stamps(folder: Path, files: Iterable[StoredFile]) -> tuple[tuple[int, int] | None, ...]:
    """Size and modification time of each file: they tell whether it changed since it was verified."""

    def stamp(path: Path) -> tuple[int, int] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns

    return tuple(stamp(folder / each.path) for each in files)


# Locks


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file; a process that dies lets go of it. Yields False where the file system has no locks.

    Raises BlockingIOError where another process has it, and ``wait`` is not wanted.
    """
    with contextlib.ExitStack() as stack:
        while True:
            stream = stack.enter_context(path.open("a"))
            held = _lock(stream.fileno(), shared=False, wait=wait)
            # who waited for a lock file that was removed meanwhile holds nothing
            if not held or _is_at(path, stream.fileno()):
                break
            stack.close()
        yield held


def _lock(descriptor: int, *, shared: bool, wait: bool) -> bool:
    """Lock an open file; False where there are no locks. Raises BlockingIOError where that means to wait."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        else:
            return True
    return False


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _hold(folder: Path) -> None:
    """Be known as a reader of the data set for as long as this process lives, and note when that was."""
    manifest = folder / MANIFEST
    with contextlib.suppress(OSError):  # a cache that can only be read is removed by nobody
        os.utime(manifest)
    with contextlib.suppress(OSError):
        old = _held.get(folder)
        if old is not None:
            if _is_at(manifest, old):
                return
            os.close(_held.pop(folder))
        descriptor = os.open(manifest, os.O_RDONLY)
        _held[folder] = descriptor
        _lock(descriptor, shared=True, wait=False)


def is_read(folder: Path) -> bool:
    """Has a process the data set open?"""
    try:
        with (folder / MANIFEST).open("rb") as stream:
            _lock(stream.fileno(), shared=False, wait=False)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


# Writing


def _remove_abandoned(folder: Path) -> None:
    for each in folder.parent.iterdir():
        if each.name.startswith((f".{folder.name}.partial-", f".{folder.name}.old-")):
            shutil.rmtree(each, ignore_errors=True)


def _publish(
    recipe: Recipe, parameters: Parameters, written: tuple[StoredFile, ...], partial: Path, folder: Path
) -> Stored:
    """Move a complete folder into place. What was there has no manifest that counts, so nobody reads it."""
    _write_manifest(partial, recipe, parameters, written)
    partial.chmod(0o755)  # made private by mkdtemp
    unusable = folder.exists()
    if unusable:
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old-", dir=folder.parent))
        folder.rename(old / folder.name)
    try:
        partial.rename(folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        # Without locks another process may have been first, with the same content.
    atomic.sync_folder(folder.parent)
    if unusable:
        shutil.rmtree(old, ignore_errors=True)
    return Stored(folder, written, generated=True, repaired=unusable)


def _repair(
    recipe: Recipe, parameters: Parameters, stored: Stored, written: tuple[StoredFile, ...], partial: Path
) -> Stored:
    """Replace the damaged files. Another version of pyarrow may write other bytes: then the manifest follows them."""
    anew = {each.path: each for each in written}
    for path in anew:
        target = stored.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            shutil.rmtree(target)
        (partial / path).replace(target)
    files = tuple(anew.get(each.path, each) for each in stored.files)
    if files != stored.files:
        _write_manifest(stored.folder, recipe, parameters, files)
    atomic.sync_folder(stored.folder)
    return Stored(stored.folder, files, generated=True, repaired=True)


def _write_manifest(folder: Path, recipe: Recipe, parameters: Parameters, files: tuple[StoredFile, ...]) -> None:
    content: Mapping[str, Any] = {
        "schema": _MANIFEST_SCHEMA,
        "name": recipe.name,
        "version": recipe.version,
        "seed": recipe.seed,
        "parameters": dict(parameters),
        "rows": sum(each.rows for each in files),
        "files": [asdict(each) for each in files],
    }
    temporary = folder / f"{MANIFEST}.tmp"
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(folder / MANIFEST)
