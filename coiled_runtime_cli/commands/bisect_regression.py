"""`crt bisect --regression ID`: what a finding of `crt detect` already says of range, test and metric."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import console, environments, histories
from coiled_runtime_cli.bisect import rig
from coiled_runtime_cli.core import rebuild
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli.commands.bisect_plan import Asked
    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.findings import Finding
    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.core.record import Package


def asked_by(asked: Asked, settings: Config) -> Asked:
    """The flags as a finding has them: its test, metric and scale; and its range.

    With ``--repo`` (or ``--package``) that is what moved of this project; else the packages of the two environments.
    Raises UsageError for a finding that there is not, ToolError where its range is not known.
    """
    if asked.target or asked.command or asked.good or asked.bad:
        raise UsageError("--regression says the test and the range: name neither")
    finding, good, bad = _read(asked.regression or "", settings)
    found = replace(
        asked,
        regression=None,
        target=finding.key.benchmark,
        metric=asked.metric or finding.metric.key,
        scale=asked.scale or finding.key.scale,
        find_fix=finding.kind == "improvement",
    )
    if asked.package is not None or asked.repo is not None:
        found = _of_project(found, good, bad)
    else:
        found = _of_packages(found, good, bad, rig.cache_of(settings) / "regressions" / finding.id)
    console.note(f"{finding.key.benchmark}: {finding.metric.key}, from {found.good} to {found.bad}")
    return replace(found, good=found.bad, bad=found.good) if found.find_fix else found


def _read(name: str, settings: Config) -> tuple[Finding, Sequence[Package], Sequence[Package]]:
    from coiled_runtime_cli.core.findings import find
    from coiled_runtime_cli.db import findings as kept

    with histories.opened([settings.db]) as opened:
        known = kept.known_findings(opened.engines[0])
        detected = find(opened.history, list(opened.history.metrics), known=known)
        mine = [each for each in detected.findings if each.id.startswith(name)] if name else []
        if len(mine) != 1:
            raise UsageError(
                unknown("finding", name, [each.id for each in detected.findings]), hint="crt detect lists them"
            )
        ends = [_packages(opened.history, each.uuid) for each in (mine[0].last_good, mine[0].first_bad)]
    return mine[0], ends[0], ends[1]


def _packages(history: History, uuid: str) -> Sequence[Package]:
    wanted = bytes.fromhex(uuid.replace("-", ""))
    row = next(place for place, each in enumerate(history.runs.uuid.tolist()) if bytes(each) == wanted)
    place = history.runs.environment[row]
    if place < 0:
        raise ToolError(f"the environment of run {uuid} is not known", hint="name the range: --good and --bad")
    packages: Sequence[Package] = history.environments[place].packages
    return packages


def _of_project(asked: Asked, good: Sequence[Package], bad: Sequence[Package]) -> Asked:
    """The two states of one project: commits where they are known, else versions."""
    name = asked.package or Path(asked.repo or ".").resolve().name
    ends = []
    for packages in (good, bad):
        mine = [each for each in packages if environments.normal(each.name) == environments.normal(name)]
        if not mine:
            known = sorted({each.name for each in packages})
            raise UsageError(unknown("package of that environment", name, known))
        best = max(mine, key=lambda each: (each.commit is not None, each.imported))
        ends.append(best.commit if best.commit is not None and not asked.package else best.version)
    if None in ends or ends[0] == ends[1]:
        raise ToolError(f"{name} is the same on both sides of the change", hint="leave it out: the packages that moved")
    return replace(asked, good=ends[0], bad=ends[1])


def _of_packages(asked: Asked, before: Sequence[Package], after: Sequence[Package], folder: Path) -> Asked:
    """Files with the two environments, for the search of packages that moved; ``good`` is the older one."""
    names = []
    for name, packages in (("before", before), ("after", after)):
        try:
            lines = rebuild.requirements(packages)
        except rebuild.RebuildError as error:
            raise ToolError(
                f"the environment {name} the change cannot be made again: {error}",
                hint="--repo DIR searches its commits",
            ) from error
        file = (folder / f"{name}.txt").absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(lines) + "\n")
        except OSError as error:
            raise ToolError(f"cannot write {file}: {error.strerror or error}") from error
        names.append(f"env:{file}")
    return replace(asked, good=names[0], bad=names[1])
