"""A copy of a database's runs as arrays, so that the next reader asks for the new rows only.

Runs are added and never changed, so what was read once holds as long as the database has it. A mirror is a cache: damaged,
outdated or unwritable, it costs time and nothing else. Each column is a file that grows; an index says how much of each file
counts, with its checksum, so that bytes of a writer that was killed are nobody's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import zlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from coiled_runtime_cli.core.history import PHASE_OUTCOMES
from coiled_runtime_cli.core.record import MEASURES, OUTCOMES

try:
    import fcntl
except ImportError:  # Windows has no flock: what two writers at once make of a mirror there fails its checksums
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Engine

#: What the columns mean: mirrors in which they mean something else are read no more. The number is that of the files' form.
_LAYOUT = [4, list(MEASURES), list(OUTCOMES), list(PHASE_OUTCOMES)]

#: Mirrors that are kept.
_MIRRORS = 5

_INDEX, _LOCK, _NOTES = "index.json", ".lock", "notes.jsonl"

#: How a mirror's folder is called; in the cache's folder nothing else is ever removed.
_NAME = re.compile(r"[0-9a-f]{20}")

_TYPES: dict[str, Any] = {
    "uuid": "V16",
    "repeat": np.int16,
    "profiled": np.bool_,
    "metric_value": np.float64,
    **dict.fromkeys(("outcome", "setup", "call", "teardown"), np.uint8),
    **dict.fromkeys((f"values-{measure}" for measure in MEASURES), np.float64),
}


@dataclass(slots=True)
class Rows:
    """Rows of a database's run table in the order of their keys, and the metrics that these runs recorded."""

    key: NDArray[np.int64]
    uuid: NDArray[np.void]
    session: NDArray[np.int64]  # keys of other tables, -1: none
    benchmark: NDArray[np.int64]
    environment: NDArray[np.int64]
    cluster: NDArray[np.int64]
    outcome: NDArray[np.uint8]
    setup: NDArray[np.uint8]
    call: NDArray[np.uint8]
    teardown: NDArray[np.uint8]
    repeat: NDArray[np.int16]
    profiled: NDArray[np.bool_]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    metric_run: NDArray[np.int64]  # keys of runs, as often as they recorded something
    metric_info: NDArray[np.int64]
    metric_value: NDArray[np.float64]
    values: tuple[NDArray[np.float64], ...]  # one per measure
    notes: list[list[Any]] = field(default_factory=list)  # key, failure and artefacts of the few runs that have any

    @classmethod
    def of(cls, columns: Mapping[str, NDArray[Any]], notes: list[list[Any]]) -> Rows:
        """Rows from :attr:`columns`."""
        plain = {name: columns[name] for name in _PLAIN}
        return cls(**plain, values=tuple(columns[f"values-{measure}"] for measure in MEASURES), notes=notes)

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.of({name: np.zeros(0, _TYPES.get(name, np.int64)) for name in _COLUMNS}, [])
        columns = [part.columns for part in parts]
        return cls.of(
            {name: np.concatenate([each[name] for each in columns]) for name in _COLUMNS},
            [note for part in parts for note in part.notes],
        )

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """All arrays by the names of their files."""
        columns = {name: getattr(self, name) for name in _PLAIN}
        columns.update({f"values-{measure}": each for measure, each in zip(MEASURES, self.values, strict=True)})
        return columns


_PLAIN = tuple(each.name for each in fields(Rows) if each.name not in ("values", "notes"))
_COLUMNS = (*_PLAIN, *(f"values-{measure}" for measure in MEASURES))


