"""What the pages that compare in the browser read: one catalogue of sessions, and the runs of each runtime by month.

A bundle names sessions and benchmarks by what they are, not by their place in the catalogue: a new test or an older session
that turns up later changes the catalogue and its own bundle, and no other.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from coiled_runtime_cli.core.history import NO_TIME
from coiled_runtime_cli.core.scale import Scale
from coiled_runtime_cli.report.digest import KEY_PACKAGES
from coiled_runtime_cli.report.encode import codes, column, script_json, values
from coiled_runtime_cli.report.figures import bars, comparison
from coiled_runtime_cli.report.figures import tpch as tpch_figures
from coiled_runtime_cli.report.groups import moment, slug

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History, HistoryBenchmark, HistoryEnvironment
    from coiled_runtime_cli.report.groups import Groups
    from coiled_runtime_cli.report.views import MetricView, RuntimeView

#: Where a month is not known, since neither the session nor its runs say when they were.
UNKNOWN_MONTH = "unknown"

_TPCH = re.compile(r"(?:^|/)tpch/test_(?P<engine>\w+)\.py$")
_QUERY = re.compile(r"(?:^|::)test_query_?(?P<query>\d+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The runs of one runtime in one month.

    Where ``fingerprint`` is what it was ``write`` would make the same files; ``write`` returns the payloads of the
    bundle's data files by their names (below ``data/``, without ``.js``). ``metrics`` are those that any of its runs has.
    """

    name: str  # c/<runtime>/<YYYY-MM>
    fingerprint: str
    rows: int
    metrics: tuple[str, ...]
    write: Callable[[], dict[str, dict[str, Any]]]

    @property
    def files(self) -> tuple[str, ...]:
        """The names of its data files, without making them."""
        return (self.name, *(f"{self.name}.{metric_file(each)}" for each in self.metrics))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tpch:
    """A query of the TPC-H suite: who answered it, which one, and over how much data where its name says so."""

    engine: str
    query: int
    scale: str | None


def tpch(benchmark: HistoryBenchmark) -> Tpch | None:
    """What a benchmark measures of TPC-H; None for other benchmarks."""
    path, name = _TPCH.search(benchmark.path), _QUERY.search(benchmark.originalname)
    if path is None or name is None:
        return None
    scale = benchmark.params.get("scale", benchmark.params.get("scale_factor"))
    return Tpch(engine=path["engine"], query=int(name["query"]), scale=None if scale is None else str(scale)[:40])


def has_tpch(history: History) -> bool:
    return any(tpch(each) is not None for each in history.benchmarks)


def metric_file(key: str) -> str:
    """What a metric is called in the names of data files."""
    return slug(key)


