"""The files that are read, and the table of crt in each.

The user file is ``$XDG_CONFIG_HOME/crt/config.toml``; the project file is the nearest ``crt.toml`` (or
``pyproject.toml`` with a ``[tool.crt]`` table) in the working folder or above it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import locations
from coiled_runtime_cli.config.home_folders import home
from coiled_runtime_cli.config.toml import content_of, parse_toml
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def user_file(environ: Mapping[str, str] | None = None) -> Path:
    """Where the user's own configuration is, or would be."""
    return home(os.environ if environ is None else environ, "XDG_CONFIG_HOME", ".config") / "crt" / "config.toml"


def config_files(here: Path, environ: Mapping[str, str], chosen: Path | None) -> Iterator[tuple[Path, str]]:
    """The files to read, the weakest first, each with how its values' origin is written."""
    if chosen is not None:
        file = here / locations.expanded(chosen)
        if not file.exists() or file.is_dir():  # /dev/null is an empty one, and <(...) a pipe
            raise UsageError(f"--config: no such file: {file}")
        yield file, str(file)
        return
    user = user_file(environ)
    if user.is_file():
        yield user, f"user file {user}"
    for folder in (here, *here.parents):
        for name in ("crt.toml", "pyproject.toml"):
            file = folder / name
            if file.is_file() and table_of(file) is not None:
                yield file, str(file)
                return


def table_of(file: Path) -> dict[str, Any] | None:
    """The table of crt in a file; None for a ``pyproject.toml`` that has none."""
    content = content_of(file)
    embedded = file.name == "pyproject.toml"
    if embedded and b"crt" not in content:
        return None
    table: object = parse_toml(file, content)
    for part in ("tool", "crt") if embedded else ():
        table = table.get(part) if isinstance(table, dict) else None
        if table is None:
            return None
    if not isinstance(table, dict):
        raise UsageError(f"{file}: tool.crt: expected a table, not {table!r}")
    return table
