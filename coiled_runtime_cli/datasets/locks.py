"""Who writes a data set, and who reads it: locks that a process which dies lets go of."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from coiled_runtime_cli.datasets.manifest import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

try:
    import fcntl
except ImportError:  # no POSIX: two first runs at once do the work twice, and the first to finish wins
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)

#: What this process reads: by folder, the open manifest that it holds a shared lock on.
_held: dict[Path, int] = {}


def lock_of(folder: Path) -> Path:
    """The file that whoever writes this data set locks."""
    return folder.with_name(f".{folder.name}.lock")


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


def hold(folder: Path) -> None:
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
