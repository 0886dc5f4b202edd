"""Where the files that crt ships are: beside the package in a checkout, inside it when installed; how large a folder is."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


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


def size_of(folder: Path) -> int:
    """Bytes of the files below a folder, links not followed; what vanishes meanwhile counts as nothing."""
    total = 0
    for parent, _, names in os.walk(folder):  # passes over what it cannot open
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).lstat().st_size
    return total
