"""Folders below the user's home, crt's own and those of other tools."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import locations

if TYPE_CHECKING:
    from collections.abc import Mapping


def home(environ: Mapping[str, str], variable: str, fallback: str) -> Path:
    """A folder of the XDG base directory specification, which says to ignore relative ones."""
    folder = environ.get(variable, "")
    if folder and Path(folder).is_absolute():
        return Path(folder)
    return Path(environ.get("HOME") or os.path.expanduser("~")) / fallback  # noqa: PTH111  Path.home() may raise


def conda_cache() -> Path:
    """Where what channels say, and their packages, are kept between commands."""
    return home(os.environ, "XDG_CACHE_HOME", ".cache") / "crt" / "conda"


def aws_files() -> tuple[Path, Path]:
    """Where AWS's tools keep their profiles."""
    folder = home(os.environ, "", ".aws")
    named = (os.environ.get("AWS_CONFIG_FILE"), os.environ.get("AWS_SHARED_CREDENTIALS_FILE"))
    config_file, credentials = (locations.expanded(each) if each else None for each in named)
    return config_file or folder / "config", credentials or folder / "credentials"
