"""A folder as a store: on this machine, or on a share that several have mounted."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import atomic
from coiled_runtime_cli.errors import RemoteError, UsageError
from coiled_runtime_cli.sync.store import (
    Head,
    Listed,
    MissingObjectError,
    OversizedObjectError,
    Usage,
    is_safe,
    keeps_conditions,
)

try:
    import fcntl
except ImportError:  # Windows: two publishers at once are then told apart by their etags alone
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Files of this prefix are not objects: they are being written, or were when their writer was killed.
_HIDDEN = "."
_LOCK = ".lock"

#: What the file systems without hard links answer.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FolderStore:
    """Objects as files. One appears under its name when it is whole and on the disk, as the only one of that name."""

    def __init__(self, root: Path) -> None:
        self.usage = Usage()
        self._root = root

    @property
    def name(self) -> str:
        return str(self._root)

    @property
    def identity(self) -> str:
        return str(self._root.absolute())

    def list(self, prefix: str, *, after: str = "") -> Iterator[Listed]:
        self.usage.add(requests=1)
        with self._errors():
            yield from (each for each in self._found(prefix) if each.key > after)

    def _found(self, prefix: str) -> Iterator[Listed]:
        top = self._root.joinpath(*prefix.split("/")[:-1])
        found = []
        for folder, names, files in os.walk(top, onerror=_unless_missing):
            names[:] = [name for name in names if not name.startswith(_HIDDEN)]
            for name in files:
                path = Path(folder, name)
                key = path.relative_to(self._root).as_posix()
                if not name.startswith(_HIDDEN) and key.startswith(prefix):
                    with contextlib.suppress(FileNotFoundError):
                        found.append(Listed(key, path.stat().st_size))
        yield from sorted(found, key=lambda each: each.key)

    def head(self, key: str) -> Head | None:
        self.usage.add(requests=1)
        with self._errors():
            try:
                return _head(self._path(key))
            except FileNotFoundError:
                return None

    def get(self, key: str, *, limit: int) -> bytes:
        self.usage.add(requests=1)
        with self._errors(), self._opened(key) as stream:
            content: bytes = stream.read(limit + 1)
        if len(content) > limit:
            raise OversizedObjectError(f"{self.name}: {key} has more than {limit:,} bytes")
        self.usage.add(received=len(content))
        return content

    def download(self, key: str, target: Path) -> Head:
        self.usage.add(requests=1)
        with self._errors(), self._opened(key) as stream:
            try:
                with target.open("wb") as copy:
                    shutil.copyfileobj(stream, copy, 2**20)
                # of the very file that was read: a publisher may have put another in its place since
                head = _head_of(os.fstat(stream.fileno()))
            except BaseException:
                target.unlink(missing_ok=True)
                raise
        self.usage.add(received=head.size)
        return head

    def put(
        self,
        key: str,
        content: bytes | Path,
        *,
        absent: bool = False,
        match: str | None = None,
        metadata: Mapping[str, str] | None = None,  # noqa: ARG002 - a file has none, and an answer from a folder is not lost
    ) -> bool:
        self.usage.add(requests=1)
        target = self._path(key)
        with self._errors():
            self._make(target.parent)
            number, name = tempfile.mkstemp(prefix=f"{_HIDDEN}{target.name[:40]}-", dir=target.parent)
            temporary = Path(name)
            try:
                with os.fdopen(number, "wb") as stream:
                    size = _write(stream, content)
                temporary.chmod(0o666 & self._mode())
                stored = self._place(temporary, target, absent=absent, match=match)
            finally:
                temporary.unlink(missing_ok=True)
            if stored:
                with contextlib.suppress(OSError):  # not every share can
                    atomic.sync_folder(target.parent)
                self.usage.add(sent=size)
        return stored

    def delete(self, key: str) -> None:
        self.usage.add(requests=1)
        with self._errors():
            self._path(key).unlink(missing_ok=True)

    def is_conditional(self) -> bool:
        return keeps_conditions(self)

    def stop(self) -> None:
        """A folder is asked once."""

    def _place(self, temporary: Path, target: Path, *, absent: bool, match: str | None) -> bool:
        if absent:
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                with self._locked():
                    if target.exists():
                        return False
                    temporary.replace(target)
            return True
        with self._locked():
            if match is not None:
                try:
                    there = _head(target).etag
                except FileNotFoundError:
                    return False
                if there != match:
                    return False
            temporary.replace(target)
        return True

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Between looking and replacing nobody else may do so."""
        lock = self._root / _LOCK
        is_new = not lock.exists()
        with lock.open("a") as stream:
            if is_new:
                _permit(lock, 0o666 & self._mode())
            if fcntl is not None:
                fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _make(self, folder: Path) -> None:
        """Make a folder that everybody may write to who may write to the remote's own, whatever this user's umask is."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        inside = [each for each in reversed(missing) if each.is_relative_to(self._root)]
        if missing:
            missing[0].mkdir(parents=True, exist_ok=True)
        for each in inside:
            if each != self._root:
                _permit(each, self._mode())

    def _mode(self) -> int:
        """What the remote's own folder permits, and what this user's umask does."""
        return stat.S_IMODE(self._root.stat().st_mode) | (0o777 & ~_umask())

    @contextlib.contextmanager
    def _opened(self, key: str) -> Iterator[_Binary]:
        try:
            stream = self._path(key).open("rb")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MissingObjectError(f"{self.name} has no {key}") from error
        with stream:
            yield stream

    def _path(self, key: str) -> Path:
        if not is_safe(key):
            raise UsageError(f"{key!r} is no name for an object")
        return self._root / key

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = "is the folder there, and may you write to it?"
            if error.errno in _NO_ROOM:
                hint = "make room there, and say it again: what has arrived stays"
            raise RemoteError(f"{self.name}: {error.strerror or error}", hint=hint) from error


if TYPE_CHECKING:
    from typing import BinaryIO as _Binary


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def _write(stream: _Binary, content: bytes | Path) -> int:
    """Write all of it, and see it on the disk before anyone sees the file."""
    if isinstance(content, Path):
        with content.open("rb") as source:
            shutil.copyfileobj(source, stream, 2**20)
    else:
        stream.write(content)
    stream.flush()
    os.fsync(stream.fileno())
    return stream.tell()


def _head(path: Path) -> Head:
    return _head_of(path.stat())


def _head_of(status: os.stat_result) -> Head:
    # a file is never changed, only replaced by another: which one it is its number and time tell
    told = f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"
    return Head(status.st_size, hashlib.sha256(told.encode()).hexdigest()[:32])


def _permit(path: Path, mode: int) -> None:
    """As far as the file system knows of that, and the file is this user's."""
    with contextlib.suppress(OSError):
        path.chmod(mode)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
