"""Makes candidates importable: worktrees that are switched, builds that are kept, environments of packages.

What is to be measured is put on the path of Python, before whatever an environment has; nothing is installed into it, so that
one environment serves all commits, and a commit of pure Python costs a checkout.
"""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import environments, git, journal, process, temporary
from coiled_runtime_cli.bisect.projects import Project, write_generated, write_metadata
from coiled_runtime_cli.errors import CrtError, RemoteError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: File beside what was built that says of which commit: `git` knows nothing of that place.
COMMIT_FILE = ".crt-commit"

#: A build takes at most so long (s).
_PATIENCE = 3600.0

#: Bisections of one repository that may run at once; and the slot of what is built ahead.
_WORKTREES, _AHEAD = 64, -1


class BuildError(Exception):
    """A candidate that cannot be built: ``log`` is what was said."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.message = message
        self.log = log


@dataclass(frozen=True, slots=True)
class Part:
    """One project of the candidates: where its commits are (a mirror), and what it holds."""

    name: str
    source: git.Repository
    project: Project


@dataclass(frozen=True, slots=True)
class Ready:
    """A candidate that can be measured. ``path``: folders for the path of Python. ``python``: the interpreter, if it has its own.

    ``imports``: where each module must be imported from, and of which commit (None: of a release).
    """

    path: tuple[Path, ...] = ()
    python: Path | None = None
    imports: tuple[tuple[str, Path, str | None], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()  # of packages that must be there


class Workshop:
    """Candidates that are commits of one or several projects.

    ``cache`` keeps builds; ``key`` names what is made for one bisection alone, and removed by :meth:`close`.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        python: Path | str,
        python_version: str,
        cache: Path,
        key: str,
        install_command: str | None = None,
    ) -> None:
        self._parts = parts
        self._python = Path(python)
        self._version = python_version
        self._cache = cache
        self._key = key
        self._command = install_command
        self._current: dict[Path, tuple[str, int]] = {}  # commit and build that a worktree is at
        self._slots: dict[tuple[str, int], Path] = {}
        self._held = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._ahead: ThreadPoolExecutor | None = None
        self._coming: Future[None] | None = None
        self.builds = 0  # that were made, not found

    @property
    def compiles(self) -> bool:
        """Whether a candidate costs a build, rather than a checkout."""
        return self._command is not None or any(not each.project.pure for each in self._parts)

    def is_built(self, commits: Mapping[str, str]) -> bool:
        """Whether measuring it would need no build."""
        return all(
            not self._is_built_part(each) or self._build_folder(each, commits[each.name], 0).exists()
            for each in self._parts
        )

    def ready(self, commits: Mapping[str, str], *, build: int, slot: int) -> Ready:
        """Have the commits (by part) importable. ``build`` other than 0 is made afresh. Raises BuildError, RemoteError."""
        path: list[Path] = []
        imports: list[tuple[str, Path, str | None]] = []
        for part in self._parts:
            commit = commits[part.name]
            if self._is_built_part(part):
                root = self._built(part, commit, build, slot)
            else:
                root = self._switched(part, commit, build, slot)
            path.append(root)
            imports += [(name, root, commit) for name in part.project.modules]
            if part.project.metadata:
                with self._lock:
                    path.append(
                        write_metadata(part.project, self._folder("metadata") / self._key / part.source.folder.name)
                    )
        return Ready(tuple(path), None, tuple(imports))

    def prefetch(self, commits: Mapping[str, str]) -> None:
        """Build what may be asked for soon, beside what is measured; whatever goes wrong is met again when it is asked for."""

        def build() -> None:
            with contextlib.suppress(BuildError, CrtError):
                for part in self._parts:
                    if self._is_built_part(part):
                        self._built(part, commits[part.name], 0, _AHEAD)

        self._ahead = self._ahead or ThreadPoolExecutor(1)
        if self._coming is None or self._coming.done():  # one at a time, the likeliest now
            self._coming = self._ahead.submit(build)

    def close(self) -> None:
        """Give up the worktrees, and remove what was made for this bisection alone."""
        if self._ahead is not None:
            self._ahead.shutdown(cancel_futures=True)
        self._held.close()
        for folder in ("builds", "metadata"):
            shutil.rmtree(self._folder(folder) / self._key, ignore_errors=True)

    def _is_built_part(self, part: Part) -> bool:
        return self._command is not None or not part.project.pure

    def _folder(self, name: str) -> Path:
        return self._cache / name

    # --- a checkout

    def _switched(self, part: Part, commit: str, build: int, slot: int) -> Path:
        tree = self._worktree(part, commit, build, slot)
        root = tree / part.project.root if part.project.root else tree
        write_generated(part.project, root)
        return root

    def _worktree(self, part: Part, commit: str, build: int, slot: int) -> Path:
        with self._lock:
            tree = self._slots.get((part.name, slot))
            if tree is None:
                tree = self._slots[part.name, slot] = self._held.enter_context(_free(self._place_of_trees(part)))
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

    def _place_of_trees(self, part: Part) -> Path:
        return self._folder("worktrees") / part.source.folder.name

    # --- a build

    def _build_folder(self, part: Part, commit: str, build: int) -> Path:
        how = hashlib.sha256(self._command.encode()).hexdigest()[:16] if self._command is not None else "wheel"
        name = f"{part.source.folder.name}-{commit[:16]}-{self._version}-{how}"
        return self._folder("builds") / (name if build == 0 else f"{self._key}/{name}-{build}")

    def _built(self, part: Part, commit: str, build: int, slot: int) -> Path:
        place = self._build_folder(part, commit, build)
        if not place.exists():
            tree = self._worktree(part, commit, build, slot)
            place.parent.mkdir(parents=True, exist_ok=True)
            with temporary.folder(".building-", beside=place.parent) as scratch:
                made = Path(scratch) / "made"
                made.mkdir()
                self._build(part, commit, tree, made)
                (made / COMMIT_FILE).write_text(commit)
                with contextlib.suppress(OSError):  # another crt has made it meanwhile
                    made.rename(place)
            self.builds += 1
        if not place.exists():
            raise ToolError(f"cannot put a build into {place}")
        return place

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


@contextlib.contextmanager
def _free(place: Path) -> Iterator[Path]:
    """A worktree that no other crt is using, for as long as this one does."""
    for number in range(_WORKTREES):
        with journal.alone(place / f"{number}.lock") as mine:
            if mine:
                yield place / str(number)
                return
    raise ToolError(f"{_WORKTREES} bisections of one repository run at once", hint="wait for one of them")
