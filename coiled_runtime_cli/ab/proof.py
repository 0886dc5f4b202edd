"""That an arm measures what it was asked for: proved before it runs, and checked when its tests have begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli import environments
from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from coiled_runtime_cli.ab.environments import Made
    from coiled_runtime_cli.core.experiment import Arm
    from coiled_runtime_cli.core.record import Environment


def proved(arm: Arm, python: Path, wanted: Sequence[str], locked: Sequence[str]) -> tuple[str, dict[str, str]]:
    """That the environment imports what its arm asked for: the version of its Python, and what it has."""
    from packaging.requirements import InvalidRequirement, Requirement

    asked: list[tuple[str, Requirement]] = []
    for each in wanted:
        try:
            requirement = Requirement(each)
        except InvalidRequirement:
            continue  # a folder, or an editable install: uv has installed it, and the lock says what
        asked.append((environments.normal(requirement.name), requirement))
    version, there = environments.inspect(python, list(dict.fromkeys(name for name, _ in asked)))
    marked = {"python_full_version": version, "python_version": ".".join(version.split(".")[:2])}
    found = {}
    for name, requirement in asked:
        if requirement.marker is not None and not requirement.marker.evaluate(marked):
            continue  # was asked for elsewhere
        installed = there.get(name)
        if installed is None:
            if arm.conda is not None and requirement.url is None:
                continue  # a conda package need not be a Python distribution
            raise ToolError(f"the environment of {arm.name} has no {name}")
        if not requirement.specifier.contains(installed.version or "", prereleases=True):
            raise ToolError(
                f"the environment of {arm.name} has {name} {installed.version}, and {requirement} was asked for"
            )
        commit = _locked_commit(name, locked)
        if commit is not None and installed.commit != commit:
            raise ToolError(
                f"the environment of {arm.name} has {name} at {installed.commit}, and {commit} was asked for"
            )
        found[name] = f"{installed.version} ({installed.commit[:9]})" if installed.commit else f"{installed.version}"
    return version, found


def _locked_commit(name: str, locked: Sequence[str]) -> str | None:
    for line in locked:
        head, separator, url = line.partition(" @ ")
        if separator and environments.normal(head.partition("[")[0]) == name and "git+" in url:
            return url.partition("#")[0].rpartition("@")[2] or None
    return None


def check_imports(made: Made, environment: Environment) -> None:
    """The environment that tests ran in has the versions that were proved before, and imports them from nowhere else."""
    editable = any(line.startswith("-e ") for line in made.locked)  # is imported from its folder, as it should be
    for name, version in made.versions.items():
        wanted = version.partition(" ")[0]
        there = [each for each in environment.packages if environments.normal(each.name) == name]
        wrong = [
            each
            for each in there
            if (each.imported and each.url is not None and not editable)
            or (not each.imported and each.version != wanted)
        ]
        if wrong or not there:
            got = f"{wrong[0].version or 'no version'} from {wrong[0].url or 'elsewhere'}" if wrong else "none"
            raise ToolError(
                f"arm {made.arm.name} ran with {name} {got}, and {wanted} is in its environment",
                hint="PYTHONPATH, a .pth file or a folder beside the tests may be in the way",
            )
