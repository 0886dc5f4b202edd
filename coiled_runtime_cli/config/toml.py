"""A file of TOML, or a message that names it and says what is wrong with it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def read_toml(file: Path) -> dict[str, Any]:
    """A whole file of TOML. Raises UsageError, naming it, where it cannot be read or is none."""
    return parse_toml(file, content_of(file))


def content_of(file: Path) -> bytes:
    """What is in a file. Raises UsageError, naming it, where it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error


def parse_toml(file: Path, content: bytes) -> dict[str, Any]:
    """What would be read of a file with this content. Raises UsageError, naming it, where that is no TOML."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError as error:
            raise UsageError(
                f"{file}: Python 3.10 needs tomli to read it", hint="python -m pip install tomli, or crt --no-config"
            ) from error
    try:
        table: dict[str, Any] = tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except (
        ValueError,
        RecursionError,
    ) as error:  # a TOMLDecodeError is one; so are numbers and nesting beyond all measure
        raise UsageError(f"{file}: is not valid TOML: {error}") from error
    return table
