"""The line of packages that a bisection searches: those that moved between two environments, one after the other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coiled_runtime_cli import environments
from coiled_runtime_cli.core.bisection import Candidate
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Packages that are code of the field: what they stand on comes before them in a line of packages.
CODE = ("dask", "distributed", "dask-expr", "coiled", "xarray", "zarr", "xgboost")

_EXACT = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*(?:===?|@)\s*(\S+)")


def between(older: Sequence[str], newer: Sequence[str], *, first: str = "good") -> tuple[Candidate, ...]:
    """The packages that moved between two environments (requirements, exact), each on top of those before it.

    ``first`` is what the older one is called. What the field's own code stands on comes before that: whether the change came
    with the one or the other is decided first. Raises UsageError where nothing moved, or a requirement is not exact.
    """
    before, after = _exact(older), _exact(newer)
    moved = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    if not moved:
        raise UsageError("the two environments have the same packages", hint="name two that differ")
    moved.sort(key=lambda name: (name in CODE, name))
    now = dict(before)
    found = [Candidate(name=first, subject=f"the {first} environment", requirements=tuple(now.values()))]
    for name in moved:
        if name in after:
            now[name] = after[name]
        else:
            now.pop(name)
        found.append(
            Candidate(
                name=name,
                subject=f"{name} {_version(before.get(name))} -> {_version(after.get(name))}",
                repository=name,
                url=f"https://pypi.org/project/{name}/",
                requirements=tuple(now[each] for each in sorted(now)),
            )
        )
    return tuple(found)


def border(candidates: Sequence[Candidate]) -> int | None:
    """The last candidate before the code of the field begins to move; None where there is none of either."""
    place = next((number for number, each in enumerate(candidates) if each.name in CODE), len(candidates))
    return place - 1 if 1 < place < len(candidates) else None


def _exact(lines: Iterable[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        text = line.partition(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        match = _EXACT.match(text)
        if match is None:
            raise UsageError(
                f"{text!r} is no exact requirement", hint="pip freeze > env.txt writes what an environment has"
            )
        found[environments.normal(match[1])] = text
    return found


def _version(requirement: str | None) -> str:
    if requirement is None:
        return "not there"
    match = _EXACT.match(requirement)
    if match is None:
        return requirement
    # of an address what says the version: the name of a wheel, or a commit
    wheel = re.search(r"/[\w.]+-([\w.+!]+)-[^/]*\.whl", match[2])
    return wheel[1] if wheel is not None else match[2].rpartition("@")[2][:40]
