"""The space of data sets that nothing reads, freed; what a process is writing or reading stays."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli.datasets.inventory import STALE, Kind
from coiled_runtime_cli.datasets.locks import is_read, lock_of, locked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coiled_runtime_cli.datasets.inventory import Folder

_LOCK = re.compile(r"\.([a-z][a-z0-9_]*-[0-9a-f]{12})\.lock")


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
    lock = lock_of(folder.base)
    try:
        with contextlib.ExitStack() as stack:
            alone = False
            if lock.exists() or not dry_run:
                alone = stack.enter_context(locked(lock, wait=False))
            if folder.kind is Kind.UNFINISHED and not alone and not dry_run:
                return Pruned(folder, "nobody knows whether it is being written: there are no locks here")
            if is_read(folder.path):
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
        with contextlib.suppress(OSError), locked(lock, wait=False) as alone:
            if alone and not lock.with_name(match[1]).exists():
                lock.unlink(missing_ok=True)
