"""What is in the cache of data sets: what today's recipes make, and what nothing reads any more."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.scale import NAMES, Scale
from coiled_runtime_cli.datasets import cache as cached
from coiled_runtime_cli.datasets.cache import Step
from coiled_runtime_cli.datasets.recipe import key_of
from coiled_runtime_cli.locations import size_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from coiled_runtime_cli.datasets.cache import Manifest
    from coiled_runtime_cli.datasets.recipe import Parameters, Recipe

_COMPLETE = re.compile(r"([a-z][a-z0-9_]*)-([0-9a-f]{12})")
_UNFINISHED = re.compile(r"\.(([a-z][a-z0-9_]*)-[0-9a-f]{12})\.(?:partial|old)-.+")
_LOCK = re.compile(r"\.([a-z][a-z0-9_]*-[0-9a-f]{12})\.lock")


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
    sha256: str | None = None  # of all files, see :class:`cache.Manifest`; None unless it is made
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
    folder = cached.folder_of(recipe, parameters, cache)
    manifest = cached.read_manifest(folder)
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
    recipe, manifest = recipes.get(name), cached.read_manifest(path)
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
    return _modified(folder / cached.MANIFEST)


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


# Verify


@dataclass(frozen=True, slots=True)
class Verdict:
    folder: Folder
    harms: tuple[tuple[str, str], ...]  # path of a file, and what is wrong with it


def verify(found: Sequence[Folder]) -> Iterator[Step | Verdict]:
    """Read every file of the data sets, one verdict each; unfinished ones are left out."""
    whole = [each for each in found if each.kind is not Kind.UNFINISHED]
    total, done = float(max(1, sum(each.bytes for each in whole))), 0.0
    for folder in whole:
        yield Step(folder.name, done, total)
        if folder.manifest is None:
            yield Verdict(folder, ((cached.MANIFEST, "missing, or no manifest"),))
            done += folder.bytes
            continue
        harms = []
        for file, harm in cached.harms(folder.path, folder.manifest.files):
            done += file.bytes
            yield Step(folder.name, done, total)
            if harm is not None:
                harms.append((file.path, harm))
        yield Verdict(folder, _once_more(folder) if harms else ())


def _once_more(folder: Folder) -> tuple[tuple[str, str], ...]:
    """What is wrong when nobody is writing: another process may have been about to repair it."""
    with contextlib.ExitStack() as stack:
        lock = cached.lock_of(folder.path)
        if lock.exists():
            with contextlib.suppress(OSError):
                stack.enter_context(cached.locked(lock))
        manifest = cached.read_manifest(folder.path)
        if manifest is None:
            return ((cached.MANIFEST, "missing, or no manifest"),)
        return tuple((file.path, harm) for file, harm in cached.harms(folder.path, manifest.files) if harm is not None)


def remedy(recipes: Mapping[str, Recipe], folder: Folder) -> tuple[Recipe, Parameters] | None:
    """What makes the data set of this folder; None where no recipe of today does."""
    recipe = recipes.get(folder.name)
    if recipe is None or folder.kind not in (Kind.CURRENT, Kind.OTHER_SCALE):
        return None
    if folder.scales:
        return recipe, recipe.parameters(Scale.parse(folder.scales[0]))
    return (recipe, folder.manifest.parameters) if folder.manifest is not None else None


# Prune


@dataclass(frozen=True, slots=True)
class Pruned:
    folder: Folder
    kept: str | None  # why it is still there; None: it is removed, or would be
    failed: bool = False  # the system refused


def prune(
    found: Sequence[Folder], *, unused_since: float | None = None, keep_current: bool = True, dry_run: bool = False
) -> Iterator[Pruned]:
    """Remove what nothing reads; without ``keep_current`` also what does no harm but take space.

    ``unused_since`` (s since 1970): only what nobody has used since then. What a process is writing or reading stays.
    """
    wanted = STALE if keep_current else STALE | {Kind.CURRENT, Kind.NEWER_VERSION}
    for folder in found:
        if folder.kind not in wanted or (folder.manifest is None and folder.kind is not Kind.UNFINISHED):
            continue
        if unused_since is not None and (folder.used is None or folder.used >= unused_since):
            continue
        yield _removed(folder, dry_run=dry_run)


def _removed(folder: Folder, *, dry_run: bool) -> Pruned:
    lock = cached.lock_of(folder.base)
    try:
        with contextlib.ExitStack() as stack:
            alone = False
            if lock.exists() or not dry_run:
                alone = stack.enter_context(cached.locked(lock, wait=False))
            if folder.kind is Kind.UNFINISHED and not alone and not dry_run:
                return Pruned(folder, "nobody knows whether it is being written: there are no locks here")
            if cached.is_read(folder.path):
                return Pruned(folder, "a process is reading it")
            if not dry_run:
                _remove(folder)
                if not folder.base.exists():
                    lock.unlink(missing_ok=True)
    except BlockingIOError:
        return Pruned(folder, "a process is writing it")
    except OSError as error:
        return Pruned(folder, error.strerror or str(error), failed=True)
    return Pruned(folder, None)


def _remove(folder: Folder) -> None:
    if folder.path.is_symlink():
        return
    if folder.kind is Kind.UNFINISHED:
        shutil.rmtree(folder.path)
        return
    # out of the way first: a process that is killed here leaves something unfinished, and no half data set
    old = Path(tempfile.mkdtemp(prefix=f".{folder.path.name}.old-", dir=folder.path.parent))
    folder.path.rename(old / folder.path.name)
    shutil.rmtree(old)


def remove_idle_locks(cache: Path) -> None:
    """Remove the lock files of data sets that are no longer there."""
    for lock in sorted(cache.glob(".*.lock")):
        match = _LOCK.fullmatch(lock.name)
        if match is None or lock.with_name(match[1]).exists() or lock.is_symlink():
            continue
        with contextlib.suppress(OSError), cached.locked(lock, wait=False) as alone:
            if alone and not lock.with_name(match[1]).exists():
                lock.unlink(missing_ok=True)
