"""Whether the files of a data set are what its manifest says."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from coiled_runtime_cli.datasets import files as making

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from coiled_runtime_cli.datasets.files import StoredFile
    from coiled_runtime_cli.datasets.manifest import Stored


def harms(folder: Path, files: Sequence[StoredFile]) -> Iterator[tuple[StoredFile, str | None]]:
    """Read every file, several at once, and say what is wrong with it; None: nothing."""
    pool = ThreadPoolExecutor(min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 8))
    try:
        yield from zip(files, pool.map(lambda each: _harm(folder / each.path, each), files), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _harm(path: Path, promised: StoredFile) -> str | None:
    try:
        size = path.stat().st_size
        if size != promised.bytes:
            return f"{size:,} bytes instead of {promised.bytes:,}"
        return None if making.sha256(path) == promised.sha256 else "other content"
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return error.strerror or str(error)


def damaged_files(stored: Stored) -> tuple[StoredFile, ...]:
    """The files that are missing, or whose size or hash is not what the manifest says."""
    return tuple(each for each, harm in harms(stored.folder, stored.files) if harm is not None)


def stamps(folder: Path, files: Iterable[StoredFile]) -> tuple[tuple[int, int] | None, ...]:
    """Size and modification time of each file: they tell whether it changed since it was verified."""

    def stamp(path: Path) -> tuple[int, int] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns

    return tuple(stamp(folder / each.path) for each in files)