def bundles(
    history: History, groups: Groups, metrics: Sequence[MetricView], numbers: NDArray[np.uint64]
) -> tuple[Bundle, ...]:
    """Every run of the history, by runtime and by the month in which its session started.

    ``numbers`` are those of the runs, as :func:`fingerprints.run_numbers` gives them.
    """
    runs = history.runs
    if not len(runs):
        return ()
    months, month_of = _months(history)
    tokens = [_token(each) for each in history.benchmarks]
    mixed = groups.runtime_of.astype(np.int64) * len(months) + month_of[runs.session]
    order = np.argsort(mixed, kind="stable")
    edges = np.flatnonzero(np.diff(mixed[order])) + 1
    starts, stops = [0, *edges.tolist()], [*edges.tolist(), len(order)]
    known: list[list[str]] = [[] for _ in starts]
    for metric in metrics:
        finite = np.logical_or.reduceat(np.isfinite(runs.values[metric.key])[order], starts)
        for number in np.flatnonzero(finite).tolist():
            known[number].append(metric.key)
    found = []
    for number, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        runtime, month = divmod(int(mixed[order[start]]), len(months))
        name, rows = f"c/{groups.runtimes[runtime].id}/{months[month]}", order[start:stop]
        found.append(
            Bundle(
                name=name,
                fingerprint=hashlib.blake2b(numbers[rows].tobytes(), digest_size=16).hexdigest(),
                rows=stop - start,
                metrics=tuple(known[number]),
                write=_Writer(history, tokens, name, rows, tuple(known[number])),
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Makes the files of one bundle when they are asked for."""

    history: History
    tokens: Sequence[str]
    name: str
    rows: NDArray[np.int64]
    metrics: tuple[str, ...]

    def __call__(self) -> dict[str, dict[str, Any]]:
        runs, rows = self.history.runs, self.rows
        sessions, session = np.unique(runs.session[rows], return_inverse=True)
        versions, version = np.unique(runs.benchmark[rows], return_inverse=True)
        names: dict[str, int] = {}
        benchmark = np.array([names.setdefault(self.tokens[each], len(names)) for each in versions.tolist()])[version]
        files: dict[str, dict[str, Any]] = {
            self.name: {
                "sessions": [self.history.sessions[each].id for each in sessions.tolist()],
                "session": column(codes(session, len(sessions))),
                "benchmarks": list(names),
                "benchmark": column(codes(benchmark, len(names))),
                "outcome": column(runs.outcome[rows]),
                "profiled": column(runs.profiled[rows].astype(np.uint8)),
            }
        }
        for key in self.metrics:
            array = runs.values[key][rows]
            files[f"{self.name}.{metric_file(key)}"] = {
                "values": column(values(np.where(np.isfinite(array), array, np.nan)))
            }
        return files


def catalogue(
    history: History,
    groups: Groups,
    parts: Sequence[Bundle],
    metrics: Sequence[MetricView],
    hrefs: Mapping[int, str],
    *,
    baseline: str | None = None,
) -> dict[str, Any]:
    """The payload of ``data/compare.js``: all that a selection can name, and which bundles hold its runs.

    ``hrefs`` leads from a function's number to its page; ``baseline`` is the label to compare with.
    """
    newest = int(history.runs.start.max()) if len(history.runs) else NO_TIME
    return {
        "runtimes": [_runtime(each) for each in groups.runtimes],
        "benchmarks": _benchmarks(history, groups, hrefs),
        "metrics": [
            {
                "key": each.key,
                "label": each.label,
                "unit": each.unit,
                "scale": each.scale,
                "better": each.better,
                "file": metric_file(each.key),
            }
            for each in metrics
        ],
        **_sessions(history, groups),
        "bundles": {each.name.removeprefix("c/"): {"rows": each.rows, "metrics": list(each.metrics)} for each in parts},
        "tpch": _tpch_sessions(history),
        "baseline": baseline,
        "last": None if newest == NO_TIME else newest // 1000,
    }


def _runtime(view: RuntimeView) -> dict[str, Any]:
    label = view.label or "no label"
    return {
        "id": view.id,
        "text": view.text,
        "label": view.label,
        "rest": view.text.removeprefix(label).removeprefix(" · "),  # what tells it from others of its label
        "scale": view.scale,
        "factor": _factor(view.scale),
        "python": view.python,
        "cluster": view.cluster,
        "host": view.host,
    }


def _factor(scale: str | None) -> str | None:
    """The scale factor of TPC-H at a scale."""
    try:
        return None if scale is None else f"{Scale.parse(scale).tpch_factor():g}"
    except ValueError:  # a scale of another version, or of the predecessor
        return None


def _benchmarks(history: History, groups: Groups, hrefs: Mapping[int, str]) -> list[dict[str, Any]]:
    """Each benchmark and epoch that has runs, once: versions of its source are one series."""
    function_of = {version: number for number, each in enumerate(groups.functions) for version in each.benchmarks}
    found: dict[str, dict[str, Any]] = {}
    for index in np.unique(history.runs.benchmark).tolist():
        benchmark = history.benchmarks[index]
        document: dict[str, Any] = {
            "token": _token(benchmark),
            "id": benchmark.id,
            "name": benchmark.name,
            "suite": benchmark.suite,
            "href": hrefs.get(function_of[index]),
            "epoch": benchmark.epoch,
        }
        query = tpch(benchmark)
        if query is not None:
            document["tpch"] = {"engine": query.engine, "query": query.query, "scale": query.scale}
        found[document["token"]] = document
    return list(found.values())


def _sessions(history: History, groups: Groups) -> dict[str, Any]:
    """Sessions with runs as columns, and what they share."""
    runs = history.runs
    months, month_of = _months(history)
    present, first, counts = np.unique(runs.session, return_index=True, return_counts=True)
    environment_of, environments = _environments(history, runs.environment[first] if len(runs) else runs.environment)
    pairs = np.unique(runs.session.astype(np.int64) * max(1, len(groups.runtimes)) + groups.runtime_of[: len(runs)])
    members: dict[int, list[int]] = {}
    for pair in pairs.tolist():
        session, runtime = divmod(pair, max(1, len(groups.runtimes)))
        members.setdefault(session, []).append(runtime)
    sets: dict[tuple[int, ...], int] = {}
    set_of = np.array([sets.setdefault(tuple(members[each]), len(sets)) for each in present.tolist()], np.int64)
    labels: dict[str | None, int] = {}
    label_of = np.array(
        [labels.setdefault(history.sessions[each].label, len(labels)) for each in present.tolist()], np.int64
    )
    started = _started(history)[present]
    return {
        "months": months,
        "labels": list(labels),
        "runtime_sets": [list(each) for each in sets],
        "environments": environments,
        "sessions": {
            "id": [history.sessions[each].id for each in present.tolist()],
            "label": column(codes(label_of, len(labels))),
            "started": column(np.where(started == NO_TIME, np.nan, started // 1000)),
            "month": column(codes(month_of[present], len(months))),
            "runtimes": column(codes(set_of, len(sets))),
            "environment": column(codes(environment_of, max(65_000, len(environments)))),
            "runs": column(counts.astype(np.uint32)),
        },
    }


def _tpch_sessions(history: History) -> dict[str, Any]:
    """Places, among the sessions with runs, of those that ran TPC-H, and which versions each had of the engines."""
    runs = history.runs
    engines = {each.engine for each in map(tpch, history.benchmarks) if each is not None}
    measures = np.array([tpch(each) is not None for each in history.benchmarks], np.bool_)
    if not len(runs) or not measures.any():
        return {"sessions": [], "versions": [], "version": []}
    rows = np.flatnonzero(measures[runs.benchmark])
    present, last = np.unique(
        runs.session[rows][::-1], return_index=True
    )  # the last run has imported what they all need
    places: list[int] = np.searchsorted(np.unique(runs.session), present).tolist()
    known: dict[tuple[tuple[str, str], ...], int] = {}
    version = [
        known.setdefault(_versions(history, engines, int(runs.environment[rows[::-1][each]])), len(known))
        for each in last.tolist()
    ]
    return {"sessions": places, "versions": [dict(each) for each in known], "version": version}


def _versions(history: History, names: set[str], environment: int) -> tuple[tuple[str, str], ...]:
    """The versions of packages, that of a module that was imported from elsewhere before what is installed."""
    if environment < 0:
        return ()
    packages = sorted(history.environments[environment].packages, key=lambda each: each.imported)
    found = {each.name: each.version or (each.commit or "")[:8] for each in packages if each.name in names}
    return tuple(sorted((name, version) for name, version in found.items() if version))


def _environments(history: History, indexes: NDArray[np.int32]) -> tuple[NDArray[np.int64], list[dict[str, Any]]]:
    """The key packages of the environments in ``indexes``, each combination once; -1 where there is none."""
    found: list[dict[str, Any]] = []
    place: dict[str, int] = {}
    code = np.full(len(history.environments) + 1, -1, np.int64)
    for index in np.unique(indexes[indexes >= 0]).tolist():
        document = _environment(history.environments[index])
        code[index] = place.setdefault(repr(document), len(place))
        if len(place) > len(found):
            found.append(document)
    return code[indexes], found


def _environment(environment: HistoryEnvironment) -> dict[str, Any]:
    key = [each for each in environment.packages if each.name in KEY_PACKAGES]
    return {
        "python": environment.python,
        "versions": {each.name: each.version for each in key if each.version},
        "commits": {each.name: each.commit for each in key if each.commit},
    }


def _started(history: History) -> NDArray[np.int64]:
    """When each session started, in microseconds: as it says, else its first run."""
    started = np.full(len(history.sessions), NO_TIME, np.int64)
    runs = history.runs
    timed = runs.start != NO_TIME
    earliest = np.full(len(history.sessions), np.iinfo(np.int64).max, np.int64)
    np.minimum.at(earliest, runs.session[timed], runs.start[timed])
    for index, session in enumerate(history.sessions):
        if session.started is not None:
            started[index] = round(session.started.timestamp() * 1e6)
        elif earliest[index] != np.iinfo(np.int64).max:
            started[index] = earliest[index]
    return started


def _months(history: History) -> tuple[list[str], NDArray[np.int64]]:
    """The months in which sessions started (UTC), and for each session its month."""
    months: dict[str, int] = {}
    of = []
    for started in _started(history).tolist():
        when = moment(started)
        of.append(months.setdefault(UNKNOWN_MONTH if when is None else f"{when:%Y-%m}", len(months)))
    return list(months), np.array(of, np.int64)


def _token(benchmark: HistoryBenchmark) -> str:
    """A short name for a benchmark at an epoch."""
    text = f"{benchmark.id}\0{benchmark.epoch}".encode("utf-8", "backslashreplace")
    return hashlib.blake2b(text, digest_size=6).hexdigest()


def compare_context(baseline: str | None) -> dict[str, Any]:
    """What the template of the compare page needs."""
    return {
        "baseline": baseline,
        "page": script_json(
            {
                "figures": {"forest": comparison.forest(), "confidence": comparison.heat_map()},
                "thresholds": list(comparison.THRESHOLDS),
            }
        ),
    }


def bars_context() -> dict[str, Any]:
    """What the template of the bars page needs."""
    return {"page": script_json({"figures": {"bars": bars.medians()}})}


def tpch_context(history: History) -> dict[str, Any] | None:
    """What the template of the TPC-H page needs; None where the history has no TPC-H tests."""
    if not has_tpch(history):
        return None
    return {
        "page": script_json({"figures": {"absolute": tpch_figures.absolute(), "relative": tpch_figures.relative()}})
    }
