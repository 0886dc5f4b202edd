"""The site's folder: files that changed are staged beside it and moved into place at the end; the others are left alone.

A build that fails, is interrupted or killed before the end leaves the old site as it was: nothing is moved before everything
is made. Moving takes milliseconds, data before the pages that load them and the index last.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import atomic
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MANIFEST = "manifest.json"
_MANIFEST_SCHEMA = 1
_STAGING = ".crt-building-"

#: So many bytes may wait to be written: a build holds no site in memory where the disk is slower than it is.
_WAITING = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a build did: files written, left as they were and removed; ``size`` of the whole site in bytes."""

    folder: Path
    written: int
    unchanged: int
    removed: int
    size: int


class Folder:
    """A build of the site in ``path``. Use :func:`building` to get one."""

    def __init__(self, path: Path, staging: Path, old: dict[str, Any]) -> None:
        self.path = path
        self._staging = staging
        self._old: dict[str, list[Any]] = old.get("files", {})
        self._files: dict[str, list[Any]] = {}
        self._staged: list[str] = []
        self._writer = _Writer()
        self._made: set[Path] = set()
        #: What the build before this one wanted to be remembered, by name; empty for a new site.
        self.memory: dict[str, Any] = old.get("memory", {})

    def put(self, name: str, content: bytes) -> None:
        """Give the site a file; ``name`` is its path with ``/``. It is staged where it is not there already."""
        fact = [hashlib.blake2b(content, digest_size=12).hexdigest(), len(content)]
        if self._old.get(name) == fact and self._there(name, len(content)):
            self._files[name] = fact
            return
        target = self._staging / name
        self._make(target.parent)
        self._writer.write(target, content)
        self._files[name] = fact
        self._staged.append(name)

    def keep(self, names: list[str]) -> bool:
        """Leave files of the last build as they are; False, and nothing kept, where one of them is not there any more."""
        facts = {name: self._old.get(name) for name in names}
        if not all(fact is not None and self._there(name, fact[1]) for name, fact in facts.items()):
            return False
        self._files.update({name: fact for name, fact in facts.items() if fact is not None})
        return True

    def commit(self, memory: Mapping[str, Any]) -> Written:
        """Move what was staged into place, remove what the site has no more, and remember ``memory``.

        Raises UsageError, and moves nothing, where one of the files would take the place of somebody else's.
        """
        self._writer.finish()
        for name in self._staged:
            if name not in self._old:
                _refuse_foreign(self.path, name)
        for name in self._staged:
            self._make((self.path / name).parent)
        stale = [name for name in self._old if name not in self._files]
        manifest = {"schema": _MANIFEST_SCHEMA, "files": self._files, "memory": memory}
        text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), allow_nan=False)
        (self._staging / MANIFEST).write_text(text, encoding="ascii")
        for name in sorted(self._staged, key=_turn):
            (self._staging / name).replace(self.path / name)
        (self._staging / MANIFEST).replace(self.path / MANIFEST)
        for name in stale:
            self._remove(name)
        return Written(
            folder=self.path,
            written=len(self._staged),
            unchanged=len(self._files) - len(self._staged),
            removed=len(stale),
            size=sum(fact[1] for fact in self._files.values()),
        )

    def close(self) -> None:
        """Nothing is written any more when this returns."""
        self._writer.close()

    def _make(self, folder: Path) -> None:
        if folder not in self._made:
            folder.mkdir(parents=True, exist_ok=True)
            self._made.add(folder)

    def _there(self, name: str, size: int) -> bool:
        try:
            return (self.path / name).stat().st_size == size
        except OSError:
            return False

    def _remove(self, name: str) -> None:
        """Remove a file of an earlier build, and the folders that it leaves empty."""
        target = self.path / name
        with contextlib.suppress(OSError):
            target.unlink()
            for parent in target.parents:
                if parent == self.path:
                    break
                parent.rmdir()


