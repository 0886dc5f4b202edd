"""Which value holds: defaults < user file < project file < environment < flags."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import locations
from coiled_runtime_cli.config.database import artifacts_folder, runs_folder
from coiled_runtime_cli.config.file_values import add_file
from coiled_runtime_cli.config.files import config_files, table_of
from coiled_runtime_cli.config.home_folders import home
from coiled_runtime_cli.config.settings import COMMAND_TABLES, KEYS, Config
from coiled_runtime_cli.config.values import READERS, Given
from coiled_runtime_cli.config.variables import from_environment
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class _Files:
    chosen: Path | None = None
    ignored: bool = False


_files = _Files()


def choose_files(config_file: Path | None, *, no_config: bool) -> None:
    """Say once, for every later ``load``, what ``--config`` and ``--no-config`` said."""
    _files.chosen, _files.ignored = config_file, no_config


def load(
    flags: Mapping[str, object] | None = None,
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    config_file: Path | None = None,
    no_config: bool = False,
) -> Config:
    """Read the configuration that holds in ``folder`` (the working folder).

    ``flags`` are by key; None is "not given". ``config_file`` is read instead of the user's and the project's
    file; with ``no_config`` none is read. Raises UsageError that names the file, variable or flag,
    the key and what was expected.
    """
    environ = os.environ if environ is None else environ
    config_file, no_config = config_file or _files.chosen, no_config or _files.ignored
    if config_file is not None and no_config:
        raise UsageError("--config and --no-config contradict each other", hint="give one of them")
    here = _working_folder() if folder is None else folder.absolute()
    given: dict[str, Given] = {}
    files: list[Path] = []
    for file, title in [] if no_config else config_files(here, environ, config_file):
        table = table_of(file)
        if table is None:
            continue
        files.append(file)
        add_file(given, table, file, title)
    written = given.get("sync")
    given.update(from_environment(environ, folder))
    if written is not None and given["sync"] is not written:
        variables = given["sync"]
        values_of_both = {**READERS["sync"](written), **READERS["sync"](variables)}
        given["sync"] = Given(values_of_both, f"{written.origin}, {variables.origin}", variables.place, None)
    for key, value in (flags or {}).items():
        if key not in KEYS:
            raise ValueError(unknown("key", key, KEYS))
        if value is not None:
            flag = "--" + key.replace("_", "-")
            given[key] = Given(value, flag, flag, folder)
    values = {key: READERS[key](each) for key, each in given.items()}
    database = values.setdefault("db", "benchmark.db" if folder is None else str(here / "benchmark.db"))
    defaults: dict[str, Any] = {
        "suites": locations.suites_folder(),
        "data": home(environ, "XDG_CACHE_HOME", ".cache") / "crt" / "datasets",
        "history": home(environ, "XDG_CACHE_HOME", ".cache") / "crt" / "history",
        "environments": home(environ, "XDG_CACHE_HOME", ".cache") / "crt" / "environments",
        "cluster": "local",
        "clusters": {},
        "cluster_override": None,
        "scale": "laptop",
        "label": "local",
        "timeout": 3600.0,
        "precision": 0.05,
        "max_time": 1800.0,
        "software": None,
        "ci_url": None,
        "scratch": None,
        "artifacts": str(artifacts_folder(database, environ)),
        "runs": runs_folder(database, environ),
        **{name: {} for name in COMMAND_TABLES},
    }
    origins = {key: each.origin for key, each in given.items()}
    return Config(**{**defaults, **values}, files=tuple(files), origins=origins)


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the working folder no longer exists", hint="change to a folder that does") from error
