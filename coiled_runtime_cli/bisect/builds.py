"""Builds of commits that are kept: what has been built once is found again, by any bisection, unless it is to be made afresh."""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import environments, process, temporary
from coiled_runtime_cli.bisect.ready import BuildError
from coiled_runtime_cli.errors import CrtError, RemoteError, ToolError

if TYPE_CHECKING:
    from coiled_runtime_cli.bisect.projects import Part
    from coiled_runtime_cli.bisect.worktrees import Worktrees

#: File beside what was built that says of which commit: `git` knows nothing of that place.
COMMIT_FILE = ".crt-commit"

#: A build takes at most so long (s).
_PATIENCE = 3600.0


class Builds:
    """``folder`` keeps builds; ``key`` names those that are made for one bisection alone, and removed by :meth:`close`.

    ``command`` builds in the folder of a commit; without one it is done as pip does.
    """

    def __init__(
        self,
        folder: Path,
        worktrees: Worktrees,
        *,
        python: Path,
        python_version: str,
        key: str,
        command: str | None,
    ) -> None:
        self._folder = folder
        self._worktrees = worktrees
        self._python = python
        self._version = python_version
        self._key = key
        self._command = command
        self.made = 0  # not found

    def has(self, part: Part, commit: str) -> bool:
        return self._place(part, commit, 0).exists()

    def of(self, part: Part, commit: str, build: int, slot: int) -> Path:
        """The folder of a build, made unless it is there. Raises BuildError, RemoteError."""
        place = self._place(part, commit, build)
        if not place.exists():
            tree = self._worktrees.at(part, commit, build, slot)
            place.parent.mkdir(parents=True, exist_ok=True)
            with temporary.folder(".building-", beside=place.parent) as scratch:
                made = Path(scratch) / "made"
                made.mkdir()
                self._build(part, commit, tree, made)
                (made / COMMIT_FILE).write_text(commit)
                with contextlib.suppress(OSError):  # another crt has made it meanwhile
                    made.rename(place)
            self.made += 1
        if not place.exists():
            raise ToolError(f"cannot put a build into {place}")
        return place

    def close(self) -> None:
        shutil.rmtree(self._folder / self._key, ignore_errors=True)

    def _place(self, part: Part, commit: str, build: int) -> Path:
        how = hashlib.sha256(self._command.encode()).hexdigest()[:16] if self._command is not None else "wheel"
        name = f"{part.source.folder.name}-{commit[:16]}-{self._version}-{how}"
        return self._folder / (name if build == 0 else f"{self._key}/{name}-{build}")

    def _build(self, part: Part, commit: str, tree: Path, made: Path) -> None:
        name = f"{part.name} {commit[:12]}"
        if self._command is None:
            try:
                environments.install_into(made, tree, python=self._python)
            except RemoteError:
                raise
            except CrtError as error:
                raise BuildError(f"{name} cannot be built", error.message) from error
            return
        # what pip installs goes where it is to go, and not into an environment that others use
        variables = {
            "PATH": process.first_on_path(self._python.parent),
            "CRT_TARGET": str(made),
            "PIP_TARGET": str(made),
            "PIP_NO_DEPS": "1",
        }
        try:
            ended = process.run(shlex.split(self._command), folder=tree, environment=variables, timeout=_PATIENCE)
        except ToolError as error:
            raise BuildError(f"{name} cannot be built: {error.message}", error.message) from error
        if ended.returncode != 0:
            raise BuildError(f"{name} cannot be built: exit code {ended.returncode}", ended.stdout + ended.stderr)
        if not any(made.iterdir()):  # built in place
            root = tree / part.project.root if part.project.root else tree
            shutil.copytree(root, made, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
