"""Where the files that crt ships are: beside the package in a checkout, inside it when installed."""

from __future__ import annotations

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
