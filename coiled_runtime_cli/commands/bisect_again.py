"""The command with which anybody sees what a bisection has found: its culprit and the parent, measured as they were."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from typing import TYPE_CHECKING

from coiled_runtime_cli.bisect import record, rig
from coiled_runtime_cli.bisect.plan import COMMITS, PACKAGES, Plan
from coiled_runtime_cli.errors import CrtError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coiled_runtime_cli.core.bisection import Bisection, Candidate

_DEFAULTS = {each.name: each.default for each in dataclasses.fields(Plan)}


def reproduction(bisection: Bisection, plan: Plan | None, folder: Path) -> str:
    """A command that measures the culprit and its parent again, and nothing else; without a culprit, the whole range.

    Where they are environments it names files, which are written into ``folder``.
    """
    if plan is None or not bisection.candidates:
        return f"crt bisect --show {record.short(bisection)}"
    first, last = 0, len(bisection.candidates) - 1
    found = next((each for each in bisection.verdicts if each.status == "found"), None)
    if found is not None:
        first, last = found.culprits[0] - 1, found.culprits[-1]
    words = ["crt", "bisect"]
    if plan.kind == COMMITS:
        older, newer = _commits(bisection, plan, first, last)
        words += ["--repo", plan.repositories[0][1]]
        words += [word for _, place in plan.repositories[1:] for word in ("--with-repo", place)]
        if not plan.first_parent and not _is_one_of_all(plan, first, last):
            words.append("--all-commits")
    elif plan.kind == PACKAGES:
        older, newer = _environments(bisection, plan, first, last, folder)
    else:
        older, newer = bisection.candidates[first].name, bisection.candidates[last].name
        words += ["--package", plan.package or ""]
    words += ["--find-fix", "--good", newer, "--bad", older] if plan.find_fix else ["--good", older, "--bad", newer]
    words += [word for pair in _how(bisection, plan) for word in pair]
    words += [plan.target] if plan.target else ["--", *plan.command]
    return shlex.join(words)


def _commits(bisection: Bisection, plan: Plan, first: int, last: int) -> tuple[str, str]:
    """The ends of the range, by commits of the searched repository."""
    if _is_one_of_all(plan, first, last):
        name = bisection.candidates[last].name[:12]
        return f"{name}~1", name  # the one before it in the line may be of another branch
    own = [
        next(each for each in range(end, -1, -1) if _is_of(bisection.candidates[each], plan)) for end in (first, last)
    ]
    if own[0] == own[1]:  # the culprit is of a repository that goes along: a range of its own
        own[0] = max(0, own[0] - 1)
    return bisection.candidates[own[0]].name[:12], bisection.candidates[own[1]].name[:12]


def _is_one_of_all(plan: Plan, first: int, last: int) -> bool:
    """Whether it is a single commit of all that there are, first parents or not."""
    return not plan.first_parent and len(plan.repositories) == 1 and last == first + 1


def _is_of(candidate: Candidate, plan: Plan) -> bool:
    return candidate.repository == plan.repositories[0][0]


def _environments(bisection: Bisection, plan: Plan, first: int, last: int, folder: Path) -> tuple[str, str]:
    """Files with the packages of both; where they cannot be written, those that the search began with."""
    files = (folder / "older.txt").absolute(), (folder / "newer.txt").absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, place in zip(files, (first, last), strict=True):
            file.write_text("\n".join(bisection.candidates[place].requirements) + "\n")
    except OSError:
        return (plan.bad, plan.good) if plan.find_fix else (plan.good, plan.bad)
    return f"env:{files[0]}", f"env:{files[1]}"


def _how(bisection: Bisection, plan: Plan) -> Iterator[tuple[str, str]]:
    """How it was measured and judged: each flag that is not as by default, and its value."""
    if plan.metric not in {"duration", "failure"}:
        yield "--metric", plan.metric
    for each in plan.with_:
        yield "--with", each
    for flag, value in (
        ("--better", plan.better),
        ("--python", plan.python),
        ("--as-of", _as_of(bisection, plan)),
        ("--install-command", plan.install_command),
        ("--timeout", None if plan.timeout is None else f"{plan.timeout:.15g}s"),
        ("--scale", plan.scale),
        ("--cluster", plan.cluster),
    ):
        if value is not None:
            yield flag, value
    if plan.failure_is_bad:
        yield "--on-failure", "bad"
    elif plan.min_effect != _DEFAULTS["min_effect"]:
        yield "--min-effect", f"{100 * plan.min_effect:.10g}%"
    if plan.confidence != _DEFAULTS["confidence"]:
        yield "--confidence", f"{plan.confidence:.15g}"
    if plan.jobs > 1:
        yield "--jobs", str(plan.jobs)


def _as_of(bisection: Bisection, plan: Plan) -> str | None:
    """The day of the environment that was used: by default that of the bad end, which is another commit now."""
    if plan.as_of is None and plan.kind == COMMITS and rig.has_environment_of_its_own(plan):
        with contextlib.suppress(CrtError):  # the clone has gone
            return rig.as_of(plan, bisection)
    return plan.as_of
