"""Data sets on disk: generated once, verified on reuse, repaired file by file.

``<cache>/<name>-<key>/`` holds the files and, written last, ``manifest.json``: size and SHA-256 of each file. Beside
it, ``.<name>-<key>.lock`` lets one process at a time write, and ``.<name>-<key>.partial-*`` is what a process is
writing; a folder of that name found under the lock belongs to a process that died.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.quantity import bytes_text
from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe

try:
    import fcntl
except ImportError:  # no POSIX: two first runs at once do the work twice, and the first to finish wins
    fcntl = None  # type: ignore[assignment]

MANIFEST = "manifest.json"
_MANIFEST_SCHEMA = 1
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class StoredFile:
    path: str  # below the data set's folder, with "/"
    bytes: int
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A complete data set in its folder, and what this call had to do for it."""

    folder: Path
    files: tuple[StoredFile, ...]
    generated: bool = False
    repaired: bool = False

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.files)

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.files)


#: What this process has verified: by folder, its files and their (size, modification time) at that moment.
_verified: dict[Path, tuple[Stored, tuple[tuple[int, int] | None, ...]]] = {}


def obtain(recipe: Recipe, parameters: Parameters, cache: Path, progress: Callable[[float, float], None]) -> Stored:
    """The data set of ``recipe`` below ``cache``: verified if it is there, else generated or repaired.

    ``progress(done, total)`` is called in (approximate) bytes while data are generated. Raises ToolError where the
    folder cannot be written.
    """
    plan = recipe.plan(parameters)
    folder = cache.absolute() / f"{recipe.name}-{recipe.key(parameters)}"
    known = _verified.get(folder)
    if known is not None and known[1] == _stamps(folder, known[0].files):
        return known[0]
    stored = _read_manifest(folder, plan)
    # Most calls find everything in order, and need no lock for that.
    if stored is None or _damaged(stored):
        try:
            stored = _write(recipe, parameters, plan, folder, progress)
        except OSError as error:
            raise _unwritable(error, recipe.name, folder, plan) from error
    settled = Stored(stored.folder, stored.files)
    _verified[folder] = (settled, _stamps(folder, settled.files))
    return stored


def _unwritable(error: OSError, name: str, folder: Path, plan: tuple[PlannedFile, ...]) -> ToolError:
    cache = folder.parent
    hint = "name another folder for data sets: CRT_DATA=/path, or `data` in crt.toml"
    if error.errno in _FULL:
        needed = bytes_text(sum(each.bytes for each in plan))
        return ToolError(
            f"no space left in {cache}: data set {name} needs about {needed}", hint=f"free some, or {hint}"
        )
    return ToolError(f"cannot write data set {name} to {cache}: {error.strerror or error}", hint=hint)


# What is there


def _read_manifest(folder: Path, plan: tuple[PlannedFile, ...]) -> Stored | None:
    """What the manifest promises, unverified; None where there is none that can be read, or it is about other files."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = tuple(
            StoredFile(str(each["path"]), int(each["bytes"]), str(each["sha256"]), int(each["rows"]))
            for each in content["files"]
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
    same = [(each.path, each.rows) for each in files] == [(each.path, each.rows) for each in plan]
    return Stored(folder, files) if same else None


def _damaged(stored: Stored) -> tuple[StoredFile, ...]:
    """The files that are missing, or whose size or hash is not what the manifest says."""
    return tuple(each for each in stored.files if not _intact(stored.folder / each.path, each))


def _intact(path: Path, promised: StoredFile) -> bool:
    try:
        return path.stat().st_size == promised.bytes and _sha256(path) == promised.sha256
    except OSError:
        return False


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _stamps(folder: Path, files: Iterable[StoredFile]) -> tuple[tuple[int, int] | None, ...]:
    """Size and modification time of each file: they tell whether it changed since it was verified."""

    def stamp(path: Path) -> tuple[int, int] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns

    return tuple(stamp(folder / each.path) for each in files)


# Writing, one process at a time


def _write(
    recipe: Recipe,
    parameters: Parameters,
    plan: tuple[PlannedFile, ...],
    folder: Path,
    progress: Callable[[float, float], None],
) -> Stored:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(f".{folder.name}.lock")) as alone:
        if alone:
            _remove_abandoned(folder)
        stored = _read_manifest(folder, plan)
        chosen = plan
        if stored is not None:
            damaged = {each.path for each in _damaged(stored)}
            if not damaged:  # another process has done it meanwhile
                return stored
            chosen = tuple(each for each in plan if each.path in damaged)
        _require_space(folder.parent, sum(each.bytes for each in chosen))
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
        try:
            written = _generate(recipe, parameters, chosen, partial, progress)
            if stored is None:
                return _publish(recipe, parameters, written, partial, folder)
            return _repair(recipe, parameters, stored, written, partial)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold the lock file; a process that dies lets go of it. Yields False where the file system has no locks."""
    with path.open("a") as stream:
        held = False
        if fcntl is not None:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX)
                held = True
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                    raise
        yield held


