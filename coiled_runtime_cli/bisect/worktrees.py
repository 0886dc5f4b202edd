"""Worktrees that are switched from commit to commit: one for each project and slot, and none that another crt is using."""

from __future__ import annotations

import contextlib
import shutil
import threading
from typing import TYPE_CHECKING

from coiled_runtime_cli import git, journal
from coiled_runtime_cli.bisect.ready import BuildError
from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coiled_runtime_cli.bisect.projects import Part

#: Bisections of one repository that may run at once.
_WORKTREES = 64


class Worktrees:
    """``folder`` keeps them from bisection to bisection; those that were taken are given up by :meth:`close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._current: dict[Path, tuple[str, int]] = {}  # commit and build that a worktree is at
        self._slots: dict[tuple[str, int], Path] = {}
        self._held = contextlib.ExitStack()
        self._lock = threading.Lock()

    def at(self, part: Part, commit: str, build: int, slot: int) -> Path:
        """The worktree of a slot, with the commit checked out; afresh for a ``build`` other than 0. Raises BuildError."""
        with self._lock:
            tree = self._slots.get((part.name, slot))
            if tree is None:
                tree = self._slots[part.name, slot] = self._held.enter_context(
                    _free(self._folder / part.source.folder.name)
                )
        known = self._current.get(tree)
        if known == (commit, build):
            return tree
        try:
            if tree.is_dir() and build == 0:
                git.switch(tree, commit)
            else:
                with self._lock:  # git keeps one list of them
                    part.source.remove_worktree(tree)
                    shutil.rmtree(tree, ignore_errors=True)
                    part.source.add_worktree(tree, commit)
        except ToolError as error:
            self._current.pop(tree, None)
            raise BuildError(f"{part.name} {commit[:12]} cannot be checked out", error.message) from error
        self._current[tree] = commit, build
        return tree

    def close(self) -> None:
        self._held.close()


@contextlib.contextmanager
def _free(place: Path) -> Iterator[Path]:
    """A worktree that no other crt is using, for as long as this one does."""
    for number in range(_WORKTREES):
        with journal.alone(place / f"{number}.lock") as mine:
            if mine:
                yield place / str(number)
                return
    raise ToolError(f"{_WORKTREES} bisections of one repository run at once", hint="wait for one of them")
