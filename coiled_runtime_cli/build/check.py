"""Whether a package can be had: solved for every platform and Python, installed on this one, imported.

What could not be looked at is said to be not verified, with the reason: it is neither good nor bad news.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import process, temporary
from coiled_runtime_cli.build.channel import Package, UnsatisfiableError, this_platform
from coiled_runtime_cli.build.explain import Reason, explain
from coiled_runtime_cli.core.pins import minors
from coiled_runtime_cli.core.verdict import FAILED, NOT_VERIFIED, VERIFIED, Check
from coiled_runtime_cli.errors import RemoteError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from coiled_runtime_cli.build.artifact import Artifact
    from coiled_runtime_cli.build.channel import Channels
    from coiled_runtime_cli.core.recipe import Recipe

#: An import of a compiled library for the first time, from a cold disk (s).
_PATIENCE = 600.0


@dataclass(slots=True)
class Found:
    """``reasons`` are those of what could not be solved; ``solutions`` are by platform and Python."""

    checks: list[Check] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    solutions: dict[tuple[str, str], list[Package]] = field(default_factory=dict)


def solve(
    made: Artifact | None,
    recipe: Recipe,
    channels: Channels,
    *,
    platforms: Sequence[str],
    pythons: Sequence[str],
    newest: bool,
    into: Found,
    tell: Callable[[str], None],
) -> None:
    """Solve the package itself, from its channel, for each platform and Python; without a package (None) the pins alone.

    ``newest``: only for the newest Python there is. What is found goes ``into`` as it is found, so that it is there if a
    channel ceases to answer. Raises RemoteError.
    """
    there = channels.platforms()
    pythons = pythons or _pythons(recipe, channels, there)
    for platform in platforms or there:
        if platform not in there:
            into.checks.append(Check("solve", NOT_VERIFIED, "no channel has packages for it", platform))
            continue
        known = _minors_of(channels, platform)
        chosen = ([each for each in pythons if each in known] or pythons)[-1:] if newest else pythons
        for python in chosen:
            tell(f"solving for {platform}" + (f" with Python {python}" if python else ""))
            if python and python not in known:
                why = f"no channel has Python {python} for {platform}"
                into.checks.append(Check("solve", NOT_VERIFIED, why, platform, python))
            else:
                into.checks.append(_solved(made, recipe, channels, platform, python, into))
    if not any(each.what == "solve" for each in into.checks):
        into.checks.append(Check("solve", NOT_VERIFIED, "no channel has a Python for any platform"))


def _minors_of(channels: Channels, platform: str) -> set[str]:
    return {_minor(each.version) for each in channels.packages("python", platform, noarch=False)}


def _pythons(recipe: Recipe, channels: Channels, platforms: Sequence[str]) -> list[str]:
    """The minor versions that a recipe allows, as "3.12"; [""] where it does not ask for Python at all."""
    asked = next((each for each in recipe.depends if each.name == "python"), None)
    if asked is None:
        return [""]
    return minors(asked.constraint, {each for platform in platforms for each in _minors_of(channels, platform)})


def environments(
    recipe: Recipe,
    channels: Channels,
    *,
    platforms: Sequence[str],
    pythons: Sequence[str],
    tell: Callable[[str], None],
) -> dict[str, list[Package]]:
    """The packages of the pins by platform, each with the newest Python that it has. Raises ToolError, RemoteError."""
    there = channels.platforms()
    found = {}
    for platform in platforms or there:
        known = _minors_of(channels, platform)
        fitting = [each for each in pythons or _pythons(recipe, channels, there) if not each or each in known]
        if not fitting:
            raise ToolError(f"no channel has a Python for {platform} that the recipe allows")
        tell(f"solving for {platform}")
        demands = [*map(str, recipe.depends), *([f"python {fitting[-1]}.*"] if fitting[-1] else [])]
        try:
            found[platform] = channels.solve(demands, platform)
        except UnsatisfiableError as error:
            reason = explain(recipe, channels, platform, fitting[-1], str(error))
            raise ToolError(
                reason.text([reason.place]), hint="crt build --check looks at every platform and Python"
            ) from error
    if not found:
        raise ToolError("no channel has a Python for any platform", hint="-c names channels")
    return found


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _solved(
    made: Artifact | None, recipe: Recipe, channels: Channels, platform: str, python: str, found: Found
) -> Check:
    demands = [f"{made.name} =={made.version} {made.build}"] if made is not None else list(map(str, recipe.depends))
    try:
        packages = channels.solve([*demands, *([f"python {python}.*"] if python else [])], platform)
    except UnsatisfiableError as error:
        reason = explain(recipe, channels, platform, python, str(error))
        found.reasons.append(reason)
        return Check("solve", FAILED, reason.short, platform, python)
    if made is not None:
        ours = next((each for each in packages if each.name == made.name), None)
        if ours is None or ours.sha256 not in {made.sha256, None}:
            why = f"the solver took another {made.name}: {ours.url if ours is not None else 'none'}"
            return Check("solve", FAILED, why, platform, python)
    found.solutions[platform, python] = packages
    return Check("solve", VERIFIED, f"{len(packages)} packages", platform, python)


def run_tests(made: Artifact, channels: Channels, found: Found, *, tell: Callable[[str], None]) -> Iterator[Check]:
    """Install what was solved for this machine into a fresh prefix, and run the tests that the package carries there."""
    here = this_platform()
    solutions = {python: each for (platform, python), each in found.solutions.items() if platform == here}
    if not solutions:
        yield Check("imports", NOT_VERIFIED, "nothing was solved for this machine", here)
        return
    if not made.imports and not made.commands:
        yield Check("imports", NOT_VERIFIED, "the package carries no tests", here)
        return
    for python, packages in solutions.items():
        tell(f"installing {len(packages)} packages" + (f" with Python {python}" if python else ""))
        with temporary.folder("crt-check-") as scratch:
            prefix = Path(scratch).resolve() / "prefix"
            try:
                channels.install(packages, prefix)
            except RemoteError as error:
                yield Check("imports", NOT_VERIFIED, error.message, here, python)
                continue
            tell("running its tests")
            yield from _tested(made, prefix, here, python)


def _tested(made: Artifact, prefix: Path, platform: str, python: str) -> Iterator[Check]:
    if made.imports:
        program = prefix / ("python.exe" if platform.startswith("win") else "bin/python")
        failed = [
            f"import {name}: {why}"
            for name in made.imports
            if (why := _import_problem(program, prefix, name)) is not None
        ]
        word = FAILED if failed else VERIFIED
        yield Check("imports", word, "; ".join(failed) or ", ".join(made.imports), platform, python)
    for command in made.commands:
        done = _inside(prefix, ["sh", "-e", "-c", command])
        word = FAILED if done.returncode else VERIFIED
        why = f"{command}: {_last_line(done)}" if done.returncode else command
        yield Check("commands", word, why, platform, python)


def _import_problem(program: Path, prefix: Path, name: str) -> str | None:
    if not program.exists():
        return "the environment has no Python"
    if not re.fullmatch(r"[\w.]+", name):
        return "that is no module"
    done = _inside(prefix, [program, "-c", f"import {name}"])
    return None if done.returncode == 0 else _last_line(done)


def _inside(prefix: Path, command: Sequence[str | Path]) -> process.Completed:
    """Run a program with the environment's programs first, and with nothing of the user's own Python."""
    return process.run(
        command,
        folder=prefix,
        environment={
            "PATH": process.first_on_path(prefix / "bin"),
            "CONDA_PREFIX": str(prefix),
            "PYTHONNOUSERSITE": "1",
            "PYTHONPATH": "",
            "PYTHONHOME": "",
        },
        timeout=_PATIENCE,
    )


def _last_line(done: process.Completed) -> str:
    lines = [each for each in (done.stderr.strip() or done.stdout.strip()).splitlines() if each.strip()]
    return lines[-1].strip() if lines else f"exit code {done.returncode}"