def _remove_abandoned(folder: Path) -> None:
    for each in folder.parent.iterdir():
        if each.name.startswith((f".{folder.name}.partial-", f".{folder.name}.old-")):
            shutil.rmtree(each, ignore_errors=True)


def _require_space(cache: Path, needed: int) -> None:
    """Raise ENOSPC before the first byte where the disk cannot hold ``needed`` bytes."""
    if shutil.disk_usage(cache).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(cache))


def _generate(
    recipe: Recipe,
    parameters: Parameters,
    chosen: tuple[PlannedFile, ...],
    partial: Path,
    progress: Callable[[float, float], None],
) -> tuple[StoredFile, ...]:
    total = float(max(1, sum(each.bytes for each in chosen)))
    done = 0.0
    written = []
    progress(done, total)
    for file in chosen:
        target = partial / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(target.name + ".tmp")
        with temporary.open("wb") as stream:
            for rows in _WRITERS[recipe.format](stream, recipe.row_groups(parameters, file, recipe.seed), file):
                done += file.bytes * rows / file.rows
                progress(min(done, total), total)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(target)
        written.append(StoredFile(file.path, target.stat().st_size, _sha256(target), file.rows))
    return tuple(written)


def _write_row_groups(stream: Any, tables: Iterator[Any], file: PlannedFile) -> Iterator[int]:
    """Write each table as a row group of one Parquet file; yields the rows of each once it is written."""
    if file.rows == 0:
        return
    import pyarrow.parquet as pq

    first = next(tables)
    # Format 2.4 and pages of version 1 are what the oldest supported readers know.
    writer = pq.ParquetWriter(stream, first.schema, version="2.4", compression="snappy")
    for table in _chain(first, tables):
        writer.write_table(table, row_group_size=table.num_rows)
        yield table.num_rows
    writer.close()


def _write_csv(stream: Any, tables: Iterator[Any], _file: PlannedFile) -> Iterator[int]:
    """Write the tables as lines of text below one header; yields the rows of each once it is written."""
    import pyarrow.csv as pc

    for index, table in enumerate(tables):
        options = pc.WriteOptions(include_header=index == 0, quoting_style="needed", quoting_header="none")
        pc.write_csv(table, stream, options)
        yield table.num_rows


def _write_bytes(stream: Any, parts: Iterator[tuple[bytes, int]], _file: PlannedFile) -> Iterator[int]:
    for content, rows in parts:
        stream.write(content)
        yield rows


_WRITERS = {"parquet": _write_row_groups, "csv": _write_csv, "bytes": _write_bytes}


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _publish(
    recipe: Recipe, parameters: Parameters, written: tuple[StoredFile, ...], partial: Path, folder: Path
) -> Stored:
    """Move a complete folder into place. What was there has no manifest that counts, so nobody reads it."""
    _write_manifest(partial, recipe, parameters, written)
    partial.chmod(0o755)  # made private by mkdtemp
    unusable = folder.exists()
    if unusable:
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old-", dir=folder.parent))
        folder.rename(old / folder.name)
    try:
        partial.rename(folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        # Without locks another process may have been first, with the same content.
    _sync_folder(folder.parent)
    if unusable:
        shutil.rmtree(old, ignore_errors=True)
    return Stored(folder, written, generated=True, repaired=unusable)


def _repair(
    recipe: Recipe, parameters: Parameters, stored: Stored, written: tuple[StoredFile, ...], partial: Path
) -> Stored:
    """Replace the damaged files. Another version of pyarrow may write other bytes: then the manifest follows them."""
    anew = {each.path: each for each in written}
    for path in anew:
        target = stored.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            shutil.rmtree(target)
        (partial / path).replace(target)
    files = tuple(anew.get(each.path, each) for each in stored.files)
    if files != stored.files:
        _write_manifest(stored.folder, recipe, parameters, files)
    _sync_folder(stored.folder)
    return Stored(stored.folder, files, generated=True, repaired=True)


def _write_manifest(folder: Path, recipe: Recipe, parameters: Parameters, files: tuple[StoredFile, ...]) -> None:
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


def _sync_folder(folder: Path) -> None:
    """Make renames survive a power cut, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
