"""``[tool.crt.build]``: what the metapackage is made from, and where it goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from coiled_runtime_cli.config.settings import Config

#: Keys that are folders, which start from the file that names them.
BUILD_FOLDERS = ("recipe", "output_folder")

#: Keys of ``[tool.crt.build]``.
BUILD_KEYS = (*BUILD_FOLDERS, "channels", "nightly_channel", "repositories")


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """``repositories`` are those that nightly wheels are made from, by project."""

    recipe: Path | None = None
    output_folder: Path | None = None
    channels: tuple[str, ...] | None = None
    nightly_channel: str | None = None
    repositories: dict[str, str] = field(default_factory=dict)


def build_settings(settings: Config) -> BuildSettings:
    """What ``[tool.crt.build]`` says. Raises UsageError on a key or a value that the table cannot have."""
    origin = settings.origin("build")
    found: dict[str, Any] = {}
    for key, value in settings.build.items():
        if key not in BUILD_KEYS:
            raise UsageError(f"build.{key} ({origin}): {unknown('key', key, BUILD_KEYS)}")
        if key == "channels":
            fits = isinstance(value, list) and bool(value) and all(isinstance(each, str) and each for each in value)
            expected = 'a list of texts, as ["conda-forge"]'
        elif key == "repositories":
            fits = isinstance(value, dict) and all(isinstance(each, str) and each for each in value.values())
            expected = "a table of addresses by project"
        else:
            fits, expected = isinstance(value, str) and bool(value.strip()), "a text that is not empty"
        if not fits:
            raise UsageError(f"build.{key} ({origin}): expected {expected}, not {value!r}")
        found[key] = tuple(value) if key == "channels" else Path(value) if key in BUILD_FOLDERS else value
    return BuildSettings(**found)
