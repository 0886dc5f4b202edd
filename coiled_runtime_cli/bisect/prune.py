"""Empty the cache of bisections: what can be made again goes; what one uses, or will go on with, stays."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli import journal
from coiled_runtime_cli.bisect import record, rig
from coiled_runtime_cli.locations import size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

#: What goes when no bisection is running; of them the worktrees have a lock each.
_TREES = "worktrees"
_FOLDERS = ("builds", _TREES, "clones", "projects", "metadata", "regressions")


@dataclass(frozen=True, slots=True)
class Pruned:
    """``size`` in bytes of so many ``folders`` that went."""

    size: int = 0
    folders: int = 0
    running: bool = False  # a bisection goes on, and what all share is still there
    open: int = 0  # bisections whose log stays, since they can go on


def prune(cache: Path, known: Mapping[str, bool]) -> Pruned:
    """``known``: whether a bisection is open, by its id; the log of any other one says it itself."""
    if not cache.is_dir():
        return Pruned()
    size = count = 0
    logs = sorted(each for each in cache.glob("logs/*") if each.is_dir())
    open_ = {each for each in logs if known.get(each.name, (each / record.OPEN).exists())}
    with journal.alone(cache / rig.ALIVE) as nobody:
        # one that begins beside another may have made its log, and not yet said what it is
        ended = [each for each in logs if each not in open_ and (nobody or each.name in known)]
        shared = _everything(cache) if nobody else _free_worktrees(cache)
        for folder in itertools.chain(shared, _free_logs(ended)):  # each held until the next one is asked for
            size += size_of(folder)
            count += 1
            shutil.rmtree(folder, ignore_errors=True)
    return Pruned(size, count, not nobody, len(open_))


def _everything(cache: Path) -> Iterator[Path]:
    yield from (cache / name for name in _FOLDERS if (cache / name).is_dir())


def _free_worktrees(cache: Path) -> Iterator[Path]:
    """Each is held while it is looked at. Its lock stays: another crt may be about to hold it."""
    for lock in sorted(cache.glob(f"{_TREES}/*/*.lock")):
        with journal.alone(lock) as free:
            if free and lock.with_suffix("").is_dir():
                yield lock.with_suffix("")


def _free_logs(logs: Iterable[Path]) -> Iterator[Path]:
    for log in logs:
        with journal.alone(log / rig.LOCK) as free:
            if free:
                yield log
