"""Files that are there whole or not at all, whatever is killed or full meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


#: Links that are followed, as by Linux itself.
_MOST_LINKS = 40


def part_of(file: Path) -> Path:
    """What a file is written as until it is whole; a leftover of this name can be removed."""
    return file.with_name(f".{file.name}.part")


def write(file: Path, content: bytes, *, like: Path | None = None) -> None:
    """Write or replace a file, with the permissions of ``like``. Raises OSError; the file is then as it was.

    Links and what is no file are treated as by :func:`replacing`.
    """
    target = _replaceable(file)
    if target is None:
        file.write_bytes(content)
        return
    part = part_of(target)
    try:
        part.write_bytes(content)
        if like is not None:
            part.chmod(like.stat().st_mode)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[IO[bytes]]:
    """A stream whose content takes the place of the file when it is whole. Raises OSError; the file is then as it was.

    A link stays, and what it leads to is replaced. What is no file, as ``/dev/null``, ``/dev/stdout`` or a pipe, is written
    into: a name in its place would take it from everybody.
    """
    target = _replaceable(file)
    if target is None:
        with file.open("wb") as stream:
            yield stream
        return
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666 & ~_umask()
    number, name = tempfile.mkstemp(prefix=f".{target.name[:40]}-", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(number, "wb") as stream:
            yield stream
        part.chmod(mode)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames in it survive a power cut, where the system can. Raises OSError."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _replaceable(file: Path) -> Path | None:
    """The file that another may take the place of, its links followed; None where it is no file."""
    for _ in range(_MOST_LINKS):
        if not file.is_symlink():
            break
        file = file.parent / file.readlink()
        if file.is_relative_to("/proc"):
            return None  # an open file of this process, whatever it is
    try:
        return file if stat.S_ISREG(file.stat().st_mode) else None
    except FileNotFoundError:
        return file


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
