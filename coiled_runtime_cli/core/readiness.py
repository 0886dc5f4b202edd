"""Whether what was measured speaks for a release: suites green with exactly its pins, and nothing slower that nobody accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli.core import detect
from coiled_runtime_cli.core.freshness import on_pypi
from coiled_runtime_cli.core.record import OUTCOMES
from coiled_runtime_cli.core.series import short_name
from coiled_runtime_cli.core.verdict import FAILED, NOT_VERIFIED, VERIFIED, Check

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from coiled_runtime_cli.core.findings import Finding
    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.core.pins import Pin

#: That are named one by one.
_NAMED = 3


def suites_green(history: History, label: str, pins: Sequence[Pin]) -> Check:
    """Whether the newest run of every benchmark of a label passed, with the pinned version of every package that was there."""
    runs = history.runs
    newest: dict[str, int] = {}
    for row in range(len(runs)):  # by start: the last one stays
        benchmark = history.benchmarks[runs.benchmark[row]]
        if history.sessions[runs.session[row]].label == label:
            newest[benchmark.id] = row
    ran = {name: row for name, row in newest.items() if OUTCOMES[runs.outcome[row]] != "skipped"}
    if not ran:
        return Check("suites", NOT_VERIFIED, f"no run of the label {label}")
    failed = sorted(short_name(name) for name, row in ran.items() if OUTCOMES[runs.outcome[row]] != "passed")
    if failed:
        return Check("suites", FAILED, f"{len(failed)} of {len(ran)} failed: {_few(failed)}")
    other = _other_versions(history, {int(runs.environment[row]) for row in ran.values()}, pins)
    if other:
        return Check("suites", NOT_VERIFIED, f"they ran with other versions than are pinned: {_few(other)}")
    return Check("suites", VERIFIED, f"{len(ran)} benchmarks passed with these pins")


def _other_versions(history: History, environments: Iterable[int], pins: Sequence[Pin]) -> list[str]:
    """Exact pins that an environment does not have so, as "dask 2026.7.1, not 2026.8.0". What is not installed does not count."""
    wanted = {
        name.lower(): each.exact for each in pins if each.exact is not None and (name := on_pypi(each)) is not None
    }
    found = set()
    for number in environments:
        if number < 0:
            return ["an environment that was not recorded"]
        for package in history.environments[number].packages:
            asked = wanted.get(package.name.lower())
            if asked is not None and package.version != asked:
                found.add(f"{package.name} {package.version}, not {asked}")
    return sorted(found)


def nothing_slower(findings: Sequence[Finding], searched: int, label: str) -> Check:
    """Whether no regression of a label is open."""
    found = sorted(
        {
            f"{short_name(each.key.benchmark)} {each.metric.key} x{each.ratio:.3g}"
            for each in findings
            if each.kind == "regression" and each.state in detect.OPEN and each.key.label == label
        }
    )
    if found:
        return Check("regressions", FAILED, f"{len(found)} open: {_few(found)}")
    if not searched:
        return Check("regressions", NOT_VERIFIED, f"too few runs of the label {label} to tell a change from noise")
    return Check("regressions", VERIFIED, f"none that is open in {searched:,} series of {label}")


def _few(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return ", ".join(texts[:_NAMED]) + more