class _Writer:
    """Writes files in the order in which they come, beside what is made meanwhile: the disk is waited for once, at the end."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="crt-site")
        self._pending: deque[tuple[Future[int], int]] = deque()
        self._waiting = 0

    def write(self, target: Path, content: bytes) -> None:
        """Have it written. Raises the OSError of an earlier file that could not be."""
        self._pending.append((self._pool.submit(target.write_bytes, content), len(content)))
        self._waiting += len(content)
        while self._pending and (self._waiting > _WAITING or self._pending[0][0].done()):
            self._take()

    def finish(self) -> None:
        """Wait until all of it is written. Raises OSError where it could not be."""
        while self._pending:
            self._take()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _take(self) -> None:
        future, size = self._pending.popleft()
        self._waiting -= size
        future.result()


@contextlib.contextmanager
def building(path: Path) -> Iterator[Folder]:
    """Build a site in the folder ``path``, which is made if need be. Without :meth:`Folder.commit` nothing changes.

    Raises UsageError where the folder holds somebody else's files under names that a site needs, ToolError where it cannot be
    written or another build is at it.
    """
    with _tool_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        path = path.resolve()
        with _alone(path):
            old = _manifest(path)
            if not old:
                _refuse_foreign(path, "index.html")
            for left in path.glob(f"{_STAGING}*"):
                shutil.rmtree(left, ignore_errors=True)
            staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=path))
            folder = Folder(path, staging, old)
            try:
                yield folder
            finally:
                folder.close()
                shutil.rmtree(staging, ignore_errors=True)


def write_file(path: Path, content: bytes) -> None:
    """Write one file whole or not at all. Raises ToolError."""
    with _tool_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(path) as stream:
            stream.write(content)


def _turn(name: str) -> tuple[int, str]:
    """Data and assets first, then pages, the index last: no page ever asks for what is not there yet."""
    if not name.endswith(".html"):
        return (0, name)
    return (2 if name == "index.html" else 1, name)


def _manifest(path: Path) -> dict[str, Any]:
    """What the last build left in the folder; empty where none did, or where it cannot be read.

    Raises UsageError where it is the manifest of something else.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(manifest, dict):
        return {}
    if "schema" not in manifest:
        raise _foreign(path, MANIFEST)
    if manifest["schema"] != _MANIFEST_SCHEMA:
        return {}
    files = manifest.get("files")
    if not isinstance(files, dict) or not isinstance(manifest.get("memory"), dict):
        return {}
    sound = all(
        isinstance(fact, list) and len(fact) == 2 and isinstance(fact[1], int) and _inside(name)
        for name, fact in files.items()
    )
    return manifest if sound else {}


def _inside(name: str) -> bool:
    """Whether a name of the manifest stays within the folder: nothing else is ever removed."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts


#: What a file of a site has in it, whichever crt wrote it, by the end of its name.
_MARKS = {".html": b"Drawn by crt ", ".atom": b"urn:crt:report:changes", ".js": b"crt.data("}


def _refuse_foreign(path: Path, name: str) -> None:
    """Raises UsageError where the folder has that file and no manifest that tells of it, unless crt wrote it all the same.

    The manifest comes last: a build that was killed before has left files without one, and so has who lost it.
    """
    target = path / name
    if os.path.lexists(target) and not (target.is_file() and _is_ours(path, name)):
        raise _foreign(path, name)


def _is_ours(path: Path, name: str) -> bool:
    """Scripts and styles say nothing of who wrote them: those are the site's whose data are beside them."""
    told = "data/search.js" if name.startswith("static/") else name
    mark = _MARKS.get(PurePosixPath(told).suffix)
    try:
        return mark is not None and mark in (path / told).read_bytes()
    except OSError:
        return False


def _foreign(path: Path, name: str) -> UsageError:
    return UsageError(
        f"{path} has a file that crt did not write: {name}",
        hint="choose another folder with --out, or remove that file",
    )


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the folder while it is built. Where there is no flock (Windows) two builds at once are not told apart."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    number = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ToolError(
                f"another crt report is writing {path}", hint="wait for it, or choose another --out"
            ) from error
        except OSError as error:
            if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}:
                raise
        yield
    finally:
        os.close(number)


@contextlib.contextmanager
def _tool_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (NotADirectoryError, FileExistsError) as error:
        raise UsageError(
            f"{error.filename or path} is not a folder", hint="choose another folder with --out"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "the site that was there is as it was"
        if error.errno == errno.ENOSPC:
            hint = "make room, or choose a folder elsewhere with --out; the site that was there is as it was"
        raise ToolError(f"cannot write {path}: {reason}", hint=hint) from error
