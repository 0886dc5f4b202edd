"""A copy of a database's runs as arrays, so that the next reader asks for the new rows only.

Runs are added and never changed, so what was read once holds as long as the database has it. A mirror is a cache: damaged,
outdated or unwritable, it costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Engine

#: Changes when the arrays do: mirrors of another format are read no more.
_FORMAT = 2

#: Portions of a mirror beyond which they become one, and mirrors that are kept.
_PORTIONS, _MIRRORS = 12, 5


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
    values: NDArray[np.float64]  # a row per run, a column per measure
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
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
        return cls(**arrays, notes=[note for part in parts for note in part.notes])

    @classmethod
    def empty(cls) -> Rows:
        from coiled_runtime_cli.core.record import MEASURES

        types = {"uuid": "V16", "repeat": np.int16, "profiled": np.bool_, "metric_value": np.float64}
        types.update(dict.fromkeys(("outcome", "setup", "call", "teardown"), np.uint8))
        arrays: dict[str, Any] = {name: np.zeros(0, types.get(name, np.int64)) for name in _ARRAYS}
        return cls(**{**arrays, "values": np.zeros((0, len(MEASURES)))})

    def after(self, count: int) -> Rows:
        """The rows beyond the first ``count``, with what belongs to them."""
        first = self.key[count] if count < len(self.key) else np.iinfo(np.int64).max
        mine = self.metric_run >= first
        arrays = {
            name: getattr(self, name)[mine] if name.startswith("metric_") else getattr(self, name)[count:]
            for name in _ARRAYS
        }
        return Rows(**arrays, notes=[note for note in self.notes if note[0] >= first])


_ARRAYS = tuple(each.name for each in fields(Rows) if each.name != "notes")


class Mirror:
    """The mirror of one database, in a folder of its own within the cache."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._portions: list[str] = []

    @classmethod
    def of(cls, engine: Engine, cache: Path) -> Mirror:
        """The mirror of the database behind ``engine``; which one it is tells its path, or its address without password."""
        url = engine.url
        name = str(url.set(password=None))
        if url.get_backend_name() == "sqlite" and url.database:
            name = str(Path(url.database.removeprefix("file:").partition("?")[0]).resolve())
        return cls(cache / hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:20])

    def load(self) -> Rows | None:
        """What is mirrored; None where that is nothing, or nothing that can be used."""
        try:
            index = json.loads((self._folder / "index.json").read_bytes())
            if index["format"] != _FORMAT:
                return None
            portions = [str(name) for name in index["portions"]]
            rows = Rows.joined([_read(self._folder / name) for name in portions])
            whole = len(rows.key) == index["count"] and bool((np.diff(rows.key) > 0).all())
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
            return None
        if not whole:
            return None
        self._portions = portions
        with contextlib.suppress(OSError):
            os.utime(self._folder)
        return rows

    def save(self, rows: Rows, *, fresh: int) -> None:
        """Keep ``rows``, of which the last ``fresh`` are not in the mirror yet. A mirror that cannot be written is not."""
        if not fresh:
            return
        again = fresh == len(rows.key) or len(self._portions) >= _PORTIONS
        part = rows if again else rows.after(len(rows.key) - fresh)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = self._write(part)
            portions = [name] if again else [*self._portions, name]
            index = {"format": _FORMAT, "count": len(rows.key), "portions": portions}
            number, temporary = tempfile.mkstemp(prefix=".index-", dir=self._folder)
            with os.fdopen(number, "w", encoding="ascii") as stream:
                json.dump(index, stream)
            Path(temporary).replace(self._folder / "index.json")
            self._clean(portions)
        except OSError:
            return

    def _write(self, rows: Rows) -> str:
        folder = Path(tempfile.mkdtemp(prefix="rows-", dir=self._folder))
        try:
            for name in _ARRAYS:
                np.save(folder / f"{name}.npy", getattr(rows, name), allow_pickle=False)
            (folder / "notes.json").write_text(json.dumps(rows.notes), encoding="ascii")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder.name

    def _clean(self, portions: Sequence[str]) -> None:
        """Remove what the index does not name, and the mirrors that were not used for longest."""
        for file in self._folder.iterdir():
            if file.name not in portions and file.name != "index.json":
                shutil.rmtree(file, ignore_errors=True) if file.is_dir() else file.unlink(missing_ok=True)
        mirrors = sorted(self._folder.parent.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)
        for each in mirrors[_MIRRORS:]:
            if each != self._folder:
                shutil.rmtree(each, ignore_errors=True)


def _read(folder: Path) -> Rows:
    """The arrays where they lie: a page of them is read when it is looked at."""
    notes = json.loads((folder / "notes.json").read_bytes())
    return Rows(
        **{name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS}, notes=notes
    )
