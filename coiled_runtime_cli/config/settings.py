"""The settings: the value of each key, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.config.passwords import masked

if TYPE_CHECKING:
    from pathlib import Path

#: Tables that belong to one command each, kept as they are written.
COMMAND_TABLES = ("sync", "build", "report", "detect", "bisect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    db: str  # path of an SQLite file, or an SQLAlchemy URL
    suites: Path
    data: Path  # cache of data sets
    history: Path  # cache of what was read from databases
    environments: Path  # cache of environments that were made to be measured
    cluster: str  # local, coiled, an address, or a name in ``clusters``
    clusters: dict[str, dict[str, Any]]
    cluster_override: Path | None  # file of cluster shapes, merged over those of the suites
    scale: str
    label: str  # the runtime under test
    timeout: float  # s, for each test
    precision: float  # half-width of the interval that ``--repeat auto`` stops at, as a fraction
    max_time: float  # s, that ``--repeat auto`` may take
    software: str | None  # Coiled software environment
    ci_url: str | None  # of the CI run that is measuring
    scratch: str | None  # folder or URL prefix for what tests write
    artifacts: str  # folder or URL prefix for performance reports, profiles and cluster dumps
    runs: Path  # journals of sessions that are not yet in the database
    sync: dict[str, Any]
    build: dict[str, Any]
    report: dict[str, Any]
    detect: dict[str, Any]
    bisect: dict[str, Any]
    files: tuple[Path, ...] = ()  # that were read, the weakest first
    origins: dict[str, str] = field(default_factory=dict)

    def origin(self, key: str) -> str:
        """Where the value came from: "default", "user file PATH", "PATH", "CRT_DB" or "--db"."""
        return self.origins.get(key, "default")

    def shown(self, key: str) -> str:
        """The value as text for people, as it could be written: without passwords, and "" for what is not set."""
        value = getattr(self, key)
        if value is None:
            return ""
        if isinstance(value, float):
            return f"{value * 100:g}%" if key == "precision" else f"{value:g} s"
        if isinstance(value, dict):
            import json

            return masked(json.dumps(value, default=str)) if value else ""
        return masked(str(value))


KEYS = (
    "db",
    "suites",
    "data",
    "history",
    "environments",
    "cluster",
    "clusters",
    "cluster_override",
    "scale",
    "label",
    "timeout",
    "precision",
    "max_time",
    "software",
    "ci_url",
    "scratch",
    "artifacts",
    "runs",
    *COMMAND_TABLES,
)
TABLES = ("clusters", *COMMAND_TABLES)
