"""The line of releases of a package that a bisection searches, as the index has them."""

from __future__ import annotations

import sys

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from coiled_runtime_cli import process
from coiled_runtime_cli.core.bisection import Candidate
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import RemoteError, ToolError, UsageError


def between(package: str, good: str, bad: str, *, python: str | None) -> tuple[Candidate, ...]:
    """The releases of a package from good to bad, as the index has them for a Python. Raises UsageError, RemoteError."""
    name = canonicalize_name(package)
    try:
        start, end = Version(good), Version(bad)
    except InvalidVersion as error:
        raise UsageError(f"{error}: with --package, --good and --bad are versions of {name}") from error
    if start == end:
        raise UsageError(f"{good} and {bad} are one version", hint="name two")
    if start > end:
        raise UsageError(
            f"{bad} comes before {good}", hint=f"--good {bad} --bad {good}, or --find-fix for what mended it"
        )
    early = start.is_prerelease or end.is_prerelease
    known = index_versions(name, python=python, early=early)
    for each in (start, end):
        if each not in known:
            raise UsageError(
                unknown(f"version of {name}", str(each), [str(one) for one in sorted(known, reverse=True)])
            )
    return tuple(
        Candidate(
            name=str(each),
            subject=f"{name} {each}",
            url=f"https://pypi.org/project/{name}/{each}/",
            repository=name,
            requirements=(f"{name}=={each}",),
        )
        for each in sorted(known)
        if start <= each <= end
    )


def index_versions(name: str, *, python: str | None, early: bool) -> set[Version]:
    """What `pip index versions` says for a Python (as 3.11; None: this one). Raises UsageError, RemoteError, ToolError."""
    command = [sys.executable, "-m", "pip", "index", "versions", name]
    command += [*(["--pre"] if early else []), *(["--python-version", python] if python else [])]
    done = process.run(command, timeout=300)
    if done.returncode != 0:
        text = done.stderr.strip()
        if "No matching distribution" in text:
            raise UsageError(f"the index has no package {name}", hint="nothing of that name fits this Python, either")
        if "No module named pip" in text:
            raise ToolError("pip, which lists releases, is not installed", hint="python -m ensurepip")
        raise (RemoteError if "onnection" in text else ToolError)(
            f"the releases of {name} are not known: {text[-500:]}"
        )
    return told_versions(done.stdout)


def told_versions(text: str) -> set[Version]:
    """Those that `pip index versions` wrote, without what is none: pip before 24.1 also tells files of the distant past."""
    line = next((each for each in text.splitlines() if each.startswith("Available versions:")), "")
    found = set()
    for each in line.partition(":")[2].split(","):
        try:
            found.add(Version(each.strip()))
        except InvalidVersion:
            continue
    return found
