"""Have a candidate ready to be measured: commits that are laid over an environment, or an environment of its own."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from coiled_runtime_cli import environments
from coiled_runtime_cli.bisect.commits import commits_of
from coiled_runtime_cli.bisect.ready import BuildError, Ready
from coiled_runtime_cli.errors import RemoteError, ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from coiled_runtime_cli.bisect.projects import Project
    from coiled_runtime_cli.bisect.workshop import Workshop
    from coiled_runtime_cli.core.bisection import Candidate


class Commits:
    """Candidates that are commits."""

    def __init__(self, workshop: Workshop, candidates: Sequence[Candidate]) -> None:
        self._workshop = workshop
        self._candidates = candidates

    def __call__(self, candidate: int, *, build: int, slot: int) -> Ready:
        return self._workshop.ready(commits_of(self._candidates[candidate]), build=build, slot=slot)

    def is_built(self, candidate: int) -> bool:
        return self._workshop.is_built(commits_of(self._candidates[candidate]))

    def prefetch(self, candidates: Sequence[int]) -> None:
        """Begin to build the first of them that is not there yet."""
        for each in candidates:
            if not self.is_built(each):
                self._workshop.prefetch(commits_of(self._candidates[each]))
                return

    @property
    def compiles(self) -> bool:
        return self._workshop.compiles

    @property
    def builds(self) -> int:
        return self._workshop.builds

    def close(self) -> None:
        self._workshop.close()


class Environments:
    """Candidates that are environments: a release with what it needs, or a whole list of packages.

    ``beside`` is in each of them; an exact list (``resolve`` False) is taken as it is. ``watched`` are the packages whose version
    and place are proved.
    """

    compiles = True

    def __init__(
        self,
        candidates: Sequence[Candidate],
        *,
        beside: Sequence[str],
        watched: Sequence[str],
        resolve: bool,
        python: str | None,
        cache: Path,
        folder: Path,
        as_of: str | None = None,
    ) -> None:
        self._candidates = candidates
        self._beside = beside
        self._watched = watched
        self._resolve = resolve
        self._python = python
        self._cache = cache
        self._folder = folder
        self._as_of = as_of
        self._made: dict[int, Ready] = {}
        self._prefer: tuple[str, ...] = environments.preferences()
        self._lock = threading.Lock()
        self.builds = 0

    def __call__(self, candidate: int, *, build: int, slot: int) -> Ready:
        # wheels are what they are: an environment made again is the same one
        del build, slot
        with self._lock:
            if candidate not in self._made:
                self._made[candidate] = self._make(self._candidates[candidate])
            return self._made[candidate]

    def is_built(self, candidate: int) -> bool:
        return candidate in self._made

    def close(self) -> None:
        """Environments stay in the cache."""

    def _make(self, candidate: Candidate) -> Ready:
        try:
            if self._resolve:
                locked = environments.lock(
                    [*self._beside, *candidate.requirements],
                    python=self._python,
                    folder=self._folder,
                    prefer=self._prefer,
                    as_of=self._as_of,
                )
                self._prefer = locked  # what need not move with the candidates stays as it is
            else:
                locked = candidate.requirements
            python = environments.build(locked, python=self._python, cache=self._cache)
            self.builds += 1
            _, there = environments.inspect(python, self._watched)
        except RemoteError:
            raise
        except (UsageError, ToolError) as error:
            raise BuildError(f"{candidate.name}: the environment cannot be made", error.message) from error
        imports, versions = [], []
        for name in self._watched:
            found = there.get(environments.normal(name))
            if found is None or found.version is None:
                continue
            versions.append((environments.normal(name), found.version))
            if found.file is not None:
                file = Path(found.file)
                module = file.parent.name if file.stem == "__init__" else file.stem
                imports.append((module, python.parent.parent, None))
        return Ready((), python, tuple(imports), tuple(versions))


def base_requirements(
    projects: Iterable[Project], *, base: Sequence[str], with_: Sequence[str], extras: Sequence[str] = ()
) -> list[str]:
    """What has to be installed below commits: the base and what the projects need, without the projects themselves."""
    projects = list(projects)
    own = {each.name for each in projects}
    found: list[str] = []
    wanted: dict[str, set[str]] = {each.name: set(extras) for each in projects}
    for line in (*base, *with_):
        name = _parsed(line)
        if name is not None and environments.normal(name.name) in own:
            wanted[environments.normal(name.name)] |= name.extras
        else:
            found.append(line)
    for project in projects:
        for line in project.requires:
            requirement = _parsed(line)
            if requirement is None or environments.normal(requirement.name) in own:
                continue
            marker = requirement.marker
            if marker is not None and not any(
                marker.evaluate({"extra": extra}) for extra in ["", *sorted(wanted[project.name])]
            ):
                continue
            requirement.marker = None
            found.append(str(requirement))
    return found


def _parsed(line: str) -> Requirement | None:
    try:
        return Requirement(line)
    except InvalidRequirement:
        return None
