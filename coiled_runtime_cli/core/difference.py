"""What sets two runs apart: environments, hosts, clusters, configurations, the test itself, and what was measured."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from coiled_runtime_cli.core import forge
from coiled_runtime_cli.core.history import NO_TIME
from coiled_runtime_cli.core.quantity import bytes_text, ratio_text, value_text
from coiled_runtime_cli.core.record import OUTCOMES
from coiled_runtime_cli.core.selection import SelectionError, select

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coiled_runtime_cli.core.history import History

#: The parts of a difference, in their order.
SECTIONS = ("run", "environment", "host", "cluster", "configuration", "suites", "measured")

#: Fewest characters that may stand for the UUID of a run.
_SHORTEST = 7


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same. None is "not there". ``url`` shows the commits between."""

    section: str  # one of SECTIONS
    name: str
    first: str | None
    second: str | None
    url: str | None = None


def find_run(history: History, text: str, *, benchmark: str | None = None) -> int:
    """The row of the run that a word means: its UUID or the beginning of it, or the newest of what ``select`` understands.

    Of several, one of ``benchmark`` is taken if there is one. Raises SelectionError.
    """
    plain = text.replace("-", "").lower()
    if len(plain) >= _SHORTEST and all(each in "0123456789abcdef" for each in plain):
        rows = [place for place, each in enumerate(history.runs.uuid) if each.tobytes().hex().startswith(plain)]
        if len(rows) > 1:
            raise SelectionError(f"{len(rows)} runs begin with {text!r}: write more of it")
        if rows:
            return rows[0]
    chosen = np.flatnonzero(select(history, text).mask)
    if benchmark is not None:
        same = [row for row in chosen if history.benchmarks[history.runs.benchmark[row]].id == benchmark]
        chosen = np.array(same, np.int64) if same else chosen
    return int(chosen[-1])


def differences(history: History, first: int, second: int) -> list[Difference]:
    """All that differs between two runs (rows of the history), by section."""
    found = [
        *_run(history, first, second),
        *_environment(history, first, second),
        *_host(history, first, second),
        *_cluster(history, first, second),
        *_suites(history, first, second),
        *_measured(history, first, second),
    ]
    return [each for each in found if each.first != each.second]


def source_difference(history: History, first: int, second: int) -> str:
    """How the source of the test changed, as a unified diff; empty where it did not, or is not known."""
    before, after = (history.benchmarks[history.runs.benchmark[row]].source or "" for row in (first, second))
    if not before or not after:
        return ""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "first", "second", lineterm="", n=2)
    return "\n".join(lines)


def _run(history: History, first: int, second: int) -> Iterator[Difference]:
    runs = history.runs
    benchmarks = [history.benchmarks[runs.benchmark[row]] for row in (first, second)]
    sessions = [history.sessions[runs.session[row]] for row in (first, second)]
    yield Difference("run", "benchmark", *(each.id for each in benchmarks))
    yield Difference("run", "epoch", *(str(each.epoch) for each in benchmarks))
    yield Difference("run", "label", *(each.label for each in sessions))
    yield Difference("run", "scale", *(each.scale for each in sessions))
    yield Difference("run", "outcome", *(OUTCOMES[runs.outcome[row]] for row in (first, second)))
    yield Difference("run", "session", *(each.id for each in sessions))
    yield Difference("run", "start", *(_moment(int(runs.start[row])) for row in (first, second)))


def _environment(history: History, first: int, second: int) -> Iterator[Difference]:
    places = [int(history.runs.environment[row]) for row in (first, second)]
    if places[0] == places[1] or min(places) < 0:
        return
    old, new = (history.environments[place] for place in places)
    yield Difference("environment", "python", old.python, new.python)
    yield Difference("environment", "platform", old.platform, new.platform)
    for each in forge.package_changes(old.packages, new.packages):
        yield Difference(
            "environment", each.name, forge.version_text(each.before), forge.version_text(each.after), each.url
        )


def _host(history: History, first: int, second: int) -> Iterator[Difference]:
    hosts = [history.sessions[history.runs.session[row]].host for row in (first, second)]
    yield from _keys("host", *({key: _host_text(key, value) for key, value in each.items()} for each in hosts))


def _host_text(key: str, value: Any) -> str | None:
    if value is None:
        return None
    if key == "memory":
        return bytes_text(value)
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _cluster(history: History, first: int, second: int) -> Iterator[Difference]:
    places = [int(history.runs.cluster[row]) for row in (first, second)]
    if places[0] == places[1]:
        return
    sides = [history.clusters[place] if place >= 0 else None for place in places]
    plain = [
        {"cluster": "none"} if each is None else {"kind": each.kind, "software": each.software_name, **each.spec}
        for each in sides
    ]
    yield from _keys("cluster", *plain)
    yield from _keys("configuration", *({} if each is None else each.dask_config for each in sides))


def _suites(history: History, first: int, second: int) -> Iterator[Difference]:
    sessions = [history.sessions[history.runs.session[row]] for row in (first, second)]
    yield Difference("suites", "commit", *(each.suites_commit for each in sessions))
    yield Difference(
        "suites",
        "changed",
        *(None if each.suites_dirty is None else str(each.suites_dirty).lower() for each in sessions),
    )
    sources = [history.benchmarks[history.runs.benchmark[row]].source for row in (first, second)]
    if None not in sources and sources[0] != sources[1]:
        yield Difference("suites", "source of the test", "as it was", "changed")
    yield Difference("suites", "crt", *(each.crt_version for each in sessions))


def _measured(history: History, first: int, second: int) -> Iterator[Difference]:
    for metric in history.metrics:
        values = [float(history.runs.values[metric.key][row]) for row in (first, second)]
        if not any(np.isfinite(values)):
            continue
        texts = [
            value_text(value, metric.display_unit, metric.display_scale) if np.isfinite(value) else None
            for value in values
        ]
        if min(values) > 0 and texts[0] != texts[1]:
            texts[1] = f"{texts[1]} ({ratio_text(values[1] / values[0])})"
        yield Difference("measured", metric.key, *texts)


def _keys(section: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Difference]:
    for key in dict.fromkeys((*first, *second)):
        values = [each.get(key) for each in (first, second)]
        yield Difference(section, str(key), *(None if each is None else str(each) for each in values))


def _moment(start: int) -> str | None:
    if start == NO_TIME:
        return None
    return str(np.datetime64(start, "us").astype("datetime64[s]")).replace("T", " ")