class Mirror:
    """The mirror of one database, in a folder of its own within the cache.

    ``names`` are the names, by table and key, of all that rows may point to: rows hold keys, which mean something only as long
    as the same names are behind them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index: dict[str, Any] = {}

    @classmethod
    def of(cls, engine: Engine, cache: Path) -> Mirror | None:
        """The mirror of the database behind ``engine``, told by its path, or its address without password.

        None for a database in memory: nobody will read that again.
        """
        url = engine.url
        name = str(url.set(password=None))
        if url.get_backend_name() == "sqlite":
            path = (url.database or "").partition("?")[0]
            if path in {"", ":memory:", "file::memory:"}:
                return None
            name = str(Path(unquote(path.removeprefix("file:")) if path.startswith("file:") else path).resolve())
        return cls(cache / hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:20])

    def load(self, names: Mapping[str, Mapping[int, str]]) -> Rows | None:
        """What is mirrored; None where that is nothing, or nothing that can be used."""
        try:
            index = json.loads((self._folder / _INDEX).read_bytes())
            if index["layout"] != _LAYOUT or not _mean_the_same(index["names"], names):
                return None
            files = self._folder / str(index["files"])
            if any(_checksum(files / name, size) != checksum for name, (size, checksum) in index["extents"].items()):
                return None
            rows = _read(files, index["extents"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
            return None
        if len({len(column) for name, column in rows.columns.items() if not name.startswith("metric_")}) > 1:
            return None
        if not bool((rows.key[1:] > rows.key[:-1]).all()):
            return None
        self._index = index
        with contextlib.suppress(OSError):
            os.utime(self._folder)
        return rows

    def add(self, known: Rows | None, fresh: Rows, names: Mapping[str, Mapping[int, str]]) -> Rows:
        """All rows: those ``known`` from :meth:`load` with ``fresh`` ones after them, which are in the mirror afterwards.

        A mirror that cannot be written, or is being written by another, stays as it is.
        """
        if not len(fresh.key):
            return fresh if known is None else known
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._alone() as alone:
                if alone and known is None:
                    self._begin(fresh, names)
                    return fresh
                if alone and known is not None and self._still():
                    self._extend(fresh, names)
                    # where it lies, which saves copying all that was known
                    return _read(self._folder / self._index["files"], self._index["extents"])
        return fresh if known is None else Rows.joined([known, fresh])

    def _begin(self, rows: Rows, names: Mapping[str, Mapping[int, str]]) -> None:
        files = Path(tempfile.mkdtemp(prefix="rows-", dir=self._folder))
        try:
            extents = _append(files, dict.fromkeys((*_COLUMNS, _NOTES), (0, 0)), rows)
            self._save_index(files.name, extents, names)
        except BaseException:
            _remove(files)
            raise
        self._clean()

    def _extend(self, rows: Rows, names: Mapping[str, Mapping[int, str]]) -> None:
        files = self._folder / self._index["files"]
        extents = {name: (size, checksum) for name, (size, checksum) in self._index["extents"].items()}
        self._save_index(files.name, _append(files, extents, rows), names)
        self._clean()

    def _still(self) -> bool:
        """Whether the index on disk is the one that was loaded."""
        with contextlib.suppress(OSError, ValueError):
            return bool(json.loads((self._folder / _INDEX).read_bytes()) == self._index)
        return False

    def _save_index(
        self, files: str, extents: Mapping[str, tuple[int, int]], names: Mapping[str, Mapping[int, str]]
    ) -> None:
        known = {table: [max(keys, default=0), _digest(keys)] for table, keys in names.items()}
        index = {"layout": _LAYOUT, "names": known, "files": files, "extents": extents}
        number, temporary = tempfile.mkstemp(prefix=".index-", dir=self._folder)
        try:
            with os.fdopen(number, "w", encoding="ascii") as stream:
                json.dump(index, stream)
            Path(temporary).replace(self._folder / _INDEX)
        except BaseException:
            _remove(Path(temporary))
            raise
        self._index = json.loads(json.dumps(index))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether nobody else writes to the mirror, and will not until this ends."""
        with (self._folder / _LOCK).open("a") as stream:
            alone = True
            if fcntl is not None:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    alone = False
            yield alone

    def _clean(self) -> None:
        """Remove what the index does not name, and the mirrors that were not used for longest."""
        for each in self._folder.iterdir():
            if each.name not in (self._index["files"], _INDEX, _LOCK):
                _remove(each)
        mirrors = [each for each in self._folder.parent.iterdir() if _NAME.fullmatch(each.name)]
        mirrors.sort(key=lambda each: each.stat().st_mtime, reverse=True)
        for each in mirrors[_MIRRORS:]:
            if each != self._folder:
                _remove(each)


def _append(folder: Path, extents: Mapping[str, tuple[int, int]], rows: Rows) -> dict[str, tuple[int, int]]:
    """Write rows after the bytes that count, over any that do not; return what counts then, with its checksum."""
    notes = "".join(json.dumps(note) + "\n" for note in rows.notes).encode("ascii")
    content: dict[str, Any] = {name: np.ascontiguousarray(array) for name, array in rows.columns.items()}
    found = {}
    for name, (size, checksum) in extents.items():
        raw = notes if name == _NOTES else content[name].tobytes()
        with (folder / name).open("r+b" if size else "wb") as stream:
            stream.truncate(size)
            stream.seek(size)
            stream.write(raw)
        found[name] = (size + len(raw), zlib.crc32(raw, checksum))
    return found


def _read(folder: Path, extents: Mapping[str, Sequence[int]]) -> Rows:
    """The columns where they lie: a page of them is read when it is looked at."""
    columns: dict[str, NDArray[Any]] = {}
    for name in _COLUMNS:
        kind = np.dtype(_TYPES.get(name, np.int64))
        count = extents[name][0] // kind.itemsize
        columns[name] = np.memmap(folder / name, kind, "r", shape=(count,)) if count else np.zeros(0, kind)
    with (folder / _NOTES).open("rb") as stream:
        notes = [json.loads(line) for line in stream.read(extents[_NOTES][0]).splitlines()]
    return Rows.of(columns, notes)


def _checksum(file: Path, size: int) -> int | None:
    """Of the bytes that count: what a power cut or a failing disk left of them must not pass for a history."""
    checksum, left = 0, size
    with file.open("rb") as stream:
        while left and (chunk := stream.read(min(left, 2**18))):
            checksum = zlib.crc32(chunk, checksum)
            left -= len(chunk)
    return None if left else checksum


def _mean_the_same(known: Mapping[str, Any], names: Mapping[str, Mapping[int, str]]) -> bool:
    """Whether the keys that there were when the mirror was written have the same names behind them."""
    return known.keys() == names.keys() and all(
        _digest({key: name for key, name in keys.items() if key <= known[table][0]}) == known[table][1]
        for table, keys in names.items()
    )


def _digest(names: Mapping[int, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(names.items())).encode("ascii")).hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
