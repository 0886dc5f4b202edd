"""Makes candidates that are commits importable: in a worktree that is switched, or in a build that is kept.

What is to be measured is put on the path of Python, before whatever an environment has; nothing is installed into it, so that
one environment serves all commits, and a commit of pure Python costs a checkout.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli.bisect.builds import Builds
from coiled_runtime_cli.bisect.projects import write_generated, write_metadata
from coiled_runtime_cli.bisect.ready import BuildError, Ready
from coiled_runtime_cli.bisect.worktrees import Worktrees
from coiled_runtime_cli.errors import CrtError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coiled_runtime_cli.bisect.projects import Part

#: The slot of what is built ahead.
_AHEAD = -1


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
        self._command = install_command
        self._worktrees = Worktrees(cache / "worktrees")
        self._builds = Builds(
            cache / "builds",
            self._worktrees,
            python=Path(python),
            python_version=python_version,
            key=key,
            command=install_command,
        )
        self._metadata = cache / "metadata" / key
        self._lock = threading.Lock()
        self._ahead: ThreadPoolExecutor | None = None
        self._coming: Future[None] | None = None

    @property
    def builds(self) -> int:
        """Those that were made, not found."""
        return self._builds.made

    @property
    def compiles(self) -> bool:
        """Whether a candidate costs a build, rather than a checkout."""
        return self._command is not None or any(not each.project.pure for each in self._parts)

    def is_built(self, commits: Mapping[str, str]) -> bool:
        """Whether measuring it would need no build."""
        return all(not self._is_built_part(each) or self._builds.has(each, commits[each.name]) for each in self._parts)

    def ready(self, commits: Mapping[str, str], *, build: int, slot: int) -> Ready:
        """Have the commits (by part) importable. ``build`` other than 0 is made afresh. Raises BuildError, RemoteError."""
        path: list[Path] = []
        imports: list[tuple[str, Path, str | None]] = []
        for part in self._parts:
            commit = commits[part.name]
            if self._is_built_part(part):
                root = self._builds.of(part, commit, build, slot)
            else:
                root = self._switched(part, commit, build, slot)
            path.append(root)
            imports += [(name, root, commit) for name in part.project.modules]
            if part.project.metadata:
                with self._lock:
                    path.append(write_metadata(part.project, self._metadata / part.source.folder.name))
        return Ready(tuple(path), None, tuple(imports))

    def prefetch(self, commits: Mapping[str, str]) -> None:
        """Build what may be asked for soon, beside what is measured; whatever goes wrong is met again when it is asked for."""

        def build() -> None:
            with contextlib.suppress(BuildError, CrtError):
                for part in self._parts:
                    if self._is_built_part(part):
                        self._builds.of(part, commits[part.name], 0, _AHEAD)

        self._ahead = self._ahead or ThreadPoolExecutor(1)
        if self._coming is None or self._coming.done():  # one at a time, the likeliest now
            self._coming = self._ahead.submit(build)

    def close(self) -> None:
        """Give up the worktrees, and remove what was made for this bisection alone."""
        if self._ahead is not None:
            self._ahead.shutdown(cancel_futures=True)
        self._worktrees.close()
        self._builds.close()
        shutil.rmtree(self._metadata, ignore_errors=True)

    def _is_built_part(self, part: Part) -> bool:
        return self._command is not None or not part.project.pure

    def _switched(self, part: Part, commit: str, build: int, slot: int) -> Path:
        tree = self._worktrees.at(part, commit, build, slot)
        root = tree / part.project.root if part.project.root else tree
        write_generated(part.project, root)
        return root
