"""Files that are there whole or not at all, whatever is killed or full meanwhile."""

from __future__ import annotations

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
