"""Files that are there whole or not at all, whatever is killed or full meanwhile."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def part_of(file: Path) -> Path:
    """What a file is written as until it is whole; a leftover of this name can be removed."""
    return file.with_name(f".{file.name}.part")


def write(file: Path, content: bytes, *, like: Path | None = None) -> None:
    """Write or replace a file, with the permissions of ``like``. Raises OSError; the file is then as it was."""
    part = part_of(file)
    try:
        part.write_bytes(content)
        if like is not None:
            part.chmod(like.stat().st_mode)
        part.replace(file)
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
