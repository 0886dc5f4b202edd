"""One data set to be made: its lock, the folder that it is written to, and how it ends."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.quantity import bytes_text
from coiled_runtime_cli.datasets.events import Failed, Ready
from coiled_runtime_cli.datasets.locks import lock_of, locked
from coiled_runtime_cli.datasets.manifest import as_planned
from coiled_runtime_cli.datasets.publishing import publish, repair
from coiled_runtime_cli.datasets.recipe import MissingLibrary
from coiled_runtime_cli.datasets.verification import damaged_files
from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from coiled_runtime_cli.datasets.events import Event
    from coiled_runtime_cli.datasets.files import Failure, StoredFile
    from coiled_runtime_cli.datasets.manifest import Stored
    from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Job:
    """A data set to be made: from ``open`` to ``close`` it has a lock and a folder of its own to write to."""

    def __init__(self, recipe: Recipe, parameters: Parameters, plan: tuple[PlannedFile, ...], folder: Path) -> None:
        self.recipe, self.parameters, self.plan, self.folder = recipe, parameters, plan, folder
        self.chosen = plan  # the files to make; the others are there
        self.written: dict[str, StoredFile] = {}
        self.over = False  # finished or failed: nothing more is to be done
        self.stored: Stored | None = None
        self.partial = folder  # until there is one
        self._stack = contextlib.ExitStack()

    def open(self, *, wait: bool) -> bool:
        """Take the lock, and see what there is to do. False: another process has the lock, and ``wait`` is not wanted.

        Raises ToolError where the folder cannot be written.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            alone = self._stack.enter_context(locked(lock_of(self.folder), wait=wait))
            if alone:
                _remove_abandoned(self.folder)
            self.stored = as_planned(self.folder, self.plan)
            if self.stored is not None:
                damaged = {each.path for each in damaged_files(self.stored)}
                self.chosen = tuple(each for each in self.plan if each.path in damaged)
            if self.chosen:
                self._make_folders()
        except BlockingIOError:
            return False
        except OSError as error:
            raise self.unwritable(error.errno, error.strerror or str(error)) from error
        return True

    def _make_folders(self) -> None:
        """All that files are written to: who writes one makes none, lest they come back when all is over."""
        self.partial = Path(tempfile.mkdtemp(prefix=f".{self.folder.name}.partial-", dir=self.folder.parent))
        self._stack.callback(shutil.rmtree, self.partial, ignore_errors=True)
        for path in {(self.partial / each.path).parent for each in self.chosen}:
            path.mkdir(parents=True, exist_ok=True)

    def ready(self) -> Stored:
        assert self.stored is not None
        return self.stored

    def finish(self) -> Event:
        """Move what was written into place, and let go of the lock."""
        self.over = True
        written = tuple(self.written[each.path] for each in self.chosen)
        try:
            if self.stored is None:
                stored = publish(self.recipe, self.parameters, written, self.partial, self.folder)
            else:
                stored = repair(self.recipe, self.parameters, self.stored, written, self.partial)
        except OSError as error:
            return Failed(self.recipe.name, self.unwritable(error.errno, error.strerror or str(error)))
        finally:
            self.close()
        return Ready(self.recipe.name, stored)

    def close(self) -> None:
        """Remove what is not in place, and let go of the lock."""
        self._stack.close()

    def fail(self, failure: Failure) -> Failed:
        self.over = True
        error: ToolError
        if failure.missing:
            error = MissingLibrary(failure.reason, hint=failure.hint)
        elif failure.errno is not None:
            error = self.unwritable(failure.errno, failure.reason)
        else:
            error = ToolError(
                f"cannot make {failure.path} of data set {self.recipe.name}: {failure.reason}", hint=failure.hint
            )
        error.__cause__ = RuntimeError(f"in the process that made it\n{failure.traceback}")
        return Failed(self.recipe.name, error)

    def unwritable(self, number: int | None, reason: str) -> ToolError:
        cache = self.folder.parent
        hint = "name another folder for data sets: CRT_DATA=/path, or `data` in crt.toml"
        if number in _FULL:
            needed = bytes_text(sum(each.bytes for each in self.plan))
            return ToolError(
                f"no space left in {cache}: data set {self.recipe.name} needs about {needed}",
                hint=f"free some, or {hint}",
            )
        return ToolError(f"cannot write data set {self.recipe.name} to {cache}: {reason}", hint=hint)


def _remove_abandoned(folder: Path) -> None:
    for each in folder.parent.iterdir():
        if each.name.startswith((f".{folder.name}.partial-", f".{folder.name}.old-")):
            shutil.rmtree(each, ignore_errors=True)
