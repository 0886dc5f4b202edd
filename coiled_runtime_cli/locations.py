"""Where the files that crt ships are: beside the package in a checkout, inside it when installed. And what is said of paths."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent

#: JSON Schemas of what commands write with ``--format json``: ``sync_push.schema.json``.
SCHEMAS = PACKAGE / "schemas"


def _shipped(name: str, marker: str) -> Path:
    beside = PACKAGE.parent / name
    if (beside / marker).is_file() and (PACKAGE.parent / "pyproject.toml").is_file():
        return beside
    return PACKAGE / "shipped" / name


def migrations_folder() -> Path:
    return _shipped("alembic", "env.py")


def suites_folder() -> Path:
    return _shipped("suites", "pytest.ini")


def recipe_folder() -> Path:
    return _shipped("recipe", "meta.yaml")


def expanded(path: str | Path) -> Path:
    """A path whose ``~`` is somebody's home. Of somebody whom there is not it stays as it is, as in a shell."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  Path.expanduser() raises then


def size_of(folder: Path) -> int:
    """Bytes of the files below a folder, links not followed; what vanishes meanwhile counts as nothing."""
    total = 0
    for parent, _, names in os.walk(folder):  # passes over what it cannot open
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).lstat().st_size
    return total
