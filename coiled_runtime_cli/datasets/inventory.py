"""What is in the cache of data sets: what today's recipes make, and what nothing reads any more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.scale import NAMES, Scale
from coiled_runtime_cli.datasets.manifest import MANIFEST, folder_of, read_manifest
from coiled_runtime_cli.datasets.recipe import key_of
from coiled_runtime_cli.locations import size_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from coiled_runtime_cli.datasets.manifest import Manifest
    from coiled_runtime_cli.datasets.recipe import Parameters, Recipe

_COMPLETE = re.compile(r"([a-z][a-z0-9_]*)-([0-9a-f]{12})")
_UNFINISHED = re.compile(r"\.(([a-z][a-z0-9_]*)-[0-9a-f]{12})\.(?:partial|old)-.+")


class State(str, Enum):
    """How a data set is, as far as its manifest and the sizes of its files tell."""

    MADE = "made"
    NOT_MADE = "not made"
    DAMAGED = "damaged"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class Entry:
    """A data set at one scale."""

    name: str
    summary: str
    state: State
    location: str  # folder, there or not, or URL
    version: int
    seed: int | None  # of remote data: None, and so are the next
    parameters: Parameters | None
    rows: int | None
    bytes: int | None  # as planned (approximate) unless it is made
    files: int | None
    sha256: str | None = None  # of all files, see :class:`manifest.Manifest`; None unless it is made
    used: float | None = None  # s since 1970: when it was last made or read


class Kind(str, Enum):
    """Why a folder is in the cache."""

    CURRENT = "current"  # what a recipe makes at a named scale
    OTHER_SCALE = "other scale"  # what a recipe makes at a multiple of laptop
    OLD_VERSION = "old version"  # what a recipe made once
    NEWER_VERSION = "newer version"  # what a recipe of a later crt makes
    UNKNOWN = "no recipe"  # whole, and of a name that no recipe has
    UNREADABLE = "no manifest"  # named like a data set, and nothing proves that it is one
    UNFINISHED = "unfinished"  # of a process that is writing, or was killed


#: What nothing reads. A newer version is read by another crt that shares the cache.
STALE = frozenset({Kind.OTHER_SCALE, Kind.OLD_VERSION, Kind.UNKNOWN, Kind.UNFINISHED})


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the cache that is a data set of ours, or is named as one."""

    path: Path
    name: str
    kind: Kind
    scales: tuple[str, ...]  # named scales that it is for
    manifest: Manifest | None
    bytes: int
    used: float | None

    @property
    def base(self) -> Path:
        """The folder whose lock says that somebody is writing."""
        match = _UNFINISHED.fullmatch(self.path.name)
        return self.path.with_name(match[1]) if match else self.path


def entry(recipe: Recipe, scale: Scale, cache: Path) -> Entry:
    """How the data set is at this scale; no file but the manifest is read."""
    remote = recipe.remote_at(scale)
    if remote is not None:
        version = recipe.version
        return Entry(recipe.name, recipe.summary, State.REMOTE, remote.location, version, None, None, None, None, None)
    parameters = recipe.parameters(scale)
    folder = folder_of(recipe, parameters, cache)
    manifest = read_manifest(folder)
    if manifest is not None:
        whole = all(_has_size(folder / each.path, each.bytes) for each in manifest.files)
        return Entry(
            recipe.name,
            recipe.summary,
            State.MADE if whole else State.DAMAGED,
            str(folder),
            recipe.version,
            recipe.seed,
            parameters,
            manifest.rows,
            manifest.bytes,
            len(manifest.files),
            manifest.sha256,
            _used(folder),
        )
    plan = recipe.plan(parameters)
    return Entry(
        recipe.name,
        recipe.summary,
        State.DAMAGED if folder.exists() else State.NOT_MADE,
        str(folder),
        recipe.version,
        recipe.seed,
        parameters,
        sum(each.rows for each in plan),
        sum(each.bytes for each in plan),
        len(plan),
    )


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def folders(recipes: Mapping[str, Recipe], cache: Path) -> tuple[Folder, ...]:
    """All folders that are data sets of ours or named as one. Links are not followed, and of others nothing is said."""
    try:
        there = sorted(cache.absolute().iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    found = (_folder(recipes, each) for each in there if each.is_dir() and not each.is_symlink())
    return tuple(each for each in found if each is not None)


def _folder(recipes: Mapping[str, Recipe], path: Path) -> Folder | None:
    if match := _UNFINISHED.fullmatch(path.name):
        return Folder(path, match[2], Kind.UNFINISHED, (), None, size_of(path), _modified(path))
    if not (match := _COMPLETE.fullmatch(path.name)):
        return None
    name, key = match[1], match[2]
    recipe, manifest = recipes.get(name), read_manifest(path)
    scales = _scales(recipe, key) if recipe is not None else ()
    size = manifest.bytes if manifest is not None else size_of(path)
    return Folder(path, name, _kind(recipe, name, key, manifest, scales), scales, manifest, size, _used(path))


def _kind(recipe: Recipe | None, name: str, key: str, manifest: Manifest | None, scales: tuple[str, ...]) -> Kind:
    if scales:
        return Kind.CURRENT
    if manifest is None or (name, key) != (
        manifest.name,
        key_of(manifest.name, manifest.version, manifest.seed, manifest.parameters),
    ):
        return Kind.UNREADABLE
    if recipe is None:
        return Kind.UNKNOWN
    if manifest.version > recipe.version:
        return Kind.NEWER_VERSION
    same = (manifest.version, manifest.seed) == (recipe.version, recipe.seed)
    if same and set(manifest.parameters) == set(recipe.parameters(Scale.parse("laptop"))):
        return Kind.OTHER_SCALE
    return Kind.OLD_VERSION


def _scales(recipe: Recipe, key: str) -> tuple[str, ...]:
    return tuple(each for each in NAMES if recipe.key(recipe.parameters(Scale.parse(each))) == key)


def _used(folder: Path) -> float | None:
    return _modified(folder / MANIFEST)


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
