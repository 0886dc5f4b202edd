"""A copy of a database's runs as arrays, so that the next reader asks for the new rows only.

Runs are added and never changed, so what was read once holds as long as the database has it. A mirror is a cache: damaged,
outdated or unwritable, it costs time and nothing else.
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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Engine

#: What the arrays mean: mirrors in which they mean something else are read no more. The number is that of the files' form.
_LAYOUT = [3, list(MEASURES), list(OUTCOMES), list(PHASE_OUTCOMES)]

#: Portions of a mirror beyond which they become one, and mirrors that are kept.
_PORTIONS, _MIRRORS = 12, 5

_INDEX, _NOTES = "index.json", "notes.json"

#: How a mirror's folder is called; in the cache's folder nothing else is ever removed.
_NAME = re.compile(r"[0-9a-f]{20}")

_TYPES: dict[str, Any] = {
    "uuid": "V16",
    "repeat": np.int16,
    "profiled": np.bool_,
    "values": np.float64,
    "metric_value": np.float64,
    **dict.fromkeys(("outcome", "setup", "call", "teardown"), np.uint8),
}


@dataclass(slots=True)
class Rows:
    """Runs of one database by key. Other rows are pointed to by their keys, -1 for none."""

    key: NDArray[np.int64]
    uuid: NDArray[np.void]
    session: NDArray[np.int64]
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
    values: NDArray[np.float64]  # a row per measure, a column per run
    metric_run: NDArray[np.int64]  # keys of runs, as often as they recorded something
    metric_info: NDArray[np.int64]
    metric_value: NDArray[np.float64]
    notes: list[list[Any]] = field(default_factory=list)  # key of a run, failure, the four artefacts

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.empty()
        arrays = {name: np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in _ARRAYS}
        return cls(**arrays, notes=[note for part in parts for note in part.notes])

    @classmethod
    def empty(cls) -> Rows:
        arrays: dict[str, Any] = {name: np.zeros(0, _TYPES.get(name, np.int64)) for name in _ARRAYS}
        return cls(**{**arrays, "values": np.zeros((len(MEASURES), 0))})

    def after(self, count: int) -> Rows:
        """The rows beyond the first ``count``, with what belongs to them."""
        first = self.key[count] if count < len(self.key) else np.iinfo(np.int64).max
        mine = self.metric_run >= first
        arrays = {
            name: getattr(self, name)[mine] if name.startswith("metric_") else getattr(self, name)[..., count:]
            for name in _ARRAYS
        }
        return Rows(**arrays, notes=[note for note in self.notes if note[0] >= first])


_ARRAYS = tuple(each.name for each in fields(Rows) if each.name != "notes")


class Mirror:
    """The mirror of one database, in a folder of its own within the cache.

    ``names`` are the names, by table and key, of all that rows may point to: rows hold keys, which mean something only as long
    as the same names are behind them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._portions: list[list[Any]] = []  # folder and checksum of each

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
            portions = [[str(name), checksum] for name, checksum in index["portions"]]
            if any(_checksum(self._folder / name) != checksum for name, checksum in portions):
                return None
            rows = Rows.joined([_read(self._folder / name) for name, _ in portions])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
            return None
        if len(rows.key) != index["count"] or not bool((rows.key[1:] > rows.key[:-1]).all()):
            return None
        self._portions = portions
        with contextlib.suppress(OSError):
            os.utime(self._folder)
        return rows

    def save(self, rows: Rows, *, fresh: int, names: Mapping[str, Mapping[int, str]]) -> None:
        """Keep ``rows``, of which the last ``fresh`` are not in the mirror yet. A mirror that cannot be written is not."""
        if not fresh:
            return
        again = fresh == len(rows.key) or len(self._portions) >= _PORTIONS
        part = rows if again else rows.after(len(rows.key) - fresh)
        written: list[Path] = []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            portion = Path(tempfile.mkdtemp(prefix="rows-", dir=self._folder))
            written.append(portion)
            _write(part, portion)
            portions = [*([] if again else self._portions), [portion.name, _checksum(portion)]]
            number, temporary = tempfile.mkstemp(prefix=".index-", dir=self._folder)
            written.append(Path(temporary))
            last = {table: [max(keys, default=0), _digest(keys)] for table, keys in names.items()}
            with os.fdopen(number, "w", encoding="ascii") as stream:
                json.dump({"layout": _LAYOUT, "count": len(rows.key), "names": last, "portions": portions}, stream)
            Path(temporary).replace(self._folder / _INDEX)
            written.clear()
            self._clean({name for name, _ in portions})
        except OSError:
            return
        finally:
            for each in written:
                _remove(each)

    def _clean(self, portions: set[str]) -> None:
        """Remove what the index does not name, and the mirrors that were not used for longest."""
        for each in self._folder.iterdir():
            if each.name not in portions and each.name != _INDEX:
                _remove(each)
        mirrors = [each for each in self._folder.parent.iterdir() if _NAME.fullmatch(each.name)]
        mirrors.sort(key=lambda each: each.stat().st_mtime, reverse=True)
        for each in mirrors[_MIRRORS:]:
            if each != self._folder:
                _remove(each)


def _write(rows: Rows, folder: Path) -> None:
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", np.ascontiguousarray(getattr(rows, name)), allow_pickle=False)
    (folder / _NOTES).write_text(json.dumps(rows.notes), encoding="ascii")


def _read(folder: Path) -> Rows:
    """The arrays where they lie: a page of them is read when it is looked at."""
    notes = json.loads((folder / _NOTES).read_bytes())
    return Rows(
        **{name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS}, notes=notes
    )


def _checksum(folder: Path) -> int:
    """Of a portion's files: what a power cut or a failing disk left of them must not pass for a history."""
    checksum = 0
    for name in (*(f"{array}.npy" for array in _ARRAYS), _NOTES):
        with (folder / name).open("rb") as stream:
            while chunk := stream.read(2**18):
                checksum = zlib.crc32(chunk, checksum)
    return checksum


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
