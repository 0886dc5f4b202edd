"""The files that a release reads and changes: text, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli import atomic
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def write(file: Path, text: str) -> None:
    """Replace a file's text whole or not at all, its line ends as they were. Raises ToolError."""
    try:
        if b"\r\n" in file.read_bytes():
            text = text.replace("\n", "\r\n")
        atomic.write(file, text.encode(), like=file)
    except OSError as error:
        raise ToolError(f"{file} cannot be written: {error.strerror or error}") from error


def text_of(file: Path) -> str:
    """Raises UsageError."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
