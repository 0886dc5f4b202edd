"""What a data set's folder is said to hold: its manifest, read and written."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.datasets.files import StoredFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe

MANIFEST = "manifest.json"
_MANIFEST_SCHEMA = 1


class _Files:
    """What is said of all files of a data set together."""

    __slots__ = ()
    files: tuple[StoredFile, ...]

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.files)

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.files)

    @property
    def sha256(self) -> str:
        """One hash for all files: that of the lines which ``sha256sum`` would write of them."""
        return hashlib.sha256("".join(f"{each.sha256}  {each.path}\n" for each in self.files).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Manifest(_Files):
    """What a data set's folder is said to hold."""

    name: str
    version: int
    seed: int
    parameters: Parameters
    files: tuple[StoredFile, ...]


@dataclass(frozen=True, slots=True)
class Stored(_Files):
    """A complete data set in its folder, and what this call had to do for it."""

    folder: Path
    files: tuple[StoredFile, ...]
    generated: bool = False
    repaired: bool = False


def folder_of(recipe: Recipe, parameters: Parameters, cache: Path) -> Path:
    """Where the data set of ``recipe`` is below ``cache``, there or not."""
    return cache.absolute() / f"{recipe.name}-{recipe.key(parameters)}"


def read_manifest(folder: Path) -> Manifest | None:
    """What the manifest promises, unverified; None where there is none that can be read."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if content["schema"] != _MANIFEST_SCHEMA:
            return None
        return Manifest(
            str(content["name"]),
            int(content["version"]),
            int(content["seed"]),
            dict(content["parameters"]),
            tuple(
                StoredFile(_inside(each["path"]), int(each["bytes"]), str(each["sha256"]), int(each["rows"]))
                for each in content["files"]
            ),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _inside(path: Any) -> str:
    """The path, if it leads to a place below the data set's folder. Raises ValueError if not."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise ValueError(f"not below the folder: {path}")
    return str(path)


def as_planned(folder: Path, plan: tuple[PlannedFile, ...]) -> Stored | None:
    """What is there, unverified; None where no manifest says so, or one that is about other files."""
    found = read_manifest(folder)
    if found is None or [(each.path, each.rows) for each in found.files] != [(each.path, each.rows) for each in plan]:
        return None
    return Stored(folder, found.files)


def write_manifest(folder: Path, recipe: Recipe, parameters: Parameters, files: tuple[StoredFile, ...]) -> None:
    """Say what ``folder`` holds: the manifest is there whole, or as it was before."""
    content: Mapping[str, Any] = {
        "schema": _MANIFEST_SCHEMA,
        "name": recipe.name,
        "version": recipe.version,
        "seed": recipe.seed,
        "parameters": dict(parameters),
        "rows": sum(each.rows for each in files),
        "files": [asdict(each) for each in files],
    }
    temporary = folder / f"{MANIFEST}.tmp"
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(folder / MANIFEST)
