"""The file of a database, and what lies beside it: journals and artefacts. Those of a server are in the user's state folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli.config.home_folders import home

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coiled_runtime_cli.config.settings import Config


def sqlite_file(db: str) -> Path | None:
    """The file of an SQLite database given by path or URL; None for a server, or a database in memory."""
    if "://" not in db:
        return None if db == ":memory:" else Path(db)
    scheme, _, rest = db.partition("://")
    path = rest.partition("?")[0].removeprefix("/")
    return Path(path) if scheme.partition("+")[0] == "sqlite" and path not in {"", ":memory:"} else None


def artifacts(settings: Config) -> tuple[Path, str | None]:
    """The folder that artefacts are written to, and the URL that they are uploaded below; None: they stay in the folder."""
    if "://" in settings.artifacts:
        return artifacts_folder(settings.db, os.environ), settings.artifacts
    return Path(settings.artifacts), None


def runs_folder(db: str, environ: Mapping[str, str]) -> Path:
    """Where journals are kept until the database has them."""
    file = sqlite_file(db)
    return file.parent / "crt-runs" if file is not None else _state(environ) / "runs" / _server_name(db)


def artifacts_folder(db: str, environ: Mapping[str, str]) -> Path:
    """Where artefacts are kept, unless the settings name a place."""
    file = sqlite_file(db)
    if file is not None:
        # "." and "/" have no name: that no database is there is said elsewhere
        return file.parent / f"{file.stem}-artifacts"
    return _state(environ) / "artifacts" / _server_name(db)


def _state(environ: Mapping[str, str]) -> Path:
    return home(environ, "XDG_STATE_HOME", ".local/state") / "crt"


def _server_name(db: str) -> str:
    import hashlib

    return hashlib.sha256(re.sub(r"(://[^/@]*?):[^/]*@", r"\1@", db).encode()).hexdigest()[:16]
